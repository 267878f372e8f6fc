"""Versions arrive in any order and the worker dies anywhere: the newest stands alone, and removing it brings the older back."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from suites.unit.memory_ports import Killed, World
from suites.unit.versions.payloads import article, citation, dated, label, study
from suites.unit.worker.conftest import Worker
from system.evidence import intake, steps

NCT = "NCT93000021"
OLD, MIDDLE, NEW = (
    study(NCT, "2020-02-02", effect=-2.5),
    study(NCT, "2021-02-02", effect=0.5),
    study(NCT, "2022-02-02", effect=2.5, status="TERMINATED"),
)
KINDS: Mapping[str, tuple[str, bytes, bytes]] = {
    "study": ("ctgov", OLD, NEW),
    "article": ("jats", article({"pmc": "PMC7300021"}, dates=dated("2020")), article({"pmc": "PMC7300021"}, dates=dated("2022"))),
    "citation": ("pubmed", citation("93000021", ("2020", "1", "1")), citation("93000021", ("2022", "1", "1"), says="Itch rose.")),
    "label": (
        "spl",
        label("7c0f5c1e-1111-4222-8333-bbbbbbbbbbbb", "1"),
        label("7c0f5c1e-1111-4222-8333-bbbbbbbbbbbb", "2", says="Take 7 mg."),
    ),
}


def ingest(payloads: Sequence[bytes], kills: Sequence[int] = (), source: str = "ctgov", *, together: bool = False) -> World:
    """One payload after the other, or all before the worker begins; it dies at these moments, each counted from the death before."""
    world = World()
    worker, wanted = Worker(world), iter(kills)

    def arm() -> None:
        following = next(wanted, None)
        world.kill_at = None if following is None else len(world.moments) + following

    arm()
    for number, payload in enumerate(payloads):
        world.receive(source, payload, str(number))
        if not together:
            _run(worker, arm)
    _run(worker, arm)
    return world


def _run(worker: Worker, arm: Any) -> None:
    while True:
        try:
            worker.live()
        except Killed:
            arm()
        else:
            return


def standing(world: World) -> dict[str, Any]:
    """Everything that answers, and what is kept of the rest; ids of jobs, times and how often a mark changed left out."""
    rows = world.records.rows
    return {
        "states": {key: row.state for key, row in rows.items()},
        "superseded": {key: (row.superseded_by, row.superseded_on) for key, row in rows.items()},
        "index": dict(world.search.documents),
        "graph": dict(world.graph.contributions),
        "batches": {key: batch.status for key, batch in world.records.batches.items()},
        "chunks": dict(world.records.chunks),
        "records": dict(world.records.extracted),
        "waiting": [item.event.event_id for item in world.records.outbox_pending(100)],
    }


def ids(world: World, version: str) -> str:
    (found,) = [key for key in world.records.rows if f"#{version}:" in key]
    return found


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
def test_the_newer_stands_alone_in_either_order(kind: str, *, together: bool) -> None:
    """Index, graph, counts and lists hold the newer one only; the older is kept, readable by its id, and names the newer."""
    source, old, new = KINDS[kind]
    forward, backward = (ingest(order, source=source, together=together) for order in ((old, new), (new, old)))
    assert standing(forward) == standing(backward)
    records = forward.records
    (newest,) = [row.doc_id for row in records.list_documents()]
    (older,) = records.list_documents(superseded=True)
    assert (older.superseded_by, older.superseded_on, older.state) == (newest, "version", "completed")
    assert set(forward.search.documents) == set(forward.graph.contributions) == {newest}
    assert records.counts()["documents"] == records.counts()["superseded"] == 1
    assert records.counts()["chunks"] == len(records.chunks_of(newest)) == forward.search.count()
    assert records.chunks_of(older.doc_id)
    assert [item.doc_id for item in records.extractions()] == [newest]
    assert [item.doc_id for item in records.extractions(older.doc_id)] == [older.doc_id]


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("together", [False, True], ids=["apart", "together"])
def test_three_versions_in_every_order_with_kills_everywhere(number: int, *, together: bool) -> None:
    """Whatever arrives first and wherever the worker dies: the same as the newest arriving last, undisturbed.

    Each order takes every sixth moment, each another sixth.
    """
    order = list(itertools.permutations([OLD, MIDDLE, NEW]))[number]
    right = standing(ingest([OLD, MIDDLE, NEW]))
    calm = ingest(order, together=together)
    assert standing(calm) == right
    for moment in range(number, len(calm.moments), 6):
        assert standing(ingest(order, [moment], together=together)) == right, f"killed {calm.moments[moment]}"


def test_killed_again_and_again() -> None:
    """Several deaths, close together, change the end no more than one."""
    right = standing(ingest([OLD, MIDDLE, NEW]))
    for order, step, first in itertools.product([(NEW, OLD, MIDDLE), (MIDDLE, OLD, NEW)], range(1, 8, 2), range(4)):
        assert standing(ingest(order, [first, *[step] * 12], together=True)) == right


@pytest.mark.parametrize("doomed", ["2022-02-02", "2021-02-02", "2020-02-02"])
def test_removing_a_version_leaves_what_there_would_be_without_it(doomed: str) -> None:
    """The newest gone, the one before it stands again, in index and graph too; the death of the worker changes nothing."""
    versions = {"2020-02-02": OLD, "2021-02-02": MIDDLE, "2022-02-02": NEW}
    left = standing(ingest([payload for version, payload in versions.items() if version != doomed]))

    def removed(kill: int | None) -> World:
        world = ingest(list(versions.values()))
        steps.delete_document(ids(world, doomed), world.ports())
        world.kill_at = None if kill is None else len(world.moments) + kill
        _run(Worker(world), lambda: None)
        return world

    calm = removed(None)
    assert standing(calm) == left
    for kill in range(40):
        assert standing(removed(kill)) == left


def test_a_removed_version_may_come_again() -> None:
    """Sent again after its removal it stands again, and the older one leaves again."""
    world = ingest([OLD, NEW])
    for number in range(3):
        steps.delete_document(ids(world, "2022-02-02"), world.ports())
        _run(Worker(world), lambda: None)
        assert set(world.graph.contributions) == set(world.search.documents) == {ids(world, "2020-02-02")}
        world.receive("ctgov", NEW, f"again-{number}")
        _run(Worker(world), lambda: None)
        assert standing(world) == standing(ingest([OLD, NEW]))


def test_the_same_bytes_again_change_nothing() -> None:
    """Neither the standing nor the superseded version gains anything by being sent twice."""
    assert standing(ingest([OLD, NEW, OLD, NEW, OLD])) == standing(ingest([OLD, NEW]))


def test_other_bytes_of_one_version_are_ordered_by_their_receipt_and_say_so() -> None:
    """The later received stands, whatever order they are worked on in, and a repetition of the first does not bring it back."""
    one, other = study(NCT, "2021-02-02", note="one"), study(NCT, "2021-02-02", note="other")
    ends = []
    for payloads in ([one, other], [one, other, one]):
        for kill in range(0, 60, 3):
            world = ingest(payloads, [kill], together=True)
            (older,) = world.records.list_documents(superseded=True)
            (newest,) = world.records.list_documents()
            assert older.superseded_on == "receipt"
            ends.append((older.doc_id, newest.doc_id))
    assert len(set(ends)) == 1
    assert ends[0][1] in ingest([other]).records.rows


def test_a_payload_split_late_keeps_the_place_of_its_receipt() -> None:
    """The first payload waits while the second is worked on: still the second one stands, and a repetition in a third changes nothing."""
    one, other = study(NCT, "2021-02-02", note="one"), study(NCT, "2021-02-02", note="other")
    right = standing(ingest([one, other]))
    for order in itertools.permutations(range(3)):
        world = World()
        for number, payload in enumerate([one, other, one]):
            world.receive("ctgov", payload, str(number))
        received = list(world.records.outbox)
        for number in order:
            assert intake.split_submission(received[number], world.ports()) is steps.Outcome.DONE
        _run(Worker(world), lambda: None)
        assert standing(world) == right


def test_a_newer_version_that_cannot_be_used_supersedes_nothing() -> None:
    """The gate refuses it: the job says failed, the older one goes on answering; once it passes, the older one leaves."""
    world = ingest([OLD])
    older = ids(world, "2020-02-02")
    world.receive("ctgov", NEW, "new")
    intake.split_submission(world.records.outbox[-1], world.ports())
    newest = ids(world, "2022-02-02")
    world.gate.refuses = {newest}
    _run(Worker(world), lambda: None)
    assert world.records.rows[newest].state == "failed"
    assert set(world.search.documents) == set(world.graph.contributions) == {older}
    assert world.records.rows[older].superseded_by is None
    world.gate.refuses = set()
    steps.run_again(world.records.rows[newest], world.ports())
    _run(Worker(world), lambda: None)
    assert standing(world) == standing(ingest([OLD, NEW]))


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)], ids=["older first", "newer first"])
def test_while_the_graph_is_away_nothing_is_lost_and_the_end_is_the_same(order: tuple[bytes, bytes]) -> None:
    """Batches wait, withdrawals too: when the graph is back, it holds the newer one only."""
    for kill in [None, *range(0, 60, 4)]:
        world = ingest(order[:1])
        world.receive("ctgov", order[1], "later")
        world.away = {"graph"}
        world.kill_at = None if kill is None else len(world.moments) + kill
        Worker(world).run()
        assert standing(world) == standing(ingest([OLD, NEW]))


def test_passages_of_the_same_id_stand_beside_each_other() -> None:
    """They belong to test collections, whose ids say nothing about each other."""
    payloads = [b'{"_id": "17", "title": "A", "text": "Itch."}', b'{"_id": "17", "title": "B", "text": "Rash."}']
    world = ingest(payloads, source="passages")
    assert len(world.records.list_documents()) == 2
    assert world.records.counts()["superseded"] == 0
