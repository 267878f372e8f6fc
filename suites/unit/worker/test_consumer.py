"""One consumer: leases, order, retries, and what happens to a document that a step of ours cannot digest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from suites.unit.memory_ports import MemoryLog, World
from suites.unit.worker.conftest import Told, consume
from system.evidence.steps import Outcome
from system.platform.errors import Unavailable
from system.platform.ports import OutboxEvent
from system.worker import consumer
from system.worker.consumer import ATTEMPTS_MAX, PAUSE_MAX_S, Consumer, ConsumerSettings
from system.worker.table import ROLES, TABLE, Entry, entries_for

BESIDE = {"document.deleted", "document.superseded", "document.restored"}  # events that are no step of a document's walk


@pytest.fixture
def world() -> World:
    return World(events=MemoryLog(1))


def event(key: str, topic: str = "t") -> OutboxEvent:
    return OutboxEvent(f"{topic}:{key}:1", topic, key, {"doc_id": key})


def table(step: Callable[..., Any], topic: str = "t") -> dict[str, Entry]:
    return {topic: Entry(topic, "r", step)}


def test_events_are_handled_in_order_and_committed_behind_their_effect(world: World) -> None:
    """When a step runs, exactly the events before its own are committed."""
    world.events.append([event(str(number)) for number in range(5)])
    seen: list[tuple[str, int]] = []

    def step(one: OutboxEvent, _ports: object) -> Outcome:
        seen.append((one.key, world.events.committed.get(("all", 0), 0)))
        return Outcome.DONE

    consume(world, table(step), 0)
    assert seen == [(str(number), number) for number in range(5)]
    assert world.events.committed["all", 0] == 5


def test_topics_of_other_roles_are_passed_over(world: World) -> None:
    """An event nobody here is asked for is committed, not stuck."""
    world.events.append([event("a", "somebody.elses"), event("b")])
    seen: list[str] = []
    consume(world, table(lambda one, _: seen.append(one.key)), 0)
    assert seen == ["b"]
    assert world.events.committed["all", 0] == 2


def test_unavailable_is_retried_with_growing_pauses(world: World) -> None:
    """The pauses double up to their bound, however long it takes; nothing overtakes, no document fails, no attempt is counted."""
    world.events.append([event("a"), event("b")])
    left, seen = [9], []

    def step(one: OutboxEvent, _ports: object) -> Outcome:
        if one.key == "a" and left[0]:
            left[0] -= 1
            raise Unavailable("search", "connection refused")
        seen.append(one.key)
        return Outcome.DONE

    told = consume(world, table(step), 0)
    pauses = told.pauses[:9]
    assert pauses == sorted(pauses)
    assert pauses[1] == pauses[0] * 2
    assert pauses[-1] == PAUSE_MAX_S
    assert seen == ["a", "b"]


def test_three_unexpected_errors_fail_the_document_and_the_partition_goes_on(world: World, payload: bytes) -> None:
    """The reason names error and step; the next event is handled; a fourth attempt is not made."""
    world.receive("pubmed", payload)
    world.events.append([*world.records.outbox])
    entries = dict(entries_for(frozenset(ROLES)))
    consume(world, entries, 0)
    created = next(one for one in world.records.outbox if one.topic == "document.created")
    attempts: list[str] = []

    def broken(one: OutboxEvent, _ports: object) -> Outcome:
        attempts.append(one.key)
        if one.topic == "document.created":
            raise ZeroDivisionError("division by zero")
        return Outcome.DONE

    world.events.append([created, event("next")])
    consume(world, {**table(broken), **table(broken, "document.created")}, 0)
    row = world.records.rows[created.key]
    assert row.state == "failed"
    assert row.reason == {
        "error": "ZeroDivisionError: division by zero",
        "place": "document.created",
        "remedy": "a defect of the platform: report it with this document",
    }
    assert attempts == [created.key] * ATTEMPTS_MAX + ["next"]


@pytest.mark.parametrize("until", [entry.topic for entry in TABLE[1:] if entry.topic not in BESIDE])
def test_a_document_can_be_given_up_from_every_state(world: World, payload: bytes, until: str) -> None:
    """Whatever step breaks, the way to failed is one the ledger has."""
    world.receive("pubmed", payload)
    step = {entry.topic: entry.step for entry in TABLE}
    at = 0
    while world.records.outbox[at].topic != until:
        step[world.records.outbox[at].topic](world.records.outbox[at], world.ports())
        at += 1
    world.events.append([world.records.outbox[at]])

    def broken(*_: object) -> Outcome:
        raise KeyError("x")

    consume(world, table(broken, until), 0)
    (row,) = world.records.rows.values()
    assert row.state == "failed"
    assert world.search.count() == 0
    assert world.events.committed["all", 0] == 1


def test_a_submission_that_breaks_the_splitter_is_one_failed_document(world: World, payload: bytes) -> None:
    """Its job ends as failed instead of staying open for ever."""
    job = world.receive("pubmed", payload)
    world.events.append(world.records.outbox)

    def broken(*_: object) -> Outcome:
        raise RecursionError("too deep")

    consume(world, table(broken, "submission.received"), 0)
    assert world.records.job(job).state == "failed"  # type: ignore[union-attr]


def test_a_submission_whose_payload_is_lost_does_not_hold_up_the_partition(world: World, payload: bytes) -> None:
    """The object store has lost (or garbled) the payload: the job fails with the reason, the next event is handled."""
    job = world.receive("pubmed", payload)
    world.objects.blobs.clear()
    world.events.append([*world.records.outbox, event("next")])
    seen: list[str] = []
    stop = Told(turns=50)
    consume(world, {**entries_for(frozenset(ROLES)), **table(lambda one, _: seen.append(one.key))}, 0, stop)
    assert seen == ["next"]
    view = world.records.job(job)
    assert view is not None
    assert view.state == "failed"
    assert "NotFound" in view.documents[0].reason["error"]  # type: ignore[index]


def test_giving_up_waits_while_the_records_are_away(world: World, payload: bytes) -> None:
    """A document cannot be failed while its ledger is away: the event stays uncommitted until it can be."""
    world.receive("pubmed", payload)
    world.events.append(world.records.outbox)
    consume(world, entries_for(frozenset(ROLES)), 0)
    created = next(one for one in world.records.outbox if one.topic == "document.created")
    world.events.append([created])
    calls = [0]

    def broken(*_: object) -> Outcome:
        calls[0] += 1
        world.away = {"records"} if calls[0] < 6 else set()
        raise ZeroDivisionError

    consume(world, table(broken, "document.created"), 0)
    assert (calls[0], world.records.rows[created.key].state) == (6, "failed")


def test_a_lost_lease_stops_before_the_next_event_and_commits_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a step runs somebody else takes the partition: its commit is refused and nothing further is handled on the old lease."""
    monkeypatch.setattr(consumer, "LEASE_S", 0.03)
    world.events.append([event("a"), event("b")])
    handled: list[str] = []
    noticed = threading.Event()
    stop = Told(turns=1)
    renew = world.events.renew

    def watched(*arguments: Any) -> bool:
        held = renew(*arguments)
        if not held:
            noticed.set()
        return held

    world.events.renew = watched  # type: ignore[method-assign]

    def step(one: OutboxEvent, _ports: object) -> Outcome:
        handled.append(one.key)
        world.events.tokens["all", 0] += 1  # another owner acquired it
        assert noticed.wait(5.0)
        return Outcome.DONE

    consume(world, table(step), 0, stop)
    assert handled == ["a"]
    assert world.events.committed == {}


def test_a_stale_token_never_commits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if the renewal has not noticed yet, the fencing token of the commit does; the event comes again."""
    world.events.append([event("a")])
    handled: list[str] = []

    def step(one: OutboxEvent, _ports: object) -> Outcome:
        handled.append(one.key)
        if len(handled) == 1:
            world.events.tokens["all", 0] += 1
        return Outcome.DONE

    consume(world, table(step), 0)
    assert handled == ["a", "a"]
    assert world.events.committed["all", 0] == 1


def test_renewal_that_fails_counts_as_lost(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event log that is away cannot confirm the lease: the consumer lets go and acquires again."""
    monkeypatch.setattr(consumer, "LEASE_S", 0.03)
    world.events.append([event("a")])
    asked: list[int] = []
    acquire, lost = world.events.acquire, threading.Event()

    def away(*_: object) -> bool:
        lost.set()
        raise Unavailable("events", "connection refused")

    def counted(*arguments: Any) -> int | None:
        asked.append(1)
        return acquire(*arguments)

    world.events.renew = away  # type: ignore[method-assign]
    world.events.acquire = counted  # type: ignore[method-assign]
    consume(world, table(lambda *_: lost.wait(5.0)), 0)
    assert len(asked) >= 2


def test_without_a_lease_nothing_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else holds the partition: ask again later, read nothing."""
    world.events.append([event("a")])
    world.events.acquire = lambda *_: None  # type: ignore[method-assign]
    handled: list[str] = []
    consume(world, table(lambda one, _: handled.append(one.key)), 0, Told(turns=5))
    assert handled == []


def test_an_event_log_that_is_away_is_asked_again_with_growing_pauses(world: World) -> None:
    """The consumer outlives its event log."""
    world.away = {"events"}
    stop = Told(turns=8)
    consume(world, {}, 0, stop)
    assert stop.pauses == sorted(stop.pauses)
    assert stop.pauses[-1] == PAUSE_MAX_S


def test_stop_is_obeyed_between_two_events(world: World) -> None:
    """Told to stop while a step runs: the step ends, its event is committed, the next is not begun."""
    world.events.append([event("a"), event("b")])
    stop, handled = Told(), []

    def step(one: OutboxEvent, _ports: object) -> Outcome:
        handled.append(one.key)
        stop.set()
        return Outcome.DONE

    consume(world, table(step), 0, stop)
    assert handled == ["a"]
    assert world.events.committed == {("all", 0): 1}


def test_effect_is_called_behind_every_effect(world: World) -> None:
    """The relay is woken for each committed effect, so that the next step need not wait for its poll."""
    world.events.append([event("a"), event("b")])
    woken: list[int] = []
    stop = Told()
    world.events.idle = stop.set
    settings = ConsumerSettings("all", "me", 0)
    Consumer(settings, table(lambda *_: Outcome.DONE), world.wire("events"), world.ports(), stop, lambda: woken.append(1)).run()
    assert len(woken) == 2


def test_every_topic_a_step_emits_has_its_step_or_ends_the_flow(world: World, payload: bytes) -> None:
    """The table has no hole: all emitted topics are in it but for the last."""
    world.receive("pubmed", payload)
    at = 0
    step = {entry.topic: entry.step for entry in TABLE}
    while at < len(world.records.outbox):
        one, at = world.records.outbox[at], at + 1
        if one.topic in step:
            step[one.topic](one, world.ports())
    assert {one.topic for one in world.records.outbox} - set(step) == {"document.completed"}
    assert {entry.role for entry in TABLE} <= set(ROLES)


def test_a_read_that_breaks_off_loses_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event log goes away in the middle of a batch: what was not committed comes again, what was does not."""
    world.events.append([event(str(number)) for number in range(4)])
    handled: list[str] = []
    commit, failures = world.events.commit, [2]

    def flaky(group: str, partition: int, position: str, token: int) -> None:
        if position == "1" and failures[0]:
            failures[0] -= 1
            raise Unavailable("events", "connection reset")
        commit(group, partition, position, token)

    world.events.commit = flaky  # type: ignore[method-assign]
    consume(world, table(lambda one, _: handled.append(one.key)), 0)
    assert handled == ["0", "1", "1", "1", "2", "3"]
