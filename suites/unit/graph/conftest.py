from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suites.unit.waiting import wait_for
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef
from system.stores.graph import BoltGraph

PASSWORD = "a-password-of-this-test-only"
READY_WITHIN_S = 45.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class GraphServer:
    """An ArcadeDB process of this test run: started, killed with -9 and started again over the same data."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port, self._http_port = free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._secret = folder / "graph_password"
        self._secret.touch(mode=0o600)
        self._secret.write_text(PASSWORD)

    @property
    def url(self) -> str:
        return f"bolt://127.0.0.1:{self._port}"

    def start(self) -> None:
        root = Path(__file__).resolve().parents[3]
        command = [sys.executable, "-m", "system.deploy.arcadedb", "--data", str(self._folder / "data"), "--port", str(self._port)]
        command += ["--http-port", str(self._http_port), "--secret", str(self._secret), "--heap", "384m"]
        with (self._folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=10)

    def wait_ready(self, graph: BoltGraph) -> None:
        def ready() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "server.log").read_text(errors="replace")[-2000:]
            return graph.ready()

        wait_for(ready, READY_WITHIN_S, "the graph server")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GraphServer]:
    made = GraphServer(tmp_path_factory.mktemp("graph"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="session")
def connected(server: GraphServer) -> Iterator[BoltGraph]:
    graph = BoltGraph(server.url, PASSWORD)
    server.wait_ready(graph)
    graph.prepare()
    yield graph
    graph.close()


@pytest.fixture
def graph(connected: BoltGraph) -> Iterator[BoltGraph]:
    """An empty graph; what the test's supporters (w0 … w9) leave is removed through the port."""
    yield connected
    for index in range(10):
        connected.remove_contribution(f"w{index}")
    left = {name: total for name, total in connected.counts().items() if total}
    assert left == {}, "a supporter outside w0 … w9 wrote something"


Contribution = Callable[..., GraphBatch]


@pytest.fixture(scope="session")
def contribution() -> Contribution:
    """A small batch: a document with ``size`` chunks about conditions that other documents may share."""

    def make(supporter: str, *conditions: str, size: int = 3, year: int | None = None) -> GraphBatch:
        document = NodeRef("Document", supporter)
        chunks = [NodeRef("Chunk", f"{supporter}:c{index}") for index in range(size)]
        shared = [NodeRef("Condition", name) for name in conditions]
        nodes = [GraphNode(document, {"title": f"Title of {supporter}", "year": year}), *(GraphNode(ref, {"start": 0}) for ref in chunks)]
        nodes += [GraphNode(ref, {"name": f"{ref.key} as {supporter} writes it"}) for ref in shared]
        edges = [GraphEdge("HAS_CHUNK", document, ref, "", {"index": index}) for index, ref in enumerate(chunks)]
        edges += [GraphEdge("ABOUT", document, ref, "", {}) for ref in shared]
        return GraphBatch(supporter, tuple(nodes), tuple(edges))

    return make
