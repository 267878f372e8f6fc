"""The records on a real PostgreSQL."""

from __future__ import annotations

import concurrent.futures
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from system.evidence.ir import Chunk
from system.evidence.ledger import check_edge
from system.evidence.records import Check, CheckStatus, Effect, EffectType, Extraction, Span
from system.platform.errors import BadInput, Conflict, IllegalTransition, NotFound, Unavailable
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, OutboxEvent, Transition
from system.platform.record_types import IdempotencyKey, Job, NewDeadLetter, NewDocument, Submission
from system.platform.settings import Settings
from system.stores import records_queue
from system.stores.records import PostgresRecords

Store = PostgresRecords[Chunk, Extraction]
DOC = "ctgov:NCT00000001#1:abc"


@pytest.fixture
def settings(database_url: str, make_settings: Callable[..., Settings]) -> Settings:
    return make_settings(records_url=database_url)


@pytest.fixture
def records(settings: Settings) -> Iterator[Store]:
    store = PostgresRecords.connect(settings, check_edge, Chunk, Extraction)
    yield store
    store.close()


@pytest.fixture
def sql(database_url: str, home) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, password=(home / "secrets" / "records_password").read_text(), autocommit=True) as connection:
        yield connection


def event(event_id: str, key: str = DOC) -> OutboxEvent:
    return OutboxEvent(event_id, "t", key, {"id": event_id})


def submit(records: Store, name: str = "s1", key: IdempotencyKey | None = None) -> str:
    job = Job(f"job-{name}", "ingest", "ctgov", "tester")
    submission = Submission(name, job.job_id, "ctgov", "raw/x", "0" * 64)
    return records.receive_submission(job, submission, event(f"received:{name}", name), key).job_id


def enter(records: Store, doc_id: str = DOC, name: str = "s1") -> None:
    submit(records, name)
    row = NewDocument(doc_id, "ctgov", "NCT00000001", "raw/x", f"job-{name}")
    records.create_documents(name, [row], [event(f"created:{doc_id}", doc_id)], f"received:{name}")


def walk(records: Store, *states: str, doc_id: str = DOC) -> None:
    for state in states:
        row = records.ledger_row(doc_id)
        assert row is not None
        records.transition(Transition(doc_id, row.version, state, (event(f"{state}:{doc_id}:{row.version}", doc_id),)))


def test_a_submission_becomes_documents_once(records: Store) -> None:
    """Splitting twice, as after a crash, creates each document once and its event once."""
    enter(records)
    assert records.create_documents("s1", [NewDocument(DOC, "ctgov", "N", "raw/x", "job-s1")], [], "received:s1") == ()
    assert records.create_documents("s1", [NewDocument(DOC, "ctgov", "N", "raw/x", "job-s1")], [event("again")]) == ()
    assert [one.event.event_id for one in records.outbox_pending(10)] == ["received:s1", f"created:{DOC}"]
    row = records.ledger_row(DOC)
    assert row is not None
    assert (row.state, row.version, row.job_id) == ("pending", 1, "job-s1")
    assert records.consumed("received:s1", "s1")


def test_a_second_job_shares_a_known_document(records: Store) -> None:
    """The same bytes ingested again join the new job without a second life."""
    enter(records)
    enter(records, name="s2")
    view = records.job("job-s2")
    assert view is not None
    assert [(one.doc_id, one.state) for one in view.documents] == [(DOC, "pending")]
    assert len(records.history(DOC)) == 1


def test_a_job_is_seen_at_one_moment(records: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A payload that is split while its job is read is not split yet: the job is never completed without its documents."""
    submit(records)
    state = records_queue._job_state

    def split_first(*given: Any) -> str:
        monkeypatch.setattr(records_queue, "_job_state", state)
        records.create_documents("s1", [NewDocument(DOC, "ctgov", "N", "raw/x", "job-s1")], [], "received:s1")
        return state(*given)

    monkeypatch.setattr(records_queue, "_job_state", split_first)
    seen, after = records.job("job-s1"), records.job("job-s1")
    assert seen is not None
    assert after is not None
    assert [(seen.state, len(seen.documents)), (after.state, len(after.documents))] == [("accepted", 0), ("running", 1)]


def test_an_unsplittable_payload_is_one_failed_document(records: Store) -> None:
    """It walks pending, fetching, failed in one transaction and keeps its reason."""
    submit(records)
    reason = {"error": "not JSON", "place": "byte 0", "remedy": "send JSON"}
    states = ("pending", "fetching", "failed")
    records.create_documents("s1", [NewDocument("ctgov:unknown-1#0:1", "ctgov", "", "raw/x", "job-s1", states, reason)], [])
    row = records.ledger_row("ctgov:unknown-1#0:1")
    assert row is not None
    assert (row.state, row.version, row.reason) == ("failed", 3, reason)
    assert [entry.detail["new"] for entry in records.history(row.doc_id)] == list(states)
    view = records.job("job-s1")
    assert view is not None
    assert view.state == "failed"


def test_compare_and_set_is_won_by_one(records: Store) -> None:
    """Of many writers with the same expected version exactly one moves the document, and one event is emitted."""
    enter(records)

    def attempt(number: int) -> bool:
        try:
            records.transition(Transition(DOC, 1, "fetching", (event(f"fetching-by-{number}"),)))
        except Conflict:
            return False
        return True

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(24)))
    assert won.count(True) == 1
    assert [one.event.event_id for one in records.outbox_pending(50)][2:] == [f"fetching-by-{won.index(True)}"]
    assert len(records.history(DOC)) == 2


def test_illegal_edges_change_nothing(records: Store) -> None:
    """A refused edge leaves state, outbox, consumed events and audit as they were."""
    enter(records)
    with pytest.raises(IllegalTransition):
        records.transition(Transition(DOC, 1, "completed", (event("wrong"),), consumed_event_id="c1"))
    with pytest.raises(NotFound):
        records.transition(Transition("nobody", 1, "fetching"))
    with pytest.raises(IllegalTransition, match="pending"):
        records.create_documents("s1", [NewDocument("x", "ctgov", "N", "raw/x", "job-s1", ("fetched",))], [])
    assert len(records.outbox_pending(10)) == 2
    assert len(records.history(DOC)) == 1
    assert not records.consumed("c1", DOC)
    assert records.ledger_row("x") is None


def test_a_consumed_event_is_applied_once(records: Store) -> None:
    """Delivering an event again returns the row as it is now."""
    enter(records)
    first = records.transition(Transition(DOC, 1, "fetching", consumed_event_id="e"))
    walk(records, "fetched")
    again = records.transition(Transition(DOC, 1, "fetching", (event("double"),), consumed_event_id="e"))
    assert (first.version, again.version, again.state) == (2, 3, "fetched")
    assert "double" not in {one.event.event_id for one in records.outbox_pending(50)}


def test_staying_in_a_state_is_no_change(records: Store) -> None:
    """A same-state update is tolerated, counts no version and leaves no history."""
    enter(records)
    row = records.transition(Transition(DOC, 1, "pending", (event("noted"),)))
    assert row.version == 1
    assert len(records.history(DOC)) == 1


def test_state_and_event_are_one_transaction(records: Store, sql: psycopg.Connection) -> None:
    """If the event cannot be written, the state has not changed either."""
    enter(records)
    sql.execute("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$")
    sql.execute("CREATE TRIGGER refuse BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION refuse()")
    with pytest.raises(psycopg.errors.RaiseException):
        records.transition(Transition(DOC, 1, "fetching", (event("lost?"),)))
    row = records.ledger_row(DOC)
    assert row is not None
    assert row.state == "pending"
    assert len(records.history(DOC)) == 1


def test_a_server_killed_inside_a_transaction_leaves_neither_half(
    records: Store, sql: psycopg.Connection, postgres, wait_for: Callable[..., None]
) -> None:
    """Killed between the state and its event, the server comes back with neither of them; a repeat does both."""
    enter(records)
    sql.execute("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN new; END $$")
    sql.execute("CREATE TRIGGER wait BEFORE INSERT ON document_history FOR EACH ROW EXECUTE FUNCTION wait()")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(records.transition, Transition(DOC, 1, "fetching", (event("e1"),)))
        wait_for(lambda: sql.execute("SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone() is not None)
        postgres.kill()
        with pytest.raises(Unavailable):
            running.result()
    postgres.start()
    row = records.ledger_row(DOC)
    assert row is not None
    assert (row.state, row.version) == ("pending", 1)
    assert "e1" not in {one.event.event_id for one in records.outbox_pending(10)}
    records._database.execute(lambda c: c.execute("DROP TRIGGER wait ON document_history"))
    assert records.transition(Transition(DOC, 1, "fetching", (event("e1"),))).version == 2
    assert "e1" in {one.event.event_id for one in records.outbox_pending(10)}
    assert records.verify_audit().problems == ()


def test_a_hundred_requests_with_one_key_are_one(records: Store) -> None:
    """Concurrent submissions with the same idempotency key get the same job; one submission and one event exist."""
    key = IdempotencyKey("k", "tester", "/v1/ingest/ctgov", "b" * 64)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        jobs = set(pool.map(lambda number: submit(records, f"s{number}", key), range(100)))
    assert len(jobs) == 1
    assert records.counts()["jobs"] == 1
    assert len(records.outbox_pending(200)) == 1


def test_a_key_is_bound_to_body_principal_and_route(records: Store, sql: psycopg.Connection) -> None:
    """Another body is a conflict; another principal or a day later it is another key."""
    key = IdempotencyKey("k", "a", "/r", "1" * 64)
    first = submit(records, "s1", key)
    with pytest.raises(Conflict, match="another body"):
        submit(records, "s2", IdempotencyKey("k", "a", "/r", "2" * 64))
    assert submit(records, "s3", IdempotencyKey("k", "b", "/r", "2" * 64)) != first
    sql.execute("UPDATE idempotency SET created_at = created_at - interval '25 hours'")
    assert submit(records, "s4", IdempotencyKey("k", "a", "/r", "2" * 64)) == "job-s4"


def test_the_outbox_forgets_nothing_until_relayed(records: Store) -> None:
    """Pending events come in order until they are marked."""
    enter(records)
    walk(records, "fetching", "fetched")
    pending = records.outbox_pending(100)
    assert [one.position for one in pending] == sorted(one.position for one in pending)
    assert records.outbox_pending(1) == pending[:1]
    records.outbox_relayed([pending[0].position, pending[1].position])
    assert records.outbox_pending(100) == pending[2:]


def test_old_events_and_keys_are_swept(records: Store, sql: psycopg.Connection) -> None:
    """What was relayed long ago goes with its consumption; what is not relayed stays however old."""
    enter(records)
    records.outbox_relayed([records.outbox_pending(1)[0].position])
    assert records.sweep() == 0
    sql.execute("UPDATE outbox SET relayed_at = relayed_at - interval '16 days', created_at = created_at - interval '16 days'")
    assert records.sweep() == 1
    assert not records.consumed("received:s1", "s1")
    assert [one.event.event_id for one in records.outbox_pending(10)] == [f"created:{DOC}"]


def chunks(*texts: str) -> list[Chunk]:
    return [Chunk(f"{DOC}:c{n}#x", DOC, n, 0, len(text), text, "s", "text", "t") for n, text in enumerate(texts)]


def extraction() -> Extraction:
    effect = Effect("r1", DOC, EffectType.HAZARD_RATIO, 0.8, "death", (Span(0, 3, "a\0b"),), Check(CheckStatus.AGREES), ci_percent=97.5)
    return Extraction(DOC, "x/1", effects=(effect,))


def test_content_comes_back_as_it_went_in(records: Store) -> None:
    """Chunks and extractions are replaced whole and decode to equal values, NUL characters included."""
    enter(records)
    records.put_chunks(DOC, chunks("one", "two", "three"))
    records.put_chunks(DOC, chunks("eins", "zwei\0\t\\N"))
    assert list(records.chunks_of(DOC)) == chunks("eins", "zwei\0\t\\N")
    assert records.chunk(f"{DOC}:c1#x") == chunks("eins", "zwei\0\t\\N")[1]
    assert records.chunk("none") is None
    records.put_extractions(DOC, extraction())
    assert records.extractions(DOC) == (extraction(),)
    assert records.extractions(field="effects") == (extraction(),)
    assert records.extractions(field="doses") == ()
    assert records.extractions(after=DOC) == ()


def batch(supporter: str = "w1", value: float = 1.0) -> GraphBatch:
    a, b = NodeRef("Study", "a"), NodeRef("Arm", "b")
    nodes = (GraphNode(a, {"x": value, "names": ("p", "q"), "n": None, "flag": True}), GraphNode(b, {"i": 3}))
    return GraphBatch(supporter, nodes, (GraphEdge("HAS_ARM", a, b, "", {}),))


def test_a_graph_write_is_staged_then_applied(records: Store) -> None:
    """A write id is good for one payload; a repeat finds the write as it stands."""
    job = Job("j", "kg_write", "", "tester")
    staged = records.stage_graph_batch(batch(), [event("g", "w1")], "w1", job)
    assert (staged.batch, staged.status, staged.job_id) == (batch(), "staged", "j")
    view = records.job("j")
    assert view is not None
    assert view.state == "accepted"
    with pytest.raises(Conflict):
        records.stage_graph_batch(batch(value=2.0), [], "w1")
    records.graph_batch_applied("w1", "0" * 64)
    assert records.staged_batches(10) == (staged,)
    records.graph_batch_applied("w1", staged.payload_sha256)
    assert records.stage_graph_batch(batch(), [], "w1").status == "applied"
    assert records.staged_batches(10) == ()
    found = records.graph_write("w1")
    assert found is not None
    assert found.status == "applied"
    assert [entry.action for entry in records.history("w1")] == ["graph_staged", "graph_applied"]


def test_a_repeated_batch_keeps_its_first_job(records: Store) -> None:
    """One job row a batch, also when it is staged again after a refusal; a key that comes with a repeat is bound to that job."""
    key = IdempotencyKey("k", "tester", "POST /v1/kg/write", "0" * 64)
    first = records.stage_graph_batch(batch(), [], "w1", Job("j1", "kg_write", "", "tester"))
    assert records.stage_graph_batch(batch(), [], "w1", Job("j2", "kg_write", "", "tester"), key).job_id == "j1"
    records.graph_batch_refused("w1", first.payload_sha256)
    assert records.stage_graph_batch(batch(), [], "w1", Job("j3", "kg_write", "", "tester")).job_id == "j1"
    assert records.counts()["jobs"] == 1


def test_a_refused_write_may_be_corrected_under_its_id_and_key(records: Store) -> None:
    """The graph refused it: another batch takes the id and the key; once that is staged, both are bound to it."""
    keys = [IdempotencyKey("k", "tester", "POST /v1/kg/write", digit * 64) for digit in "01"]
    first = records.stage_graph_batch(batch(), [], "w1", Job("j1", "kg_write", "", "tester"), keys[0])
    with pytest.raises(Conflict):
        records.stage_graph_batch(batch(value=2.0), [], "w1", Job("j2", "kg_write", "", "tester"), keys[1])
    records.graph_batch_refused("w1", first.payload_sha256)
    staged = records.stage_graph_batch(batch(value=2.0), [], "w1", Job("j2", "kg_write", "", "tester"), keys[1])
    assert (staged.batch, staged.status, staged.job_id) == (batch(value=2.0), "staged", "j1")
    with pytest.raises(Conflict):
        records.stage_graph_batch(batch(), [], "w1", Job("j3", "kg_write", "", "tester"), keys[0])
    with pytest.raises(Conflict, match="idempotency key"):
        records.stage_graph_batch(batch("w2"), [], "w2", Job("j4", "kg_write", "", "tester"), keys[0])


def test_a_documents_batch_is_replaced(records: Store) -> None:
    """A document extracted anew stages its new contribution over the old one."""
    enter(records)
    records.stage_graph_batch(batch(DOC))
    records.graph_batch_applied(DOC)
    assert records.stage_graph_batch(batch(DOC, 2.0)).status == "staged"
    found = records.graph_batch(DOC)
    assert found is not None
    assert found.batch == batch(DOC, 2.0)


def test_content_of_a_deleted_document_is_refused(records: Store) -> None:
    """A step that finishes after the deletion cannot leave anything behind."""
    for late in (
        lambda: records.put_chunks(DOC, chunks("one")),
        lambda: records.put_extractions(DOC, extraction()),
        lambda: records.stage_graph_batch(batch(DOC)),
    ):
        with pytest.raises(NotFound):
            late()
    assert not any(records.counts().values())


def test_a_dead_letter_is_kept_and_replayed(records: Store) -> None:
    """The same refusal twice is one letter with two attempts; its payload is kept byte by byte."""
    letter = NewDeadLetter("kg_write", "w1", "2 violations", b'[{"path":"p"}]', b'{"a": 1}')
    letter_id = records.put_dead_letter(letter)
    assert records.put_dead_letter(letter) == letter_id
    found = records.dead_letter(letter_id)
    assert found is not None
    assert (found.status, found.attempts, found.payload, found.issues) == ("open", 2, b'{"a": 1}', [{"path": "p"}])
    records.mark_replayed(letter_id)
    assert [one.letter_id for one in records.dead_letters("replayed")] == [letter_id]
    assert records.dead_letters("open") == ()
    with pytest.raises(NotFound):
        records.mark_replayed("dl-none")


def test_deleting_leaves_only_the_audit_and_the_document_can_come_again(records: Store) -> None:
    """Nothing of the document stays but its history; ingesting it again starts a new life with new events."""
    enter(records)
    records.put_chunks(DOC, chunks("one"))
    records.put_extractions(DOC, extraction())
    records.stage_graph_batch(batch(DOC))
    records.delete_document(DOC, [event(f"deleted:{DOC}")])
    assert records.ledger_row(DOC) is None
    assert {name: count for name, count in records.counts().items() if count} == {"jobs": 1, "outbox_pending": 2}
    assert [entry.action for entry in records.history(DOC)] == ["created", "graph_staged", "deleted"]
    with pytest.raises(NotFound):
        records.delete_document(DOC)
    enter(records, name="s2")
    assert f"created:{DOC}" in {one.event.event_id for one in records.outbox_pending(50)}
    assert records.verify_audit().problems == ()


def test_deleting_names_the_objects_and_their_event_in_its_transaction(records: Store) -> None:
    """Raw, IR and payload; each is dropped once nothing names it, and an object that something names is not."""
    dropped: list[str] = []
    enter(records)
    submit(records, "s2")  # the same payload, not split yet
    walk(records, "fetching", "fetched", "parsing", "parsed", "validating", "validated", "ir_building")
    row = records.ledger_row(DOC)
    assert row is not None
    records.transition(Transition(DOC, row.version, "ir_ready", (), "ir/y"))
    assert not records.drop_unnamed("ir/y", lambda: dropped.append("ir/y"))
    names = records.delete_document(DOC, (), lambda names: event(" ".join(names)))
    assert names == ("ir/y", "raw/x")
    assert records.submission("s1") is None
    assert "ir/y raw/x" in {one.event.event_id for one in records.outbox_pending(50)}
    assert [records.drop_unnamed(name, lambda name=name: dropped.append(name)) for name in names] == [True, False]
    assert dropped == ["ir/y"]


def test_nobody_names_an_object_while_it_is_dropped(records: Store) -> None:
    """A submission of the same content waits until the drop has ended, so that what it checks afterwards is the end of it."""
    order: list[str] = []
    with concurrent.futures.ThreadPoolExecutor(1) as pool:

        def drop() -> None:
            named = pool.submit(lambda: (submit(records), order.append("named")))
            with pytest.raises(concurrent.futures.TimeoutError):
                named.result(0.3)
            order.append("dropped")

        assert records.drop_unnamed("raw/x", drop)
    assert order == ["dropped", "named"]
    assert not records.drop_unnamed("raw/x", lambda: order.append("again"))


def test_documents_are_listed_in_pages(records: Store) -> None:
    """Keyset pages follow each other without gaps, filtered by state and source."""
    submit(records)
    rows = [NewDocument(f"ctgov:{n:02}#1:x", "ctgov", str(n), "raw/x", "job-s1") for n in range(7)]
    records.create_documents("s1", rows, [])
    walk(records, "skipped", doc_id="ctgov:03#1:x")
    first = records.list_documents(limit=4)
    rest = records.list_documents(after=first[-1].doc_id, limit=4)
    assert [row.doc_id for row in (*first, *rest)] == [row.doc_id for row in rows]
    assert [row.native_id for row in records.list_documents(state="skipped")] == ["3"]
    assert records.list_documents(source="jats") == ()
    assert records.counts()["documents.skipped"] == 1


def test_a_job_tells_how_far_it_is(records: Store) -> None:
    """Accepted until split, running until every document ended, then completed."""
    submit(records)
    states = [records.job("job-s1").state]  # type: ignore[union-attr]
    records.create_documents("s1", [NewDocument(DOC, "ctgov", "N", "raw/x", "job-s1")], [])
    states.append(records.job("job-s1").state)  # type: ignore[union-attr]
    walk(records, "skipped")
    states.append(records.job("job-s1").state)  # type: ignore[union-attr]
    assert states == ["accepted", "running", "completed"]
    assert records.job("none") is None


def test_text_the_store_cannot_hold_is_refused(records: Store) -> None:
    """A NUL in an identifier is the caller's mistake, said as such."""
    submit(records)
    with pytest.raises(BadInput, match="NUL"):
        records.create_documents("s1", [NewDocument("a\0b", "ctgov", "N", "raw/x", "job-s1")], [])


TAMPERING = {
    "an entry changed": "UPDATE document_history SET entry = replace(entry, 'fetching', 'fetchinq') WHERE sequence = 1",
    "the tail cut": "DELETE FROM document_history WHERE sequence = 3",
    "the head cut": "DELETE FROM document_history WHERE sequence = 0",
    "the middle cut": "DELETE FROM document_history WHERE sequence = 1",
    "all cut": "DELETE FROM document_history",
    "an entry filed under another subject": "UPDATE document_history SET subject = 'other' WHERE sequence = 2",
    "an anchor removed": "DELETE FROM audit_anchors WHERE length > 0",
}


@pytest.mark.parametrize("how", TAMPERING)
def test_the_audit_finds_tampering(records: Store, sql: psycopg.Connection, how: str) -> None:
    """Entries changed, moved or cut off at either end are found; an untouched chain has no problems."""
    enter(records)
    walk(records, "fetching", "fetched", "parsing")
    report = records.verify_audit()
    assert (report.entries, report.problems) == (4, ())
    sql.execute(TAMPERING[how])  # type: ignore[arg-type]
    assert records.verify_audit().problems


def test_anchors_kept_elsewhere_show_a_rewound_store(records: Store, sql: psycopg.Connection) -> None:
    """A chain cut together with its anchor is consistent in itself, but not with anchors that were kept outside."""
    enter(records)
    kept_early = records.verify_audit().anchors
    walk(records, "fetching", "fetched")
    kept = records.verify_audit().anchors
    assert records.verify_audit([*kept_early, *kept]).problems == ()
    sql.execute("DELETE FROM document_history WHERE sequence = 2")
    sql.execute("UPDATE audit_anchors SET length = 2, tail = (SELECT hash FROM document_history WHERE sequence = 1) WHERE length = 3")
    assert records.verify_audit().problems == ()
    assert records.verify_audit(kept).problems


def test_the_store_serves_again_after_its_server_was_killed(records: Store, postgres) -> None:
    """While the server is away every call says Unavailable at once; what was acknowledged is there afterwards."""
    enter(records)
    with concurrent.futures.ThreadPoolExecutor(6) as pool:  # several connections lie idle when the server dies
        list(pool.map(lambda _: records.ledger_row(DOC), range(24)))
    walk(records, "fetching")
    postgres.kill()
    begin = time.monotonic()
    with pytest.raises(Unavailable, match="records"):
        records.ledger_row(DOC)
    assert time.monotonic() - begin < 3
    postgres.start()
    for _ in range(8):
        row = records.ledger_row(DOC)
        assert row is not None
        assert row.state == "fetching"
    assert records.verify_audit().problems == ()


@pytest.mark.skipif(os.name != "posix", reason="needs SIGSTOP")
def test_a_paused_server_does_not_hold_its_callers(settings: Settings, postgres) -> None:
    """A server that answers nothing, not even its own time-out, costs a caller a bounded time."""
    store = PostgresRecords.connect(settings, check_edge, Chunk, Extraction)
    store._database._statement_s = 0.2
    store.ping()
    postgres.pause()
    try:
        begin = time.monotonic()
        with pytest.raises(Unavailable):
            store.ping()
        assert time.monotonic() - begin < 5
    finally:
        postgres.resume()
    store.ping()
    store.close()
