"""A small platform on a loopback port that ingests passages and answers questions, and a small collection in BEIR layout."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

WORDS = ["heart", "lung", "liver", "kidney", "brain", "skin", "bone", "blood", "nerve", "muscle"]


class Platform(ThreadingHTTPServer):
    """``quality`` says how good each retriever is: how many of its first places hold a wrong document."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.passages: dict[str, str] = {}
        self.jobs: dict[str, str] = {}
        self.wrong_places = {"bm25": 1, "sparse": 2, "dense": 3, "fused": 0}
        self.degraded = self.overloaded = False
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def ranked(self, query: str, retriever: str) -> list[str]:
        right = sorted(name for name, text in self.passages.items() if query in text)
        wrong = sorted(set(self.passages) - set(right))
        places = self.wrong_places[retriever]
        return [*wrong[:places], *right, *wrong[places:]]


class Handler(BaseHTTPRequestHandler):
    server: Platform
    protocol_version = "HTTP/1.1"

    def answer(self, body: Any, status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("X-API-Key") != "writer":
            self.answer({"detail": "no key"}, 401)
        elif self.path == "/v1/ingest/passages":
            for line in body.splitlines():
                value = json.loads(line)
                self.server.passages[value["_id"]] = f"{value['title']} {value['text']}"
            with self.server.lock:
                job = f"job-{len(self.server.jobs)}"
                self.server.jobs[job] = "running"
            self.answer({"job_id": job}, 202)
        else:
            self.retrieve(json.loads(body))

    def retrieve(self, body: Any) -> None:
        asked = body["retrievers"]
        ranked = self.server.ranked(body["query"], asked[0] if len(asked) == 1 else "fused")
        used = asked[:1] if self.server.degraded else asked
        results = [{"native_id": name} for name in ranked for _ in range(2)]  # two chunks a document
        self.answer(
            {"results": results[: body["top_k"]], "meta": {"retrievers_used": used, "degraded": self.server.overloaded}, "warnings": []}
        )

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/v1/jobs/"):
            job = url.path.rpartition("/")[2]
            state, self.server.jobs[job] = self.server.jobs[job], "completed"  # done at the second look
            documents = [{"doc_id": "d", "state": "completed" if state == "completed" else "parsing"}]
            self.answer({"state": state, "documents": documents})
        else:
            rows = [{"native_id": name, "state": "completed"} for name in sorted(self.server.passages)]
            after = urllib.parse.parse_qs(url.query).get("after", [""])[0]
            rest = [row for row in rows if row["native_id"] > after]
            self.answer({"documents": rest[:500], "next_after": rest[499]["native_id"] if len(rest) >= 500 else None})

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def platform() -> Iterator[Platform]:
    server = Platform()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(5)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Ten queries, one relevant document each, and 600 others."""
    folder = tmp_path / "data" / "organs"
    (folder / "qrels").mkdir(parents=True)
    relevant = [{"_id": f"r{number}", "title": word, "text": f"about the {word}"} for number, word in enumerate(WORDS)]
    others = [{"_id": f"o{number:03d}", "title": "", "text": f"something else {number}"} for number in range(600)]
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps(item) for item in (*relevant, *others)), encoding="utf-8")
    queries = [{"_id": f"q{number}", "text": word} for number, word in enumerate(WORDS)]
    (folder / "queries.jsonl").write_text("\n".join(json.dumps(item) for item in queries), encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *(f"q{number}\tr{number}\t1" for number in range(len(WORDS)))]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder
