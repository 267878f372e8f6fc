"""Statements for requests and events: jobs, submissions, idempotency keys, the outbox and what was consumed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from system.platform.errors import Conflict
from system.platform.ports import OutboxEvent, PendingEvent
from system.platform.record_types import IdempotencyKey, Job, JobDocument, JobView, Receipt, Submission
from system.stores.postgres import Connection

KEY_LIFE = "24 hours"
EVENT_LIFE = "15 days"  # a day longer than the event log keeps entries: what may come again is still known


def emit(connection: Connection, events: Sequence[OutboxEvent]) -> None:
    """Put events into the outbox; an event id that is already there is the same effect and stays as it is."""
    for event in events:
        connection.execute(
            "INSERT INTO outbox (event_id, topic, key, body) VALUES (%s, %s, %s, %s) ON CONFLICT (event_id) DO NOTHING",
            (event.event_id, event.topic, event.key, msgspec.json.encode(event.body, order="sorted").decode()),
        )


def consume(connection: Connection, event_id: str, consumer: str) -> bool:
    """Claim the effect of an event on a consumer; False when it is already committed."""
    query = "INSERT INTO consumed_events (event_id, consumer) VALUES (%s, %s) ON CONFLICT DO NOTHING"
    return connection.execute(query, (event_id, consumer)).rowcount == 1


def consumed(connection: Connection, event_id: str, consumer: str) -> bool:
    query = "SELECT FROM consumed_events WHERE event_id = %s AND consumer = %s"
    return connection.execute(query, (event_id, consumer)).fetchone() is not None


def pending(connection: Connection, limit: int) -> Sequence[PendingEvent]:
    """Events not relayed yet, in the order in which their transactions took effect for each key."""
    rows = connection.execute(
        "SELECT position, event_id, topic, key, body FROM outbox WHERE relayed_at IS NULL ORDER BY position LIMIT %s", (limit,)
    )
    return tuple(PendingEvent(row[0], OutboxEvent(row[1], row[2], row[3], msgspec.json.decode(row[4]))) for row in rows)


def relayed(connection: Connection, positions: Sequence[int]) -> None:
    connection.execute("UPDATE outbox SET relayed_at = now() WHERE position = ANY(%s) AND relayed_at IS NULL", (list(positions),))


def name_objects(connection: Connection, names: Sequence[str]) -> None:
    """Before naming objects: none of them is dropped by somebody else until this transaction has ended."""
    for name in sorted(set(names)):
        connection.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended(%s, 2))", (name,))


_NAMED = (
    "SELECT EXISTS (SELECT FROM documents WHERE raw_object = %(name)s OR ir_object = %(name)s)"
    " OR EXISTS (SELECT FROM submissions WHERE raw_object = %(name)s)"
)


def drop_unnamed(connection: Connection, name: str, drop: Callable[[], None]) -> bool:
    """``drop()`` while nobody can begin to name the object; not called, and False, where something names it."""
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 2))", (name,))
    named = connection.execute(_NAMED, {"name": name}).fetchone()
    if named is None or named[0]:
        return False
    drop()
    return True


def claim_key(connection: Connection, asked: IdempotencyKey, job_id: str) -> Receipt:
    """Bind the key to this job, or tell whose it is. A concurrent claim of the same key waits for the first to commit."""
    values = (asked.key, asked.principal, asked.route)
    won = connection.execute(
        "INSERT INTO idempotency AS i (key, principal, route, body_sha256, job_id) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (key, principal, route) DO UPDATE"
        " SET body_sha256 = excluded.body_sha256, job_id = excluded.job_id, created_at = now()"
        " WHERE i.created_at < now() - %s::interval",
        (*values, asked.body_sha256, job_id, KEY_LIFE),
    ).rowcount
    if won:
        return Receipt(job_id, replayed=False)
    query = "SELECT body_sha256, job_id FROM idempotency WHERE key = %s AND principal = %s AND route = %s"
    first = connection.execute(query, values).fetchone()
    assert first is not None, "the conflicting row is committed"
    if first[0] != asked.body_sha256:
        raise Conflict(f"idempotency key {asked.key!r} was used for another body: send a new key")
    return Receipt(first[1], replayed=True)


def enter_job(connection: Connection, job: Job) -> None:
    connection.execute(
        "INSERT INTO jobs (job_id, kind, source, principal) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (job.job_id, job.kind, job.source, job.principal),
    )


def receive(connection: Connection, job: Job, submission: Submission, event: OutboxEvent, asked: IdempotencyKey | None) -> Receipt:
    """Job, submission and event together, or the receipt of the first request with the same key."""
    receipt = claim_key(connection, asked, job.job_id) if asked else Receipt(job.job_id, replayed=False)
    if receipt.replayed:
        return receipt
    enter_job(connection, job)
    name_objects(connection, [submission.raw_object])
    connection.execute(
        "INSERT INTO submissions (submission_id, job_id, source, raw_object, sha256) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (submission.submission_id, submission.job_id, submission.source, submission.raw_object, submission.sha256),
    )
    emit(connection, [event])
    return receipt


def sweep(connection: Connection) -> int:
    """Delete what has outlived its retention; an event and its consumption go together, or it could never be emitted again."""
    connection.execute("DELETE FROM idempotency WHERE created_at < now() - %s::interval", (KEY_LIFE,))
    gone = connection.execute("DELETE FROM outbox WHERE relayed_at < now() - %s::interval RETURNING event_id", (EVENT_LIFE,)).fetchall()
    connection.execute("DELETE FROM consumed_events WHERE event_id = ANY(%s)", ([row[0] for row in gone],))
    return len(gone)


def submission(connection: Connection, submission_id: str) -> Submission | None:
    query = "SELECT submission_id, job_id, source, raw_object, sha256 FROM submissions WHERE submission_id = %s"
    row = connection.execute(query, (submission_id,)).fetchone()
    return None if row is None else Submission(*row)


def job_view(connection: Connection, job_id: str) -> JobView | None:
    """The job and the state that its parts add up to."""
    row = connection.execute("SELECT job_id, kind, source, principal, created_at::text FROM jobs WHERE job_id = %s", (job_id,)).fetchone()
    if row is None:
        return None
    documents = tuple(
        JobDocument(*one)
        for one in connection.execute(
            "SELECT j.doc_id, coalesce(d.state, 'deleted'), d.reason, d.superseded_by"
            " FROM job_documents j LEFT JOIN documents d USING (doc_id)"
            " WHERE j.job_id = %s ORDER BY j.doc_id",
            (job_id,),
        )
    )
    return JobView(Job(*row[:4]), _job_state(connection, job_id, documents), row[4], documents)


def _job_state(connection: Connection, job_id: str, documents: Sequence[JobDocument]) -> str:
    waiting = connection.execute(
        "SELECT (SELECT count(*) FROM submissions WHERE job_id = %(id)s AND split_at IS NULL),"
        " (SELECT count(*) FROM graph_batches WHERE job_id = %(id)s AND status = 'staged'),"
        " (SELECT count(*) FROM graph_batches WHERE job_id = %(id)s AND status = 'refused')",
        {"id": job_id},
    ).fetchone()
    assert waiting is not None, "an aggregate gives one row"
    states = {document.state for document in documents}
    if any(waiting[:2]):
        return "accepted"
    if states - {"completed", "failed", "skipped", "deleted"}:
        return "running"
    return "failed" if waiting[2] or "failed" in states else "completed"
