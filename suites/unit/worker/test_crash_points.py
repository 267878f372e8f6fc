"""The worker may be killed at any moment: what comes out is what an undisturbed run gives."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.unit.memory_ports import World
from suites.unit.worker.conftest import CORPUS, Worker
from system.platform.ports import OutboxEvent
from system.worker.table import ROLES, Entry, entries_for

PUBMED = (CORPUS / "pubmed" / "velotril-sleep.xml").read_bytes()
DOC = "pubmed:99000001#2020-06-01:c21c09e8440c"


def _poisoned(topic: str) -> Mapping[str, Entry]:
    """The table with a step that has done its writing and then meets a defect of ours."""
    table = dict(entries_for(frozenset(ROLES)))
    step = table[topic].step

    def defect(event: OutboxEvent, ports: Any) -> Any:
        real = ports.records

        class Breaks:
            def __getattr__(self, name: str) -> Any:
                return getattr(real, name)

            def transition(self, _: object) -> Any:
                raise ZeroDivisionError("a defect")

        return step(event, dataclasses.replace(ports, records=Breaks()))

    table[topic] = dataclasses.replace(table[topic], step=defect)
    return table


def _plain(world: World) -> Callable[[], None]:
    return lambda: None


def _graph_away(world: World) -> Callable[[], None]:
    world.away = {"graph"}
    return lambda: None


def _graph_refuses(world: World) -> Callable[[], None]:
    world.graph.refuses = {DOC}
    return lambda: None


def _graph_refuses_late(world: World) -> Callable[[], None]:
    world.away = {"graph"}
    return lambda: world.graph.refuses.add(DOC)


def _gate_refuses(world: World) -> Callable[[], None]:
    world.gate.refuses = {DOC}
    return lambda: None


SITUATIONS = {one.__name__.strip("_"): one for one in (_plain, _graph_away, _graph_refuses, _graph_refuses_late, _gate_refuses)}
ENDS = {
    "plain": "completed",
    "graph_away": "completed",
    "graph_refuses": "failed",
    "graph_refuses_late": "failed",
    "gate_refuses": "failed",
}


def play(situation: str, kills: list[int], entries: Mapping[str, Entry] | None = None, payload: bytes = PUBMED) -> World:
    """Ingest one payload; each kill is so many moments after the death before."""
    world = World()
    world.receive("pubmed", payload)
    worker = Worker(world, entries or entries_for(frozenset(ROLES)))
    back = SITUATIONS[situation](world)
    wanted = iter(kills)
    reach = world.reach

    def next_kill() -> None:
        following = next(wanted, None)
        world.kill_at = None if following is None else len(world.moments) + following

    def counted(moment: str) -> None:
        try:
            reach(moment)
        except BaseException:
            next_kill()
            raise

    world.reach = counted  # type: ignore[method-assign]
    next_kill()
    worker.run(back)
    assert worker.deaths == len(kills) - len(list(wanted)) - (world.kill_at is not None)
    return world


@pytest.mark.parametrize("situation", sorted(SITUATIONS))
def test_killed_before_and_after_every_writing_call(situation: str) -> None:
    """Every moment of an undisturbed run once: the same rows, walks, chunks, index, graph, letters, events and jobs."""
    calm = play(situation, [])
    end = calm.state()
    assert calm.records.rows[DOC].state == ENDS[situation]
    assert end["jobs"] == {"job-1": ENDS[situation]}
    assert len(calm.moments) > 20
    for moment, name in enumerate(calm.moments):
        assert play(situation, [moment]).state() == end, f"{situation}, killed {name}"


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(sorted(SITUATIONS)), st.lists(st.integers(0, 25), min_size=2, max_size=8))
def test_killed_again_and_again(situation: str, kills: list[int]) -> None:
    """Several deaths, each at any moment of the life before, change the end no more than one."""
    assert play(situation, kills).state() == play(situation, []).state()


@pytest.mark.parametrize("topic", ["document.created", "document.fetched", "document.ir_ready", "document.indexed"])
def test_a_defect_and_a_kill_leave_one_failed_document(topic: str) -> None:
    """A step of ours breaks three times behind its writing: the document fails, killed at any moment or not, and answers no question."""
    calm = play("plain", [], _poisoned(topic))
    end = calm.state()
    assert (end["rows"][DOC].state, end["rows"][DOC].reason["error"]) == ("failed", "ZeroDivisionError: a defect")
    assert (end["chunks"], end["index"]) == ({}, {})
    for moment, name in enumerate(calm.moments):
        assert play("plain", [moment], _poisoned(topic)).state() == end, f"killed {name}"


def test_a_payload_of_several_documents_survives_every_kill() -> None:
    """A good and a broken study in one payload: one completed, one failed, wherever the worker dies."""
    good = msgspec.json.decode((CORPUS / "ctgov" / "NCT90000005.json").read_bytes())
    bad = {"protocolSection": {"identificationModule": {"nctId": "NCT90000009", "briefTitle": 7}, "statusModule": {}}}
    payload = msgspec.json.encode({"studies": [bad, good]})

    def run(kill: int | None) -> World:
        world = World()
        world.receive("ctgov", payload)
        world.kill_at = kill
        Worker(world).run()
        return world

    calm = run(None)
    assert sorted(row.state for row in calm.records.rows.values()) == ["completed", "failed"]
    for moment in range(0, len(calm.moments), 2):
        assert run(moment).state() == calm.state()
