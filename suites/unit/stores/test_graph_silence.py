"""A graph server that takes connections and does not answer costs its callers a bounded time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import neo4j
import pytest
from starlette.testclient import TestClient

from suites.unit.gateway.conftest import Site, a_write, client, site, world
from system.assembly import PreparedGraph
from system.platform.errors import Unavailable
from system.platform.ports import GraphBatch, GraphNode, NodeRef
from system.stores import graph as stores_graph
from system.stores.graph import BoltGraph

__all__ = ["client", "site", "world"]

BOLT_5_4 = b"\x00\x00\x04\x05"
SUCCESS = b"\xb1\x70\xa2\x86server\x8cNeo4j/5.13.0\x8dconnection_id\x81c"
HELLO, LOGON, BEGIN, RESET, GOODBYE = 0x01, 0x6A, 0x11, 0x0F, 0x02
BOUND_S = 10.0
BATCH = GraphBatch("w", (GraphNode(NodeRef("Condition", "asthma"), {}),), ())


class SilentServer:
    """Speaks Bolt 5.4 as far as the messages of ``answers``; to anything else it says nothing and keeps the connection."""

    def __init__(self, answers: frozenset[int] | None) -> None:
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._wires: list[socket.socket] = []
        self.url = f"bolt://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                wire, _ = self._listener.accept()
                self._wires.append(wire)
                if self._answers is not None:
                    threading.Thread(target=self._talk, args=(wire, self._answers), daemon=True).start()

    def _talk(self, wire: socket.socket, answers: frozenset[int]) -> None:
        with contextlib.suppress(OSError, EOFError):
            _exactly(wire, 20)
            wire.sendall(BOLT_5_4)
            while (kind := _message(wire)[1]) != GOODBYE:
                if kind in answers:
                    wire.sendall(len(SUCCESS).to_bytes(2, "big") + SUCCESS + b"\x00\x00")

    def close(self) -> None:
        for one in (self._listener, *self._wires):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


def _exactly(wire: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = wire.recv(count - len(received))
        if not part:
            raise EOFError
        received += part
    return received


def _message(wire: socket.socket) -> bytes:
    message = b""
    while (size := int.from_bytes(_exactly(wire, 2), "big")) or not message:
        message += _exactly(wire, size)
    return message


SILENT_FROM = {
    "connecting": None,
    "hello": frozenset[int](),
    "begin": frozenset({HELLO, LOGON, RESET}),
    "run": frozenset({HELLO, LOGON, RESET, BEGIN}),
}


@pytest.fixture(params=sorted(SILENT_FROM))
def silent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[BoltGraph]:
    monkeypatch.setattr(stores_graph, "SILENCE_S", 0.3)
    monkeypatch.setattr(stores_graph, "CONNECTION_TIMEOUT_S", 0.2)
    monkeypatch.setattr(stores_graph, "RETRY_TIME_S", 0.2)
    server = SilentServer(SILENT_FROM[request.param])
    graph = BoltGraph(server.url, "a-password-of-this-test-only")
    yield graph
    server.close()
    graph.close()


def within(call: Callable[[], Any]) -> Any:
    """What the call gives or raises, or a failure when it has done neither in time; a thread that hangs ends with the server."""
    answers: list[Any] = []

    def run() -> None:
        try:
            answers.append(call())
        except Exception as error:  # noqa: BLE001 - handed to the test
            answers.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(BOUND_S)
    assert answers, "the call hangs"
    return answers[0]


@pytest.mark.parametrize(
    "call",
    [
        lambda graph: graph.ping(),
        lambda graph: graph.counts(),
        lambda graph: graph.nodes("Study", "", 1),
        lambda graph: graph.prepare(),
        lambda graph: graph.replace_contribution(BATCH),
        lambda graph: graph.remove_contribution("w"),
    ],
    ids=["ping", "counts", "nodes", "prepare", "replace", "remove"],
)
def test_every_call_is_unavailable_soon(silent: BoltGraph, call: Callable[[BoltGraph], Any]) -> None:
    """Wherever the conversation ends, the port says Unavailable."""
    assert isinstance(within(lambda: call(silent)), Unavailable)


def test_a_write_is_202_while_the_graph_is_silent(silent: BoltGraph, site: Site, client: TestClient) -> None:
    """As for an absent graph: durable, and the applier brings it in."""
    site.world.graph = PreparedGraph(silent)  # type: ignore[assignment]
    answer = within(lambda: client.post("/v1/kg/write", json=a_write()))
    assert (answer.status_code, answer.json()["in_graph"]) == (202, False)


@pytest.mark.parametrize("lock", ["writer", "preparing"])
def test_waiting_for_another_caller_is_bounded_too(silent: BoltGraph, monkeypatch: pytest.MonkeyPatch, lock: str) -> None:
    """Callers behind one that hangs do not add up its time."""
    monkeypatch.setattr(stores_graph, "TURN_S", 0.05)
    monkeypatch.setattr("system.assembly.PREPARE_TURN_S", 0.05)
    prepared = PreparedGraph(silent)
    prepared._prepared = lock == "writer"
    held = silent._writer if lock == "writer" else prepared._lock
    with held:
        error = within(lambda: prepared.replace_contribution(BATCH))
    assert isinstance(error, Unavailable)
    assert "timed out" in str(error)


def test_the_driver_still_has_the_place_where_reads_are_bounded() -> None:
    """There is no public setting for it: another version of the driver may have moved it."""
    with neo4j.GraphDatabase.driver("bolt://127.0.0.1:9") as driver:
        assert callable(driver._pool.opener)
