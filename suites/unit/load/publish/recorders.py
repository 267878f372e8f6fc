"""Recorders: small real HTTP servers that check what they are sent against the published interface, and answer as the real ones do."""

from __future__ import annotations

import dataclasses
import http.server
import json
import re
import struct
import threading
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from harness.core.secrets import Secret
from harness.journal.events import Event, Note, Published
from harness.load.publish.settings import Peer

TOKEN = "glsa_secret"
S = 1_000_000_000
STALE_BITS = 0x7FF0000000000002


class Journal:
    """Keeps what is emitted."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event, *, sync: bool = False) -> None:
        self.events.append(event)

    @property
    def published(self) -> list[Published]:
        return [event for event in self.events if isinstance(event, Published)]

    @property
    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note) and event.level == "warning"]


class Recorder:
    """A server with a mood: ``as documented``, a status, ``hangs``, ``drips``, ``garbage``, ``endless``, ``redirects``, ``cuts``."""

    def __init__(self) -> None:
        self.mood: Any = "as documented"
        self.requests: list[tuple[str, str, bytes]] = []
        self.problems: list[str] = []
        self.released = threading.Event()
        self.seen = threading.Condition()
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                recorder.handle(self)

            do_PATCH = do_DELETE = do_GET = do_POST  # noqa: N815 - the library's names

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def peer(self, path: str = "", timeout_s: float = 10.0, token: str = TOKEN) -> Peer:
        return Peer(self.url + path, timeout_s, Secret(token))

    def handle(self, request: http.server.BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        with self.seen:
            self.requests.append((request.command, request.path, body))
            self.seen.notify_all()
        mood = self.mood.pop(0) if isinstance(self.mood, list) else self.mood
        try:
            if mood == "as documented":
                answer(request, *self.documented(request, body))
            else:
                moody(self, request, mood)
        except OSError:
            pass  # the client went away first

    def documented(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        raise NotImplementedError

    def wait_requests(self, count: int, deadline_s: float = 30.0) -> None:
        with self.seen:
            assert self.seen.wait_for(lambda: len(self.requests) >= count, deadline_s), f"only {len(self.requests)} requests"

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def answer(request: http.server.BaseHTTPRequestHandler, status: int, content: Any) -> None:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


def moody(recorder: Recorder, request: http.server.BaseHTTPRequestHandler, mood: Any) -> None:
    request.close_connection = True
    if isinstance(mood, int):
        answer(request, mood, {"message": f"status {mood}"})
    elif mood == "hangs":
        recorder.released.wait(20)
    elif mood == "cuts":
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf")
    elif mood == "garbage":
        answer(request, 200, b"<html>Bad Gateway</html>")
    elif mood == "redirects":
        request.send_response(302)
        request.send_header("Location", recorder.url + "/elsewhere")
        request.send_header("Content-Length", "0")
        request.end_headers()
    else:  # drips, or is endless
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n")
        part = b" " if mood == "drips" else b" " * 10_000
        while not recorder.released.wait(0.02):
            request.wfile.write(part)
            request.wfile.flush()


class Grafana(Recorder):
    """``/api/annotations`` as documented up to Grafana 12, and ``annotation.grafana.app/v0alpha1`` as Grafana 13 serves it."""

    def __init__(self) -> None:
        super().__init__()
        self.annotations: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self._number = 0

    def documented(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"message": "Unauthorized"}
        if request.headers.get("Content-Type") != "application/json":
            self.problems.append(f"Content-Type {request.headers.get('Content-Type')}")
        legacy = re.fullmatch(r"/api/annotations(?:/(\d+))?", request.path)
        apps = re.fullmatch(r"/apis/annotation\.grafana\.app/v0alpha1/namespaces/([a-z0-9-]+)/annotations(?:/([a-z0-9-]+))?", request.path)
        if legacy:
            return self._legacy(request.command, legacy[1], json.loads(body))
        if apps:
            return self._apps(request.command, apps[2], json.loads(body) if body else {})
        return 404, {"message": "Not found"}

    def _legacy(self, method: str, name: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        known = {"time": int, "timeEnd": int, "text": str, "tags": list, "dashboardUID": str, "panelId": int}
        self._check(body, known)
        if method == "POST" and name is None:
            if not body.get("text"):
                return 400, {"message": "Failed to save annotation: text field should not be empty"}
            self._number += 1
            self.annotations[str(self._number)] = {"timeEnd": body.get("time", 0)} | body
            return 200, {"message": "Annotation added", "id": self._number}
        if method == "PATCH" and name in self.annotations:
            if set(body) - {"text", "tags", "time", "timeEnd"}:
                self.problems.append(f"PATCH changes only text, tags, time, timeEnd: {sorted(body)}")
            self.annotations[name] |= body
            return 200, {"message": "Annotation patched"}
        return 404, {"message": "Annotation not found"}

    def _apps(self, method: str, name: str | None, body: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST" and name is None:
            if (body["apiVersion"], body["kind"]) != ("annotation.grafana.app/v0alpha1", "Annotation"):
                self.problems.append(f"{body['apiVersion']} {body['kind']}")
            if not (body["metadata"].get("name") or body["metadata"].get("generateName")):
                return 400, {"kind": "Status", "message": "metadata.name or metadata.generateName is required"}
            known = {"text": str, "time": int, "timeEnd": int, "dashboardUID": str, "panelID": int, "tags": list, "scopes": list}
            self._check(body["spec"], known)
            self._number += 1
            name = f"{body['metadata']['generateName']}x{self._number}"
            self.annotations[name] = dict(body["spec"])
            return 201, body | {"metadata": {"name": name, "namespace": "default"}}
        if name not in self.annotations:
            return 404, {"kind": "Status", "message": "not found"}
        if method == "PATCH":  # answered as done; the time stays what it was
            self.annotations[name] |= {key: value for key, value in body["spec"].items() if key in {"text", "tags", "scopes"}}
            return 200, body
        if method == "DELETE":
            self.deleted.append(name)
            return 200, {"kind": "Status", "status": "Success", "spec": self.annotations.pop(name)}
        return 405, {}

    def _check(self, body: dict[str, Any], known: dict[str, type]) -> None:
        for key, value in body.items():
            if key not in known:
                self.problems.append(f"unknown field {key}")
            elif not isinstance(value, known[key]) or isinstance(value, bool):
                self.problems.append(f"{key} is {value!r}")
        if not all(isinstance(tag, str) and tag for tag in body.get("tags", [])):
            self.problems.append(f"tags {body['tags']}")
        for key in ("time", "timeEnd"):  # epoch milliseconds of this century
            if key in body and not 1_600_000_000_000 < body[key] < 4_000_000_000_000:
                self.problems.append(f"{key} {body[key]} is not in epoch ms")


@dataclasses.dataclass(frozen=True)
class Received:
    """One decoded series: a value is None for the stale marker."""

    labels: dict[str, str]
    samples: list[tuple[int, float | None]]


class Receiver(Recorder):
    """A remote-write receiver: unpacks Snappy by its own reading, decodes by protobuf's own library, checks what the protocol demands."""

    def __init__(self) -> None:
        super().__init__()
        self.series: list[Received] = []

    def documented(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        wanted = {
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf",
            "X-Prometheus-Remote-Write-Version": "0.1.0",
        }
        self.problems += [f"{name}: {request.headers.get(name)}" for name, value in wanted.items() if request.headers.get(name) != value]
        if not request.headers.get("User-Agent"):
            self.problems.append("no User-Agent")
        message = WRITE_REQUEST()
        message.ParseFromString(unsnap(body))
        for one in message.timeseries:
            self._take(one)
        return 204, b""

    def _take(self, one: Any) -> None:
        names = [label.name for label in one.labels]
        labels = {label.name: label.value for label in one.labels}
        if names != sorted(set(names)):
            self.problems.append(f"labels are not sorted or not unique: {names}")
        if re.fullmatch(r"[a-zA-Z_:][a-zA-Z0-9_:]*", labels.get("__name__", "")) is None:
            self.problems.append(f"metric name {labels.get('__name__')!r}")
        self.problems += [f"label {n}={v!r}" for n, v in labels.items() if not v or not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", n)]
        times = [sample.timestamp for sample in one.samples]
        if not times or times != sorted(set(times)):
            self.problems.append(f"samples out of order: {times[:5]}")
        if not all(1_600_000_000_000 < at < 4_000_000_000_000 for at in times):
            self.problems.append(f"time stamps not in epoch ms: {times[:2]}")
        values = [None if bits(sample.value) == STALE_BITS else sample.value for sample in one.samples]
        self.series.append(Received(labels, list(zip(times, values, strict=True))))

    def find(self, name: str, **labels: str) -> list[tuple[int, float | None]]:
        """The samples of one series, over all requests."""
        wanted = {"__name__": name, **labels}
        return [sample for one in self.series if wanted.items() <= one.labels.items() for sample in one.samples]


def bits(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def unsnap(content: bytes) -> bytes:
    """The Snappy block format, read by the letter of its description."""
    size, at = uvarint(content, 0)
    found = bytearray()
    while at < len(content):
        tag = content[at]
        at += 1
        if tag & 3 == 0:
            length = (tag >> 2) + 1
            if length > 60:
                extra = length - 60
                length = int.from_bytes(content[at : at + extra], "little") + 1
                at += extra
            found += content[at : at + length]
            at += length
            continue
        if tag & 3 == 1:
            length, offset = ((tag >> 2) & 7) + 4, (tag >> 5) << 8 | content[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            length, offset = (tag >> 2) + 1, int.from_bytes(content[at : at + width], "little")
            at += width
        for _ in range(length):
            found.append(found[-offset])
    assert len(found) == size
    return bytes(found)


def uvarint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _write_request() -> Any:
    """``prometheus.WriteRequest`` as its .proto says, built here so that nothing of ours describes it."""
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="remote.proto", package="prometheus", syntax="proto3")
    messages = {
        "Label": (("name", 1, kinds.TYPE_STRING, ""), ("value", 2, kinds.TYPE_STRING, "")),
        "Sample": (("value", 1, kinds.TYPE_DOUBLE, ""), ("timestamp", 2, kinds.TYPE_INT64, "")),
        "TimeSeries": (("labels", 1, kinds.TYPE_MESSAGE, "Label"), ("samples", 2, kinds.TYPE_MESSAGE, "Sample")),
        "WriteRequest": (("timeseries", 1, kinds.TYPE_MESSAGE, "TimeSeries"),),
    }
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, number, kind, of in fields:
            label = kinds.LABEL_REPEATED if of else kinds.LABEL_OPTIONAL
            message.field.add(name=field, number=number, type=kind, label=label, type_name=f".prometheus.{of}" if of else None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("prometheus.WriteRequest"))


WRITE_REQUEST = _write_request()
