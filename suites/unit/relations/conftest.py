from __future__ import annotations

from pathlib import Path

import pytest

from suites.e2e.story import Story, tell
from suites.unit.gateway.conftest import PROBES, Forgetful, Probes, Site, settings_of
from suites.unit.memory_ports import World
from suites.wing.api import Api
from system.assembly import Platform
from system.evidence.retrieval import RetrievalSettings, Retriever
from system.gateway.app import create_app

SEED = 20_260_112


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The story of one seed, told on the platform in memory; its search ranks nothing, so the order of a dossier means nothing there."""
    return told(tmp_path_factory.mktemp("platform"))


def told(folder: Path) -> Story:
    world = World()
    ports, probes = world.ports(), Probes()
    retriever = Retriever(ports.search, ports.dense, ports.sparse, Forgetful(), RetrievalSettings(timeout_s=2.0))
    platform = Platform(ports, world.wire("events"), retriever, {name: probes.of(name) for name in PROBES})
    site = Site(create_app(settings_of(folder / "secrets"), platform), world, probes)
    api = Api.__new__(Api)
    api.http = site.client()
    try:
        return tell(api, SEED, lambda _seconds: site.work())
    finally:
        retriever.close()
