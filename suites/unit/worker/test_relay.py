"""The outbox relay and the applier beside the consumers."""

from __future__ import annotations

import datetime as dt

import msgspec
import pytest

from suites.unit.memory_ports import Killed, World
from suites.unit.worker.conftest import Told, Worker
from system.platform.errors import Unavailable
from system.platform.ports import GraphBatch, GraphNode, NodeRef, OutboxEvent
from system.platform.record_types import Job
from system.worker.relay import RELAY_LIMIT, Applier, Relay


@pytest.fixture
def world() -> World:
    return World()


def fill(world: World, number: int) -> None:
    world.records.outbox += [OutboxEvent(f"e{at}", "t", "one key", {}) for at in range(number)]


def relay(world: World) -> Relay:
    return Relay(world.wire("events"), world.ports(), Told())


def test_events_are_relayed_in_order_and_marked(world: World) -> None:
    """More than one page: the log has each once, in the order of the outbox; a second look finds nothing."""
    fill(world, RELAY_LIMIT + 10)
    mover = relay(world)
    assert [mover.relay_once(), mover.relay_once(), mover.relay_once()] == [RELAY_LIMIT, 10, 0]
    (partition,) = [one for one in world.events.entries if one]
    assert partition == world.records.outbox


def test_nothing_is_marked_before_it_is_appended(world: World) -> None:
    """The event log is away: every event stays pending."""
    fill(world, 3)
    world.away = {"events"}
    with pytest.raises(Unavailable):
        relay(world).relay_once()
    assert world.records.relayed == set()


def test_a_relay_killed_between_append_and_mark_repeats_and_loses_nothing(world: World) -> None:
    """What was appended and not marked is appended again: at least once, still in order."""
    fill(world, 3)
    world.kill_at = len(["before append", "after append"])  # the next moment is before outbox_relayed
    with pytest.raises(Killed):
        relay(world).relay_once()
    assert world.records.relayed == set()
    relay(world).relay_once()
    (partition,) = [one for one in world.events.entries if one]
    assert [one.event_id for one in partition] == ["e0", "e1", "e2"] * 2


def test_duplicates_are_harmless(world: World, payload: bytes) -> None:
    """Every event three times in the log gives what once gives."""
    other = World()
    for one in (world, other):
        one.receive("pubmed", payload)
    Worker(world).run()
    append = other.events.append
    other.events.append = lambda events: [append(events) for _ in range(3)] and None  # type: ignore[method-assign]
    Worker(other).run()
    assert other.state() == world.state()


def test_two_relays_at_once_are_one(world: World) -> None:
    """Both see the same pending events; order by key holds in what a consumer sees first."""
    fill(world, 3)
    pending = world.records.outbox_pending(10)
    relay(world).relay_once()
    world.events.append([one.event for one in pending])
    world.records.outbox_relayed([one.position for one in pending])
    first_seen = list(dict.fromkeys(one.event_id for part in world.events.entries for one in part))
    assert first_seen == ["e0", "e1", "e2"]
    assert relay(world).relay_once() == 0


def test_the_loop_waits_out_an_absent_log_and_ends_when_told(world: World) -> None:
    """Unavailable does not end the relay."""
    fill(world, 1)
    world.away = {"events"}
    stop = Told(turns=3)
    Relay(world.wire("events"), world.ports(), stop).run()
    assert len(stop.pauses) == 3
    assert world.records.relayed == set()


def staged(world: World, supporter: str, age_s: float = 60.0) -> None:
    batch = GraphBatch(supporter, (GraphNode(NodeRef("Condition", supporter), {}),), ())
    world.records.stage_graph_batch(batch, (), supporter.removeprefix("write:"), Job(f"job {supporter}", "kg_write", "", "writer"))
    at = (dt.datetime.now(dt.UTC) - dt.timedelta(seconds=age_s)).isoformat()
    world.records.batches[supporter] = msgspec.structs.replace(world.records.batches[supporter], staged_at=at)


def test_acknowledged_writes_reach_the_graph_when_it_is_back(world: World) -> None:
    """While it is away they stay staged; afterwards each is applied and its job is completed."""
    for number in range(3):
        staged(world, f"write:{number}")
    world.away = {"graph"}
    Applier(world.ports(), Told(turns=3)).run()
    assert world.graph.contributions == {}
    assert world.records.job("job write:0").state == "accepted"  # type: ignore[union-attr]
    world.away = set()
    Applier(world.ports(), Told(turns=3)).run()
    assert set(world.graph.contributions) == {"write:0", "write:1", "write:2"}
    assert {one.status for one in world.records.batches.values()} == {"applied"}
    assert world.records.job("job write:0").state == "completed"  # type: ignore[union-attr]


def test_a_batch_in_the_hands_of_its_writer_is_left_alone(world: World) -> None:
    """A batch staged just now is not applied beside the request that staged it."""
    staged(world, "write:young", age_s=0.0)
    Applier(world.ports(), Told(turns=2)).run()
    assert world.graph.contributions == {}


def test_a_document_deleted_while_its_batch_waits_does_not_come_back(world: World, payload: bytes) -> None:
    """The applier has read the batch when the document goes: what it writes is taken back."""
    world.receive("pubmed", payload)
    world.away = {"graph"}
    worker = Worker(world)
    worker.live()
    (waiting,) = world.records.staged_batches(10)
    world.away = set()
    world.records.delete_document(waiting.batch.supporter)
    world.records.staged_batches = lambda _limit: [waiting]  # type: ignore[method-assign, assignment]
    Applier(world.ports(), Told(turns=2)).run()
    assert world.graph.contributions == {}
