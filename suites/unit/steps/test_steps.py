"""Each step alone: what it does, that it may be repeated, and what it does when a port is away or the input is bad."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from suites.unit.memory_ports import Killed, World
from suites.unit.steps.conftest import FILES, STEPS, Walk
from system.evidence import steps
from system.evidence.graph.gate import Gate
from system.evidence.steps import Outcome
from system.platform.errors import Conflict, NotFound, Unavailable
from system.platform.ports import GraphBatch, OutboxEvent

Waiting = Callable[[str], OutboxEvent]
NEEDS = {
    "submission.received": {"objects", "records"},
    "document.created": {"objects", "records"},
    "document.fetched": {"objects", "records"},
    "document.ir_ready": {"objects", "records", "dense", "sparse", "search"},
    "document.indexed": {"objects", "records", "gate"},
}


@pytest.mark.parametrize("source", sorted(FILES))
def test_a_document_of_each_source_is_completed_behind_the_real_gate(world: World, walk: Walk, source: str) -> None:
    """From the payload to the graph: the ledger's whole walk, chunks, index, records, and a contribution that keeps the shapes."""
    world.gate = Gate()
    world.receive(source, FILES[source].read_bytes())
    assert [outcome for _, outcome in walk()] == [Outcome.DONE] * 5
    (row,) = world.records.rows.values()
    assert (row.state, row.version, row.reason) == ("completed", len(world.records.walks[row.doc_id]), None)
    assert world.records.walks[row.doc_id][-3:] == ["embedding", "indexed", "completed"]
    assert [one.chunk_id for one in world.search.documents[row.doc_id]] == [one.chunk_id for one in world.records.chunks[row.doc_id]]
    assert world.graph.contributions[row.doc_id] == world.records.batches[row.doc_id].batch
    assert world.records.extracted[row.doc_id].doc_id == row.doc_id
    assert world.records.batches[row.doc_id].status == "applied"


def test_every_step_twice_is_every_step_once(world: World, walk: Walk, payload: bytes) -> None:
    """Repeating each event at once changes nothing, and the repetition says so."""
    world.receive("pubmed", payload)
    walk()
    once, other = world.state(), World()
    other.receive("pubmed", payload)
    at = 0
    while at < len(other.records.outbox):
        event, at = other.records.outbox[at], at + 1
        if event.topic in STEPS:
            assert STEPS[event.topic](event, other.ports()) is Outcome.DONE
            assert STEPS[event.topic](event, other.ports()) is Outcome.SKIPPED
    assert other.state() == once


def test_old_events_are_skipped_whatever_the_state(world: World, walk: Walk, payload: bytes) -> None:
    """All events again, in any state behind their own, from the last to the first: nothing is written."""
    world.receive("pubmed", payload)
    walk()
    before, moments = world.state(), len(world.moments)
    for event in reversed(world.records.outbox):
        if event.topic in STEPS:
            assert STEPS[event.topic](event, world.ports()) is Outcome.SKIPPED
    assert world.state() == before
    assert len(world.moments) == moments


@pytest.mark.parametrize("topic", list(NEEDS))
def test_an_event_of_a_deleted_document_is_skipped(world: World, waiting: Waiting, topic: str) -> None:
    """The document or submission is gone: no error, nothing written."""
    event = waiting(topic)
    world.records.rows.clear()
    world.records.submissions.clear()
    before = len(world.moments)
    assert STEPS[topic](event, world.ports()) is Outcome.SKIPPED
    assert len(world.moments) == before


@pytest.mark.parametrize(("topic", "port"), [(topic, port) for topic, ports in NEEDS.items() for port in sorted(ports)])
def test_unavailable_passes_through_and_the_step_succeeds_later(world: World, waiting: Waiting, topic: str, port: str) -> None:
    """While a port is away the step raises Unavailable and moves no state; when it is back the same event does its work."""
    event = waiting(topic)
    states = {doc_id: row.state for doc_id, row in world.records.rows.items()}
    world.away = {port}
    with pytest.raises(Unavailable):
        STEPS[topic](event, world.ports())
    assert {doc_id: row.state for doc_id, row in world.records.rows.items()} == states
    world.away = set()
    assert STEPS[topic](event, world.ports()) is Outcome.DONE


def test_a_payload_that_is_no_document_is_one_failed_document(world: World, walk: Walk) -> None:
    """Its job ends as failed, and the ledger says what, where and what to do."""
    world.receive("ctgov", b"{ no JSON")
    walk()
    (row,) = world.records.rows.values()
    assert (row.state, world.records.walks[row.doc_id]) == ("failed", ["pending", "fetching", "failed"])
    assert row.reason is not None
    assert all(row.reason[member] for member in ("error", "place", "remedy"))
    assert world.records.job("job-1").state == "failed"  # type: ignore[union-attr]


def test_a_bad_document_fails_alone(world: World, walk: Walk) -> None:
    """Of two records in one payload the broken one fails with its reason, the other is completed."""
    good = msgspec.json.decode(FILES["ctgov"].read_bytes())
    bad = {"protocolSection": {"identificationModule": {"nctId": "NCT90000009", "briefTitle": 7}, "statusModule": {}}}
    world.receive("ctgov", msgspec.json.encode({"studies": [good, bad]}))
    walk()
    states = {row.native_id[:11]: row for row in world.records.rows.values()}
    assert sorted(row.state for row in states.values()) == ["completed", "failed"]
    assert all(row.reason["remedy"] for row in states.values() if row.state == "failed" and row.reason)


def test_the_same_document_twice_in_one_payload_is_one(world: World, walk: Walk) -> None:
    """A repetition inside a payload joins the first; the job has one document."""
    study = msgspec.json.decode(FILES["ctgov"].read_bytes())
    world.receive("ctgov", msgspec.json.encode({"studies": [study, study]}))
    walk()
    assert [row.state for row in world.records.rows.values()] == ["completed"]


def test_a_refused_document_leaves_a_dead_letter_and_fails(world: World, waiting: Waiting) -> None:
    """The gate refuses: state failed with the reason, one replayable letter with its issues, nothing in the graph, no batch staged."""
    event = waiting("document.indexed")
    world.gate.refuses = {event.key}
    assert STEPS[event.topic](event, world.ports()) is Outcome.FAILED
    row = world.records.rows[event.key]
    assert (row.state, row.reason["place"]) == ("failed", "urn:eh:unit")  # type: ignore[index]
    (letter,) = world.records.letters.values()
    assert (letter.kind, letter.subject, letter.status, letter.issues[0]["value"]) == ("extraction", event.key, "open", "furlong")
    assert msgspec.json.decode(letter.payload)["supporter"] == event.key
    assert (world.graph.contributions, world.records.batches, world.records.extracted) == ({}, {}, {})


def test_a_failed_document_answers_no_question(world: World, waiting: Waiting) -> None:
    """What failed behind the index is in neither the index nor the chunks."""
    event = waiting("document.indexed")
    assert world.search.documents[event.key]
    world.gate.refuses = {event.key}
    STEPS[event.topic](event, world.ports())
    assert world.search.count() == 0
    assert not world.records.chunks[event.key]


def test_a_document_waits_staged_while_the_graph_is_away(world: World, waiting: Waiting) -> None:
    """The event is done, the batch durable, the document stays indexed; applying it later completes it, twice as once."""
    event = waiting("document.indexed")
    world.away = {"graph"}
    assert STEPS[event.topic](event, world.ports()) is Outcome.DONE
    (staged,) = world.records.staged_batches(10)
    assert (world.records.rows[event.key].state, staged.status) == ("indexed", "staged")
    world.away = set()
    for _ in range(2):
        steps.apply_late(world.ports(), staged)
    assert world.records.rows[event.key].state == "completed"
    assert world.records.batches[event.key].status == "applied"
    assert world.graph.contribution_exists(event.key)
    assert [one.topic for one in world.records.outbox].count("document.completed") == 1


def test_a_batch_the_graph_never_takes_fails_the_document(world: World, waiting: Waiting) -> None:
    """BadInput of the graph itself: a dead letter, the batch refused, the document failed; again changes nothing."""
    event = waiting("document.indexed")
    world.graph.refuses = {event.key}
    assert STEPS[event.topic](event, world.ports()) is Outcome.FAILED
    assert (world.records.rows[event.key].state, world.records.batches[event.key].status) == ("failed", "refused")
    assert [one.kind for one in world.records.letters.values()] == ["extraction"]
    before = world.state()
    assert STEPS[event.topic](event, world.ports()) is Outcome.SKIPPED
    assert world.state() == before


def test_a_lost_race_is_skipped(world: World, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else moved the document between reading and compare-and-set."""
    event = waiting("document.created")
    monkeypatch.setattr(world.records, "transition", lambda _: (_ for _ in ()).throw(Conflict("moved on")))
    assert STEPS[event.topic](event, world.ports()) is Outcome.SKIPPED


def test_two_that_complete_one_late_document_are_no_failure(world: World, waiting: Waiting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applier and worker may bring it in at the same moment: whoever comes second marks the batch and raises nothing."""
    event = waiting("document.indexed")
    world.away = {"graph"}
    STEPS[event.topic](event, world.ports())
    staged = world.records.batches[event.key]
    world.away = set()
    monkeypatch.setattr(world.records, "transition", lambda _: (_ for _ in ()).throw(Conflict("moved on")))
    steps.apply_late(world.ports(), staged)
    assert world.records.batches[event.key].status == "applied"


def test_passages_state_no_facts(world: World, walk: Walk) -> None:
    """Passages of a test collection are indexed and completed; nothing is extracted, the graph stays as it is."""
    world.receive("passages", b'{"_id": "p1", "title": "A title", "text": "Aspirin reduced pain."}\n')
    walk()
    assert [row.state for row in world.records.rows.values()] == ["completed"]
    assert (world.graph.contributions, world.records.extracted) == ({}, {})
    assert world.search.count() == 1


def test_the_stored_ir_is_the_same_bytes_every_time(world: World, walk: Walk, payload: bytes) -> None:
    """The object is named after its content, which holds no time."""
    world.receive("pubmed", payload)
    walk()
    (row,) = world.records.rows.values()
    document = steps.load_ir(row, world.objects)
    assert row.ir_object is not None
    assert steps.encode_ir(document) == world.objects.get(row.ir_object)
    assert world.objects.get(row.ir_object)[4:8] == bytes(4)  # the time in a gzip header
    assert gzip.decompress(world.objects.get(row.ir_object)).startswith(b"{")


@pytest.mark.parametrize("topic", ["document.ir_ready", "document.indexed"])
def test_a_document_deleted_while_a_step_works_leaves_nothing(
    world: World, waiting: Waiting, monkeypatch: pytest.MonkeyPatch, topic: str
) -> None:
    """The deletion comes between the step's last write and its compare-and-set: index and graph end without the document."""
    event = waiting(topic)
    transition, ports = world.records.transition, world.ports()

    def deleted_first(wanted: object) -> object:
        monkeypatch.setattr(world.records, "transition", transition)
        steps.delete_document(event.key, ports)
        # What the step wrote between the deletion's own calls:
        if topic == "document.indexed":
            world.graph.contributions[event.key] = batch
        else:
            world.search.documents[event.key] = ()
        return transition(wanted)  # type: ignore[arg-type]

    batch = None
    if topic == "document.indexed":
        batch = GraphBatch(event.key, (), ())
    monkeypatch.setattr(world.records, "transition", deleted_first)
    assert STEPS[topic](event, ports) is Outcome.SKIPPED
    assert event.key not in world.search.documents
    assert event.key not in world.graph.contributions


def test_deleting_may_be_repeated_after_any_interruption(world: World, walk: Walk, payload: bytes) -> None:
    """Graph, index or records away in the middle: the ledger row stays until the end, so asking again finishes; then it is NotFound."""
    world.receive("pubmed", payload)
    walk()
    (doc_id,) = world.records.rows
    for port in ("graph", "search", "records"):
        world.away = {port}
        with pytest.raises(Unavailable):
            steps.delete_document(doc_id, world.ports())
        assert doc_id in world.records.rows
    world.away = set()
    steps.delete_document(doc_id, world.ports())
    assert (world.records.rows, world.search.documents, world.graph.contributions, world.records.batches) == ({}, {}, {}, {})
    with pytest.raises(NotFound):
        steps.delete_document(doc_id, world.ports())


def test_a_removed_document_leaves_no_object(world: World, walk: Walk, payload: bytes) -> None:
    """Raw bytes, IR and the payload it came in are gone when the removal returns; those of other documents stay."""
    world.receive("ctgov", FILES["ctgov"].read_bytes(), "2")
    walk()
    others = set(world.objects.blobs)
    world.records.outbox.clear()
    world.receive("pubmed", payload)
    walk()
    (doc_id,) = [one for one in world.records.rows if one.startswith("pubmed")]
    assert set(world.objects.blobs) > others
    steps.delete_document(doc_id, world.ports())
    assert set(world.objects.blobs) == others


def test_an_object_that_another_document_names_stays(world: World, walk: Walk, payload: bytes) -> None:
    """The same content under two documents: it goes with the second."""
    world.receive("pubmed", payload)
    walk()
    (row,) = world.records.rows.values()
    world.records.rows["other"] = msgspec.structs.replace(row, doc_id="other", ir_object=None)
    steps.delete_document(row.doc_id, world.ports())
    assert set(world.objects.blobs) == {row.raw_object}
    steps.delete_document("other", world.ports())
    assert world.objects.blobs == {}


@pytest.mark.parametrize("times", [1, 2])
def test_a_kill_before_the_objects_go_is_made_up_for_by_the_event(world: World, walk: Walk, payload: bytes, times: int) -> None:
    """Killed behind the ledger's transaction, or the object store away: the worker finishes, once or twice is the same."""
    world.receive("pubmed", payload)
    walk()
    (doc_id,) = world.records.rows
    calm = len(world.moments)
    world.kill_at = calm + 6  # graph, index and ledger, before and after each: the next moment is the first object's
    with pytest.raises(Killed):
        steps.delete_document(doc_id, world.ports())
    assert world.records.rows == {}
    assert world.objects.blobs
    world.away = {"objects"}
    event = next(one for one in world.records.outbox if one.topic == "document.deleted")
    with pytest.raises(Unavailable):
        STEPS["document.deleted"](event, world.ports())
    world.away = set()
    for _ in range(times):
        assert STEPS["document.deleted"](event, world.ports()) is Outcome.DONE
    assert world.objects.blobs == {}


def test_content_that_comes_again_during_its_removal_is_kept(
    world: World, walk: Walk, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal drops the object just before the new row names it: whoever names it sees to it that it is there."""
    world.receive("pubmed", payload)
    create, ports = world.records.create_documents, world.ports()

    def dropped_first(*arguments: Any) -> Any:
        world.objects.blobs.clear()
        return create(*arguments)

    monkeypatch.setattr(world.records, "create_documents", dropped_first)
    STEPS["submission.received"](world.records.outbox[0], ports)
    (row,) = world.records.rows.values()
    assert row.raw_object in world.objects.blobs


def test_a_deleted_document_can_come_again(world: World, walk: Walk, payload: bytes) -> None:
    """The same payload after a deletion gives the same document as the first time."""
    world.receive("pubmed", payload)
    walk()
    (doc_id,) = world.records.rows
    chunks, batch = world.records.chunks[doc_id], world.graph.contributions[doc_id]
    steps.delete_document(doc_id, world.ports())
    world.receive("pubmed", payload, "2")
    world.records.outbox[:] = [one for one in world.records.outbox if one.key == "sub-2"]
    walk()
    assert (world.records.chunks[doc_id], world.graph.contributions[doc_id]) == (chunks, batch)
