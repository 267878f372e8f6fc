from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from suites.unit.memory_ports import World
from system.assembly import Platform
from system.evidence.retrieval import RetrievalSettings, Retriever
from system.gateway.app import create_app
from system.platform.settings import Settings
from system.worker.table import TABLE

CORPUS = Path(__file__).parents[3] / "samples" / "corpus"
KEYS = {role: f"{role}-key-of-the-tests-0000" for role in ("reader", "writer", "admin")}
PROBES = ("records", "search", "graph", "cache", "events", "embed", "splade")


class Forgetful:
    """A cache that holds nothing."""

    def get(self, key: str) -> bytes | None:
        return None

    def put(self, key: str, value: bytes, ttl_s: float) -> None: ...


class Probes:
    """Probes that answer, fail or hang."""

    def __init__(self) -> None:
        self.faults: dict[str, Any] = {}
        self.asked: list[str] = []

    def of(self, name: str) -> Any:
        def probe() -> None:
            self.asked.append(name)
            fault = self.faults.get(name)
            if callable(fault):
                fault()
            elif fault is not None:
                raise fault

        return probe


@dataclasses.dataclass
class Site:
    """The gateway over a world, with clients by role."""

    app: FastAPI
    world: World
    probes: Probes

    def client(self, role: str | None = "admin") -> TestClient:
        headers = {"X-API-Key": KEYS[role]} if role else {}
        return TestClient(self.app, raise_server_exceptions=False, headers=headers)

    def work(self) -> None:
        """What the worker does with the events that are there."""
        step = {entry.topic: entry.step for entry in TABLE}
        at = 0
        while at < len(self.world.records.outbox):
            event, at = self.world.records.outbox[at], at + 1
            if event.topic in step:
                step[event.topic](event, self.world.ports())


def settings_of(folder: Path, **keys: str) -> Settings:
    """Settings with the API keys of the tests, or those given."""
    folder.mkdir(exist_ok=True)
    for role, key in {**KEYS, **keys}.items():
        (folder / f"api_key_{role}").write_text(key)
    nowhere = "http://127.0.0.1:9"
    urls = dict.fromkeys(("records_url", "search_url", "graph_url", "cache_url", "events_url", "embed_url", "splade_url"), nowhere)
    return Settings(
        stack_id="t", objects_dir=folder, model_cache_dir=folder, secrets_dir=folder, gateway_port=0, failpoints_socket="", **urls
    )


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def site(world: World, tmp_path: Path) -> Iterator[Site]:
    probes, ports = Probes(), world.ports()
    retriever = Retriever(ports.search, ports.dense, ports.sparse, Forgetful(), RetrievalSettings(timeout_s=2.0))
    platform = Platform(ports, world.wire("events"), retriever, {name: probes.of(name) for name in PROBES})
    yield Site(create_app(settings_of(tmp_path / "secrets"), platform), world, probes)
    retriever.close()


@pytest.fixture
def client(site: Site) -> TestClient:
    return site.client()


@pytest.fixture
def payload() -> bytes:
    return (CORPUS / "pubmed" / "velotril-sleep.xml").read_bytes()


def a_write(write_id: str = "write-0001", **more: Any) -> dict[str, Any]:
    """The smallest batch."""
    node = {"label": "Condition", "key": "asthma", "properties": {"name": "Asthma"}}
    return {"write_id": write_id, "nodes": [node], "edges": [], **more}
