"""Ledger statements: documents enter, change state and leave; each function runs inside its caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from system.platform.errors import Conflict, MarkMoved, NotFound
from system.platform.lineage import Lineage
from system.platform.ports import LedgerLaw, LedgerRow, OutboxEvent, Transition
from system.platform.record_types import NewDocument
from system.stores import records_audit as audit
from system.stores import records_queue as queue
from system.stores import records_versions as versions
from system.stores.postgres import Connection, statement

_COLUMNS = (
    "doc_id, source, native_id, state, version, raw_object, ir_object, job_id, reason, updated_at, superseded_by, superseded_on, marks"
)


def create(
    connection: Connection,
    law: LedgerLaw,
    submission_id: str,
    rows: Sequence[NewDocument],
    events: Sequence[OutboxEvent],
    consumed_event_id: str | None,
) -> tuple[str, ...]:
    """Enter the documents that are not there yet; returns their ids."""
    if consumed_event_id is not None and not queue.consume(connection, consumed_event_id, submission_id):
        return ()
    for row in rows:
        _check_path(law, row)
    series = {row.series for row in rows}
    audit.lock_shards(connection, [*(row.doc_id for row in rows), *versions.lock(connection, series)])
    queue.name_objects(connection, [row.raw_object for row in rows])
    moment = versions.received(connection, submission_id)
    first = {row.doc_id: (place, row) for place, row in reversed(list(enumerate(rows)))}
    ordered = sorted(first.values(), key=lambda one: one[1].doc_id)
    created = tuple(row.doc_id for place, row in ordered if _enter(connection, row, f"{moment} {place:06}"))
    versions.settle(connection, series)
    known = {row.doc_id for row in rows} - set(created)
    queue.emit(connection, [event for event in events if event.key not in known])
    connection.execute("UPDATE submissions SET split_at = coalesce(split_at, now()) WHERE submission_id = %s", (submission_id,))
    return created


def _check_path(law: LedgerLaw, row: NewDocument) -> None:
    old: str | None = None
    for state in row.states:
        law(row.doc_id, old, state)
        old = state


def _enter(connection: Connection, row: NewDocument, received: str) -> bool:
    at = audit.now_text()
    connection.execute("INSERT INTO job_documents (job_id, doc_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", (row.job_id, row.doc_id))
    inserted = connection.execute(
        "INSERT INTO documents (doc_id, source, native_id, state, version, raw_object, job_id, reason, updated_at, series, rank, received)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (
            row.doc_id,
            row.source,
            row.native_id,
            row.states[-1],
            len(row.states),
            row.raw_object,
            row.job_id,
            _json(row.reason),
            at,
            row.series,
            row.rank,
            received,
        ),
    ).rowcount
    if not inserted:  # an earlier payload with it may be split later: when its bytes came first is what counts
        older = 'UPDATE documents SET received = %s WHERE doc_id = %s AND received COLLATE "C" > %s'
        connection.execute(older, (received, row.doc_id, received))
        versions.adopt(connection, row.doc_id, Lineage(row.series, row.rank))
        return False
    old: str | None = None
    for version, state in enumerate(row.states, start=1):
        reason = row.reason if state == row.states[-1] else None
        audit.append(connection, row.doc_id, "transition" if old else "created", at, _step(old, state, version, reason))
        old = state
    return True


def transition(connection: Connection, law: LedgerLaw, wanted: Transition) -> LedgerRow:
    """One compare-and-set with its events; see the port for what it raises."""
    series = versions.series_of(connection, wanted.doc_id) if wanted.new_state == "failed" else ""
    audit.lock_shards(connection, [wanted.doc_id, *versions.lock(connection, [series])])
    row = read(connection, wanted.doc_id, lock=True)
    if row is None:
        raise NotFound(f"{wanted.doc_id} is not in the ledger")
    if wanted.consumed_event_id is not None and not queue.consume(connection, wanted.consumed_event_id, wanted.doc_id):
        return row
    if row.version != wanted.expected_version:
        raise Conflict(f"{wanted.doc_id} is at version {row.version} ({row.state}), not {wanted.expected_version}: read it again")
    if wanted.expected_marks not in (None, row.marks):
        raise MarkMoved(f"{wanted.doc_id} was superseded or came back meanwhile: read it again")
    _check_walk(law, row.state, wanted)
    queue.emit(connection, wanted.events)
    queue.name_objects(connection, [wanted.ir_object] if wanted.ir_object else [])
    if row.state == wanted.new_state:
        return row
    moved = _move(connection, row, wanted)
    if series:  # a document that failed leads no series
        connection.execute("UPDATE documents SET published = false WHERE doc_id = %s", (wanted.doc_id,))
        versions.settle(connection, [series])
    return moved


def _check_walk(law: LedgerLaw, state: str, wanted: Transition) -> None:
    for new in (*wanted.via, wanted.new_state):
        law(wanted.doc_id, state, new)
        state = new


def _move(connection: Connection, row: LedgerRow, wanted: Transition) -> LedgerRow:
    """Walk ``via`` and the new state: each is a link of the audit chain and counts one version."""
    at, old = audit.now_text(), row.state
    for walked, state in enumerate(wanted.via, start=1):
        audit.append(connection, wanted.doc_id, "transition", at, _step(old, state, row.version + walked, None))
        old = state
    version = row.version + len(wanted.via) + 1
    changes = "state = %s, version = %s, ir_object = coalesce(%s, ir_object), reason = %s, updated_at = %s"
    query = f"UPDATE documents SET {changes} WHERE doc_id = %s RETURNING {_COLUMNS}"  # noqa: S608 - constants only
    values = (wanted.new_state, version, wanted.ir_object, _json(wanted.reason), at, wanted.doc_id)
    moved = connection.execute(statement(query), values).fetchone()
    assert moved is not None, "the row is locked by this transaction"
    detail = _step(old, wanted.new_state, version, wanted.reason)
    audit.append(connection, wanted.doc_id, "transition", at, {**detail, "ir_object": wanted.ir_object} if wanted.ir_object else detail)
    return LedgerRow(*moved)


Cleanup = Callable[[tuple[str, ...]], OutboxEvent]


def delete(connection: Connection, doc_id: str, events: Sequence[OutboxEvent], cleanup: Cleanup | None) -> tuple[str, ...]:
    """Everything the records know of a document but its audit entries; its past events too, or it could never come again.

    Payloads it came in go with it, for it stands in them; what else they brought has raw objects of its own.
    """
    series = versions.series_of(connection, doc_id)
    audit.lock_shards(connection, [doc_id, *versions.lock(connection, [series])])
    row = read(connection, doc_id, lock=True)
    if row is None:
        raise NotFound(f"{doc_id} is not in the ledger")
    connection.execute("DELETE FROM consumed_events WHERE event_id IN (SELECT event_id FROM outbox WHERE key = %s)", (doc_id,))
    connection.execute("DELETE FROM outbox WHERE key = %s", (doc_id,))
    connection.execute("DELETE FROM graph_batches WHERE supporter = %s", (doc_id,))
    payloads = connection.execute(
        "DELETE FROM submissions WHERE split_at IS NOT NULL AND job_id IN (SELECT job_id FROM job_documents WHERE doc_id = %s)"
        " RETURNING raw_object",
        (doc_id,),
    ).fetchall()
    for table in ("chunks", "extractions", "documents"):
        connection.execute(statement(f"DELETE FROM {table} WHERE doc_id = %s"), (doc_id,))  # noqa: S608 - constants only
    audit.append(connection, doc_id, "deleted", audit.now_text(), _step(row.state, "deleted", row.version, None))
    versions.settle(connection, [series])
    named = tuple(sorted({row.raw_object, *([row.ir_object] if row.ir_object else []), *(one[0] for one in payloads)}))
    queue.emit(connection, [*events, cleanup(named)] if cleanup else events)
    return named


def read(connection: Connection, doc_id: str, *, lock: bool = False) -> LedgerRow | None:
    query = f"SELECT {_COLUMNS} FROM documents WHERE doc_id = %s{' FOR UPDATE' if lock else ''}"  # noqa: S608 - constants only
    row = connection.execute(statement(query), (doc_id,)).fetchone()
    return None if row is None else LedgerRow(*row)


def page(connection: Connection, after: str, limit: int, state: str | None, source: str | None, *, superseded: bool) -> Sequence[LedgerRow]:
    query = (
        f"SELECT {_COLUMNS} FROM documents WHERE doc_id > %s AND (%s::text IS NULL OR state = %s)"  # noqa: S608 - constants only
        " AND (%s::text IS NULL OR source = %s) AND (superseded_by IS NOT NULL) = %s ORDER BY doc_id LIMIT %s"
    )
    rows = connection.execute(statement(query), (after, state, state, source, source, superseded, limit))
    return tuple(LedgerRow(*row) for row in rows)


def _step(old: str | None, new: str, version: int, reason: Mapping[str, str] | None) -> dict[str, Any]:
    return {"old": old, "new": new, "version": version, "reason": reason}


def _json(value: Mapping[str, str] | None) -> Jsonb | None:
    return None if value is None else Jsonb(dict(value))
