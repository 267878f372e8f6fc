"""A small note service, standard library only: what the harness judges here without knowing anything about it."""  # noqa: INP001

import json
import os
import pathlib
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, FOLDER, SECRETS = int(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
ROLES = {(SECRETS / f"key_{role}").read_text().strip(): role for role in ("reader", "writer")}
FILE, LOCK = FOLDER / "notes.jsonl", threading.Lock()
NOTES = [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []
TITLES = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}
PROBLEM = {"application/problem+json": {"schema": {"type": "object", "required": ["type", "title", "status", "detail", "instance"]}}}
TEXT = {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"}
NOTE = {"type": "object", "required": ["id", "text"], "properties": {"id": {"type": "integer"}, "text": TEXT}}
INPUT = {"type": "object", "required": ["text"], "properties": {"text": TEXT}, "additionalProperties": False}
ID = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer", "minimum": 1, "maximum": 10**9}}


def answers(done, schema, *problems):
    made = {str(code): {"description": TITLES[code], "content": PROBLEM} for code in problems}
    return {"responses": {**made, done: {"description": "done", "content": {"application/json": {"schema": schema}}}}}


OBJECT, KEY = {"type": "object"}, {"security": [{"key": []}]}
BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": INPUT}}}}
SCHEMA = {
    "openapi": "3.1.0",
    "info": {"title": "Notes", "version": "1.0.0"},
    "components": {"securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-API-Key"}}},
    "paths": {
        "/health": {"get": answers("200", OBJECT)},
        "/notes": {"get": {**KEY, **answers("200", OBJECT, 401)}, "post": {**KEY, **BODY, **answers("201", NOTE, 400, 401, 403)}},
        "/notes/{id}": {"get": {**KEY, "parameters": [ID], **answers("200", NOTE, 400, 401, 404)}},
    },
}
ROUTES = [(re.compile(path.replace("{id}", "([^/]+)")), entry) for path, entry in SCHEMA["paths"].items()]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def send(self, status, body, kind="application/json", **headers):
        content = json.dumps(body).encode()
        self.send_response(status)
        own = {"Content-Type": kind, "Content-Length": str(len(content)), "X-Request-ID": self.request_id}
        for name, value in (own | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content if self.command != "HEAD" else b"")

    def problem(self, status, detail, **headers):
        body = {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail, "instance": self.request_id}
        self.send(status, body, "application/problem+json", **headers)

    def handle_any(self):
        given, path = self.headers.get("X-Request-ID", ""), self.path.partition("?")[0]
        self.request_id = given if re.fullmatch(r"[\w.:-]{1,128}", given, re.ASCII) else os.urandom(16).hex()
        body = self.rfile.read(min(int(self.headers.get("Content-Length") or 0), 1_000_000))
        if path == "/openapi.json":
            return self.send(200, SCHEMA)
        match, entry = next(((match, entry) for pattern, entry in ROUTES if (match := pattern.fullmatch(path))), (None, {}))
        if match is None:
            return self.problem(404, "there is nothing at this path")
        if self.command.lower() not in entry:
            return self.problem(405, "this method is not offered here", Allow=", ".join(sorted(entry)).upper())
        role = ROLES.get(self.headers.get("X-API-Key", "")) if path != "/health" else "anybody"
        if role is None:
            return self.problem(401, "send a key in the header X-API-Key", WWW_Authenticate='ApiKey realm="notes"')
        if self.command == "POST":
            return self.add(body) if role == "writer" else self.problem(403, "this key may only read")
        return self.read(match.groups()) if path != "/health" else self.send(200, {"status": "ok"})

    def add(self, body):
        try:
            ((name, text),) = json.loads(body).items()
            assert name == "text" and re.fullmatch("[ -~]{1,200}", text)  # noqa: PT018
        except (ValueError, TypeError, AttributeError, AssertionError):
            return self.problem(400, 'send {"text": "1 to 200 printable ASCII characters"}')
        with LOCK, FILE.open("a", buffering=1) as stream:
            NOTES.append({"id": len(NOTES) + 1, "text": text})
            stream.write(json.dumps(NOTES[-1]) + "\n")
            os.fsync(stream.fileno())
            return self.send(201, NOTES[-1])

    def read(self, groups):
        number = int(groups[0]) if groups and re.fullmatch("[1-9][0-9]{0,8}|1000000000", groups[0]) else 0
        if groups and not number:
            return self.problem(400, "an id is a whole number from 1 to 1000000000")
        found = {"notes": NOTES[-20:]} if not groups else NOTES[number - 1] if number <= len(NOTES) else None
        return self.send(200, found) if found is not None else self.problem(404, "there is no such note")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = do_TRACE = do_QUERY = handle_any  # noqa: N815
    log_message = lambda *_: None  # noqa: E731 - silence is one line


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
