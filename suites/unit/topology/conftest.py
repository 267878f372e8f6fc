from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.topology import Stack, Topology, load_topology

TOY = """\
name: toy
services:
  web:
    image: toy
    restart: always
    healthcheck: {interval: 200ms, timeout: 2s, retries: 2, start_period: 10s, start_interval: 50ms}
    stop_grace_period: 1s
    secrets: [token]
    ports: ["127.0.0.1:${WEB_PORT:-8000}:8000"]
    x-profiles:
      embedded:
        command: ["$${PYTHON}", -m, http.server, --bind, 127.0.0.1, --directory, "$${OBJECTS_DIR}", "$${WEB_PORT}"]
        health: {http: "http://127.0.0.1:$${WEB_PORT}/"}
        environment: {EH_WEB_URL: "http://127.0.0.1:$${WEB_PORT}"}
  job:
    image: toy
    restart: on-failure
    depends_on: {web: {condition: service_healthy}}
    x-profiles:
      embedded:
        command: ["$${PYTHON}", -c, "import signal; signal.pause()"]
secrets:
  token: {file: ./token}
"""


@pytest.fixture
def toy_text() -> str:
    return TOY


@pytest.fixture
def toy_file(tmp_path: Path) -> Path:
    folder = tmp_path / "a project with blanks"
    folder.mkdir()
    (folder / "docker-compose.yml").write_text(TOY, encoding="utf-8")
    return folder / "docker-compose.yml"


@pytest.fixture
def toy(toy_file: Path) -> Topology:
    return load_topology(toy_file, "embedded", toy_file.parent)


@pytest.fixture
def stack(toy: Topology, tmp_path: Path) -> Iterator[Stack]:
    with Stack.start(toy, base_dir=tmp_path, deadline_s=30) as started:
        yield started
