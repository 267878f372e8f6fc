"""A version comes or goes exactly while a step works: what the step wrote is made right, or the step begins anew."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest

from suites.unit.memory_ports import World
from suites.unit.versions.test_arrivals import NEW, OLD, ids, ingest
from system.evidence import intake, steps
from system.platform.errors import Unavailable
from system.platform.ports import OutboxEvent
from system.worker.table import TABLE

STEPS = {entry.topic: entry.step for entry in TABLE}


def until(world: World, doc_id: str, topic: str) -> OutboxEvent:
    """Run the steps of one document up to this event, which waits."""
    at = 0
    while True:
        event = world.records.outbox[at]
        if event.key == doc_id and event.topic == topic:
            return event
        if event.key == doc_id or event.topic == "submission.received":
            STEPS[event.topic](event, world.ports())
        at += 1


def at_moment(world: World, moment: str, happens: Callable[[], object]) -> None:
    """Let something happen once, when a writing call reaches this moment."""
    reach, due = world.reach, [happens]

    def reached(now: str) -> None:
        reach(now)
        if now == moment and due:
            due.pop()()

    world.reach = reached  # type: ignore[method-assign]


@pytest.fixture
def meeting() -> tuple[World, str, str]:
    """The newer one completed alone, the older received and not split yet."""
    world = ingest([NEW])
    world.receive("ctgov", OLD, "old")
    intake.split_submission(world.records.outbox[-1], world.ports())
    return world, ids(world, "2020-02-02"), ids(world, "2022-02-02")


def alone() -> tuple[World, str]:
    """The older one alone, received and split."""
    world = World()
    world.receive("ctgov", OLD, "old")
    intake.split_submission(world.records.outbox[0], world.ports())
    return world, ids(world, "2020-02-02")


def newer_stands(world: World) -> None:
    """A newer version is taken in and published by another worker, to its end."""
    world.receive("ctgov", NEW, "new")
    intake.split_submission(world.records.outbox[-1], world.ports())
    newest = ids(world, "2022-02-02")
    STEPS["document.indexed"](until(world, newest, "document.indexed"), world.ports())


@pytest.mark.parametrize(
    ("topic", "moment"),
    [
        ("document.ir_ready", "before search.replace_document"),
        ("document.ir_ready", "after search.replace_document"),
        ("document.indexed", "before graph.replace_contribution"),
        ("document.indexed", "after graph.replace_contribution"),
        ("document.indexed", "after records.publish"),
    ],
)
def test_superseded_while_a_step_writes_it(topic: str, moment: str) -> None:
    """The step begins anew, or finds its work done: it leaves neither index rows nor a contribution, and the document goes on."""
    world, older = alone()
    event = until(world, older, topic)
    at_moment(world, moment, lambda: newer_stands(world))
    with contextlib.suppress(Unavailable):
        STEPS[topic](event, world.ports())
    STEPS[topic](event, world.ports())
    assert world.records.rows[older].state == ("indexed" if topic == "document.ir_ready" else "completed")
    assert older not in world.search.documents
    assert older not in world.graph.contributions


@pytest.mark.parametrize(
    ("topic", "moment"), [("document.ir_ready", "after search.delete_document"), ("document.indexed", "after graph.remove_contribution")]
)
def test_the_newer_one_is_removed_while_a_step_leaves_the_older_out(meeting: tuple[World, str, str], topic: str, moment: str) -> None:
    """It stands again: the step begins anew and writes it."""
    world, older, newest = meeting
    event = until(world, older, topic)
    at_moment(world, moment, lambda: world.records.delete_document(newest))
    with pytest.raises(Unavailable, match="meanwhile"):
        STEPS[topic](event, world.ports())
    assert STEPS[topic](event, world.ports()) is steps.Outcome.DONE
    assert older in (world.search.documents if topic == "document.ir_ready" else world.graph.contributions)


def test_when_the_newer_is_completed_the_older_answers_nothing_any_more() -> None:
    """Not some time after it: whoever sees the job end finds the newer one only."""
    world = ingest([OLD])
    older = ids(world, "2020-02-02")
    seen: list[bool] = []
    transition = world.records.transition

    def watched(wanted):  # type: ignore[no-untyped-def]
        if wanted.new_state == "completed":
            seen.append(older in world.search.documents or older in world.graph.contributions)
        return transition(wanted)

    world.records.transition = watched  # type: ignore[method-assign]
    newer_stands(world)
    assert seen == [False]


@pytest.mark.parametrize("moment", ["before graph.replace_contribution", "after graph.replace_contribution"])
def test_superseded_while_the_applier_brings_it_in(moment: str) -> None:
    """The batch that waited for the graph is taken out again and its document completed as superseded."""
    world, older = alone()
    event = until(world, older, "document.indexed")
    world.away = {"graph"}
    STEPS["document.indexed"](event, world.ports())
    world.away = set()
    (staged,) = world.records.staged_batches(10)
    at_moment(world, moment, lambda: newer_stands(world))
    steps.apply_late(world.ports(), staged)
    for waiting in world.records.staged_batches(10):
        steps.apply_late(world.ports(), waiting)
    assert world.records.rows[older].state == "completed"
    assert set(world.graph.contributions) == {ids(world, "2022-02-02")}


def test_what_a_dead_applier_left_in_the_graph_goes_when_the_next_one_begins() -> None:
    """It wrote a batch after the withdrawal and died before it looked again."""
    world = ingest([OLD, NEW])
    older = ids(world, "2020-02-02")
    world.graph.contributions[older] = world.records.batches[older].batch
    steps.sweep_superseded(world.ports())
    assert set(world.graph.contributions) == {ids(world, "2022-02-02")}
    moments = len(world.moments)
    steps.sweep_superseded(world.ports())
    assert len(world.moments) == moments, "a second sweep writes nothing"


def test_an_old_event_of_a_superseded_document_takes_it_out_again() -> None:
    """A worker that had lost its lease wrote it, and died before it noticed: its event comes again."""
    world = ingest([OLD, NEW])
    older = ids(world, "2020-02-02")
    world.search.documents[older] = ()
    for event in list(world.records.outbox):
        if event.key == older and event.topic == "document.ir_ready":
            assert steps.index(event, world.ports()) is steps.Outcome.SKIPPED
    assert set(world.search.documents) == {ids(world, "2022-02-02")}
