"""Versions on a real PostgreSQL: marks, their events and their batches are one transaction, whoever writes at the same time."""

from __future__ import annotations

import concurrent.futures
import itertools
from collections.abc import Callable, Iterator

import psycopg
import pytest

from system.evidence.ir import Chunk
from system.evidence.ledger import check_edge
from system.evidence.records import Extraction
from system.platform.errors import MarkMoved
from system.platform.ports import GraphBatch, GraphNode, LedgerRow, NodeRef, OutboxEvent, Transition
from system.platform.record_types import Job, NewDocument, Submission
from system.stores.records import PostgresRecords

Store = PostgresRecords[Chunk, Extraction]
RANKS = ("2020", "2021", "2022")


@pytest.fixture
def records(database_url: str, make_settings: Callable[..., object]) -> Iterator[Store]:
    store = PostgresRecords.connect(make_settings(records_url=database_url), check_edge, Chunk, Extraction)  # type: ignore[arg-type]
    yield store
    store.close()


def doc(rank: str, series: str = "ctgov:NCT1") -> str:
    return f"{series}#{rank}:x"


def receive(records: Store, name: str) -> None:
    event = OutboxEvent(f"received:{name}", "submission.received", name, {})
    records.receive_submission(
        Job(f"job-{name}", "ingest", "ctgov", "t"), Submission(name, f"job-{name}", "ctgov", "raw/x", "0" * 64), event
    )


def enter(records: Store, rank: str, *, doc_id: str = "", name: str = "", series: str = "ctgov:NCT1") -> None:
    """A document with a graph batch and content, in state indexed."""
    doc_id, name = doc_id or doc(rank, series), name or f"s{rank}"
    receive(records, name)
    row = NewDocument(doc_id, "ctgov", "NCT1", "raw/x", f"job-{name}", series=series, rank=rank)
    records.create_documents(name, [row], [], f"received:{name}")
    walked = ("fetching", "fetched", "parsing", "parsed", "validating", "validated", "ir_building", "ir_ready", "embedding")
    records.put_chunks(doc_id, [Chunk(f"{doc_id}:c0", doc_id, 0, 0, 1, "x", "", "text", "")])
    records.put_extractions(doc_id, Extraction(doc_id, "rules/1"))
    records.transition(Transition(doc_id, 1, "indexed", via=walked))
    records.stage_graph_batch(GraphBatch(doc_id, (GraphNode(NodeRef("Document", doc_id), {}),), ()))


def row(records: Store, rank: str) -> LedgerRow:
    found = records.ledger_row(doc(rank))
    assert found is not None
    return found


def moves(records: Store) -> list[str]:
    return [one.event.event_id for one in records.outbox_pending(200) if one.event.topic in {"document.superseded", "document.restored"}]


@pytest.mark.parametrize("order", list(itertools.permutations(RANKS)))
def test_the_greatest_published_version_stands(records: Store, order: tuple[str, ...]) -> None:
    """Entered and published in any order: the same one stands, the others name it, each left once, and the audit chain holds."""
    for rank in order:
        enter(records, rank)
        records.publish(doc(rank))
    assert [row(records, rank).superseded_by for rank in RANKS] == [doc("2022"), doc("2022"), None]
    assert sorted(moves(records)) == [f"document.superseded:{doc(rank)}:1" for rank in RANKS[:2]]
    assert records.publish(doc("2022")) == (doc("2020"), doc("2021"))
    assert records.publish(doc("2020")) == ()
    assert records.verify_audit().problems == ()


def test_an_unpublished_version_supersedes_nothing(records: Store) -> None:
    """It was only entered; nor does one that failed afterwards go on superseding."""
    enter(records, "2020")
    records.publish(doc("2020"))
    enter(records, "2022")
    assert row(records, "2020").superseded_by is None
    records.publish(doc("2022"))
    assert row(records, "2020").superseded_by == doc("2022")
    records.transition(Transition(doc("2022"), row(records, "2022").version, "failed"))
    assert row(records, "2020").superseded_by is None
    assert moves(records) == [f"document.superseded:{doc('2020')}:1", f"document.restored:{doc('2020')}:2"]


def test_removing_brings_the_older_back_in_the_same_transaction(records: Store) -> None:
    """With its event and its batch waiting for the graph again; removed and sent again, the newer one supersedes again."""
    for rank in RANKS:
        enter(records, rank)
        records.publish(doc(rank))
    records.delete_document(doc("2022"))
    assert [row(records, rank).superseded_by for rank in RANKS[:2]] == [doc("2021"), None]
    assert moves(records)[-1] == f"document.restored:{doc('2021')}:2"
    enter(records, "2022", name="again")
    records.publish(doc("2022"))
    assert row(records, "2021").superseded_by == doc("2022")
    assert moves(records)[-1] == f"document.superseded:{doc('2021')}:3"


def test_a_superseded_document_counts_and_supports_nothing_but_is_kept(records: Store) -> None:
    """Counts, lists, extractions and known nodes are of the one that stands; by its id the older one is all there."""
    for rank in ("2020", "2022"):
        enter(records, rank)
        records.publish(doc(rank))
    counts = records.counts()
    assert [counts[name] for name in ("documents", "documents.indexed", "superseded", "chunks", "extractions")] == [1, 1, 1, 1, 1]
    assert [one.doc_id for one in records.list_documents()] == [doc("2022")]
    assert [one.doc_id for one in records.list_documents(superseded=True)] == [doc("2020")]
    assert [one.doc_id for one in records.extractions()] == [doc("2022")]
    assert [one.doc_id for one in records.extractions(doc("2020"))] == [doc("2020")]
    assert len(records.chunks_of(doc("2020"))) == 1
    assert [records.graph_knows("Document", doc(rank)) for rank in ("2020", "2022")] == [False, True]
    assert [entry.action for entry in records.history(doc("2020"))][-1] == "superseded"
    view = records.job("job-s2020")
    assert view is not None
    assert view.documents[0].superseded_by == doc("2022")


def test_a_batch_follows_the_mark_of_its_document(records: Store) -> None:
    """Applied, then superseded: it waits for the graph to lose it; lost; back: it waits for the graph to hold it."""
    enter(records, "2020")
    records.publish(doc("2020"))
    records.graph_batch_withdrawn(doc("2020"))  # no effect: it stands
    records.graph_batch_applied(doc("2020"))
    seen = [records.graph_batch(doc("2020")).status]  # type: ignore[union-attr]
    enter(records, "2022")
    records.publish(doc("2022"))
    seen.append(records.graph_batch(doc("2020")).status)  # type: ignore[union-attr]
    records.graph_batch_applied(doc("2020"))  # no effect: whoever wrote it was late
    records.graph_batch_withdrawn(doc("2020"))
    seen.append(records.graph_batch(doc("2020")).status)  # type: ignore[union-attr]
    assert doc("2020") not in {one.batch.supporter for one in records.staged_batches(10)}
    records.delete_document(doc("2022"))
    seen.append(records.graph_batch(doc("2020")).status)  # type: ignore[union-attr]
    assert seen == ["applied", "staged", "withdrawn", "staged"]


def test_a_transition_that_trusted_an_old_mark_is_refused(records: Store) -> None:
    """Nothing of it is written, and it is told apart from a lost race for the state."""
    enter(records, "2020")
    seen = row(records, "2020")
    enter(records, "2022")
    records.publish(doc("2022"))
    event = OutboxEvent("late", "t", doc("2020"), {})
    with pytest.raises(MarkMoved):
        records.transition(Transition(seen.doc_id, seen.version, "completed", (event,), expected_marks=seen.marks))
    assert row(records, "2020").state == "indexed"
    assert "late" not in {one.event.event_id for one in records.outbox_pending(100)}


def test_equal_versions_are_ordered_by_when_they_were_received(records: Store) -> None:
    """Not by when they are split: the second received stands; the first, sent once more, stays superseded and says why."""
    for name in ("first", "second", "third"):
        receive(records, name)
    for name, doc_id in (("third", "a"), ("second", "b"), ("first", "a")):
        new = NewDocument(doc_id, "ctgov", "NCT1", "raw/x", f"job-{name}", series="ctgov:NCT1", rank="2020")
        records.create_documents(name, [new], [], f"received:{name}")
        records.publish(doc_id)
    first, second = records.ledger_row("a"), records.ledger_row("b")
    assert first is not None
    assert second is not None
    assert (first.superseded_by, first.superseded_on, second.superseded_by) == ("b", "receipt", None)


def test_documents_without_versions_stand_beside_each_other(records: Store) -> None:
    """An empty series is no series."""
    for name in ("one", "other"):
        enter(records, "", doc_id=name, name=name, series="")
        assert records.publish(name) == ()
    assert records.counts()["superseded"] == 0


def test_many_writers_of_many_series_neither_deadlock_nor_disagree(records: Store) -> None:
    """Eight at once enter, publish, fail and remove versions of three works: in each the greatest published one that is left stands."""
    works = [f"ctgov:NCT{number}" for number in range(3)]
    pairs = [(series, rank) for series in works for rank in RANKS]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        entered = [pool.submit(enter, records, rank, name=f"{series}-{rank}", series=series) for series, rank in pairs]
        for one in entered:
            one.result()
        published = [pool.submit(records.publish, doc(rank, series)) for series, rank in pairs]
        for one in published:
            one.result()
        removed = [pool.submit(records.delete_document, doc("2022", works[0])), pool.submit(_fail, records, doc("2022", works[1]))]
        removed += [pool.submit(records.publish, doc(rank, series)) for series, rank in pairs]
        for one in removed:
            one.result()
    leaders = [doc("2021", works[0]), doc("2021", works[1]), doc("2022", works[2])]
    for series, leader in zip(works, leaders, strict=True):
        found = records.ledger_row(doc("2020", series))
        assert found is not None
        assert found.superseded_by == leader
        standing = records.ledger_row(leader)
        assert standing is not None
        assert standing.superseded_by is None
    assert records.verify_audit().problems == ()


def _fail(records: Store, doc_id: str) -> None:
    found = records.ledger_row(doc_id)
    assert found is not None
    records.transition(Transition(doc_id, found.version, "failed"))


def test_a_ledger_made_before_there_were_versions_is_taken_over(database_url: str, home, records: Store) -> None:  # type: ignore[no-untyped-def]
    """Its rows get the columns and stand until their version is read, as when they are sent again; its batches may be withdrawn."""
    password = (home / "secrets" / "records_password").read_text()
    columns = ("series", "rank", "received", "published", "superseded_by", "superseded_on", "marks")
    enter(records, "2020")
    with psycopg.connect(database_url, password=password, autocommit=True) as connection:
        for column in columns:
            connection.execute(f"ALTER TABLE documents DROP COLUMN {column}")  # type: ignore[arg-type]
        connection.execute("ALTER TABLE graph_batches DROP CONSTRAINT graph_batches_status_check")
        connection.execute(
            "ALTER TABLE graph_batches ADD CONSTRAINT graph_batches_status_check CHECK (status IN ('staged', 'applied', 'refused'))"
        )
        connection.execute("DELETE FROM applied_schemas")
    again = PostgresRecords(records._database, check_edge, Chunk, Extraction)
    again.ensure_schema()
    assert row(again, "2020").superseded_by is None
    assert again.counts()["documents"] == 1
    walked = Transition(doc("2020"), row(again, "2020").version, "completed")
    again.transition(walked)
    enter(again, "2022")
    again.publish(doc("2022"))
    assert row(again, "2020").superseded_by is None, "nobody has read its version yet"
    again.create_documents("more", [NewDocument(doc("2020"), "ctgov", "NCT1", "raw/x", "job-more", series="ctgov:NCT1", rank="2020")], [])
    assert row(again, "2020").superseded_by == doc("2022")
    with psycopg.connect(database_url, password=password, autocommit=True) as connection:
        connection.execute("UPDATE graph_batches SET status = 'withdrawn'")
