"""A scripted HTTP server that logs when each answer was really written, and a real journal to load it into."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.journal.events import Event
from harness.journal.hub import JournalHub
from harness.journal.segments import SCHEMAS, SegmentWriter
from harness.run.protocols import StepContext, Target
from harness.run.view import FolderView

SERVICE_S = 0.02
_ID = re.compile(rb"X-Request-ID: (\S+)", re.IGNORECASE)
_LENGTH = re.compile(rb"Content-Length: (\d+)", re.IGNORECASE)
_ANSWERS = {
    "": (200, b'{"results": [1]}'),
    "500": (500, b"{}"),
    "429": (429, b"{}"),
    "401": (401, b'{"detail": "refused"}'),
    "403": (403, b"{}"),
    "503": (503, b"{}"),
    "empty": (200, b'{"results": []}'),
    "not json": (200, b"<html>"),
}


class _Scripted(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server, self._buffer = server, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._server.connections.add(transport)
        self._server.most_open = max(self._server.most_open, len(self._server.connections))

    def connection_lost(self, _error: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(rest) < (int(length[1]) if length else 0):
            return
        self._buffer = b""
        index = int(_ID.search(head)[1].split(b"-")[-1][:8])  # type: ignore[index]
        self._server.seen.append(index)
        self._server.heads.append(head)
        action = self._server.script.get(index, "")
        if action == "reset" or (action == "reset once" and self._server.seen.count(index) == 1):
            self._transport.abort()
            return
        if action == "stall":
            asyncio.get_running_loop().call_soon(time.sleep, self._server.stall_s)
        if action != "never":
            asyncio.get_running_loop().call_later(SERVICE_S, self._answer, index, action)

    def _answer(self, index: int, action: str) -> None:
        if self._transport.is_closing():
            return
        status, body = _ANSWERS.get(action, _ANSWERS[""])
        if action == "echo":  # a careless service: what was asked, keys and all, in its answer
            echoed = self._server.heads[-1] + b" echoed " * 100
            self._transport.write(
                b"HTTP/1.1 500 X\r\nSet-Cookie: s=crumbs-of-a-session\r\nContent-Length: %d\r\n\r\n%s" % (len(echoed), echoed)
            )
            return
        self._transport.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        self._server.written_ns[index] = time.monotonic_ns()


class Server:
    """Listens in a thread of its own; ``script`` says by request number what is done instead of a good answer."""

    def __init__(self, script: Mapping[int, str], stall_s: float) -> None:
        self.script, self.stall_s = script, stall_s
        self.seen: list[int] = []
        self.heads: list[bytes] = []
        self.written_ns: dict[int, int] = {}
        self.connections: set[Any] = set()
        self.port = self.most_open = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(5)

    def _run(self) -> None:
        server = self._loop.run_until_complete(self._loop.create_server(lambda: _Scripted(self), "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    """``server({number: action}, stall_s=1)``: a scripted server."""
    made: list[Server] = []

    def make(script: Mapping[int, str] | None = None, stall_s: float = 1.0) -> Server:
        made.append(Server(script or {}, stall_s))
        return made[-1]

    yield make
    for one in made:
        one.close()


class Place:
    """A run folder with its journal, and the context of a step ``load`` in the trial ``t``."""

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder / "run folder"
        for name in ("segments", "evidence", "trials/t"):
            (self.run_folder / name).mkdir(parents=True)
        self.project = folder
        self.hub = JournalHub(self.run_folder / "journal.jsonl")
        self.stopping = threading.Event()

    def context(self, base_url: str, kind: Mapping[str, Any], **changes: Any) -> StepContext:
        given = StepContext(
            trial="t",
            step="load",
            target=Target(base_url, {"reader": "top-secret-key"}),
            stack=None,
            journal=self.hub,
            folder=self.run_folder / "trials" / "t",
            run_folder=self.run_folder,
            project=self.project,
            data=None,
            seed=7,
            now_ns=time.monotonic_ns,
            wait=self.stopping.wait,  # type: ignore[arg-type]
            stop=self.stopping.is_set,
            window=lambda _step: None,
            running=lambda: (),
            address=self.hub.address,
            configuration={"requests": {"ask": dict(kind)}},
        )
        return dataclasses.replace(given, **changes)

    def emit(self, *events: Event) -> None:
        for event in events:
            self.hub.emit(event)

    def rows(self, stream: str, rows: list[dict[str, Any]]) -> None:
        with SegmentWriter(stream, SCHEMAS[stream], self.run_folder, self.hub, trial="t") as writer:
            for row in rows:
                writer.append(**row)

    def view(self) -> FolderView:
        return FolderView(self.run_folder)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.hub.close()
