from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from suites.unit.memory_ports import World
from system.evidence.steps import Outcome
from system.platform.ports import OutboxEvent
from system.worker.table import TABLE

CORPUS = Path(__file__).parents[3] / "samples" / "corpus"
FILES = {
    "ctgov": CORPUS / "ctgov" / "NCT90000001.json",
    "jats": CORPUS / "jats" / "velotril-review.xml",
    "pubmed": CORPUS / "pubmed" / "velotril-sleep.xml",
    "spl": CORPUS / "spl" / "velotril.xml",
}
STEPS = {entry.topic: entry.step for entry in TABLE}
Walk = Callable[..., list[tuple[str, Outcome]]]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def payload() -> bytes:
    return FILES["pubmed"].read_bytes()


@pytest.fixture
def walk(world: World) -> Walk:
    """Runs the step of every event of the outbox, those made meanwhile too, ``times`` each; stops behind the topic ``until``."""

    def run(times: int = 1, until: str = "") -> list[tuple[str, Outcome]]:
        seen, at = [], 0
        while at < len(world.records.outbox):
            event, at = world.records.outbox[at], at + 1
            if event.topic in STEPS:
                seen += [(event.topic, STEPS[event.topic](event, world.ports())) for _ in range(times)]
            if event.topic == until:
                break
        return seen

    return run


@pytest.fixture
def waiting(world: World, walk: Walk, payload: bytes) -> Callable[[str], OutboxEvent]:
    """Brings one document to where it waits for the step of ``topic``; gives the event."""

    def bring(topic: str) -> OutboxEvent:
        world.receive("pubmed", payload)
        order = list(STEPS)
        if topic != order[0]:
            walk(until=order[order.index(topic) - 1])
        return next(event for event in world.records.outbox if event.topic == topic)

    return bring
