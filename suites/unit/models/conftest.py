"""Prepared models and real model servers for these tests; without weights they are skipped with the reason."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from suites.unit.waiting import wait_for
from system.models.catalog import PROJECT, SPECS, Kind, default_models_dir
from system.models.encoder import Encoder
from system.models.weights import is_prepared

START_LIMIT_S = 30


@pytest.fixture(scope="session")
def models_dir() -> Path:
    folder = default_models_dir()
    if not all(is_prepared(spec, folder) for spec in SPECS.values()):
        pytest.skip(f"the models are not prepared in {folder}: run `python -m system.models.weights`")
    return folder


@pytest.fixture(scope="session")
def encoders(models_dir: Path) -> dict[Kind, Encoder]:
    return {kind: Encoder(spec, models_dir) for kind, spec in SPECS.items()}


class Server:
    """A model server as a process of its own."""

    def __init__(self, kind: Kind, models_dir: Path, cache_dir: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.model = SPECS[kind].name
        environment = {**os.environ, "EH_MODELS_DIR": str(models_dir), "EH_MODEL_CACHE_DIR": str(cache_dir)}
        command = [sys.executable, "-m", "system.models.server", "--model", kind, "--port", str(port), *options]
        self.process = subprocess.Popen(command, cwd=PROJECT, env=environment, stderr=subprocess.PIPE, text=True)
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def wait_until_healthy(self) -> None:
        def healthy() -> bool:
            assert self.process.poll() is None, f"the server ended with exit status {self.process.poll()}"
            with contextlib.suppress(httpx.TransportError):
                return self.http.get("/health").status_code == 200
            return False

        wait_for(healthy, START_LIMIT_S, "a healthy server")

    def metric(self, name: str) -> float:
        lines = self.http.get("/metrics").text.splitlines()
        return next(float(line.split()[-1]) for line in lines if line.startswith(f"{name} "))

    def wait_for_metric(self, name: str, at_least: float) -> None:
        wait_for(lambda: self.metric(name) >= at_least, 10, f"{name} >= {at_least}")

    def end(self) -> str:
        """Stop the process; returns what it said on stderr."""
        self.http.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.communicate()[1]


@pytest.fixture
def start_server(models_dir: Path, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(kind: Kind, *options: str, cache_dir: Path = tmp_path / "cache") -> Server:
        server = Server(kind, models_dir, cache_dir, *options)
        started.append(server)
        server.wait_until_healthy()
        return server

    yield start
    for server in started:
        server.end()


@pytest.fixture(scope="module")
def servers(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Kind, Server]]:
    cache_dir = tmp_path_factory.mktemp("vectors")
    running = {kind: Server(kind, models_dir, cache_dir) for kind in SPECS}
    try:
        for server in running.values():
            server.wait_until_healthy()
        yield running
    finally:
        for server in running.values():
            server.end()
