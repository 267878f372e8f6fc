"""Statements for versions: which document of a series stands. Each runs inside its caller's transaction.

Locks are taken in one order, so that no two transactions wait for each other: the series, the shards of the audit, the rows.
"""

from __future__ import annotations

import datetime as dt
import zlib
from collections.abc import Iterable

from system.platform.lineage import Lineage, Mark, Member, mark_event, standing
from system.stores import records_audit as audit
from system.stores import records_queue as queue
from system.stores.postgres import Connection

_LOCKS = 64  # of all series together: a payload of many documents may not use up the server's locks
_MEMBERS = (
    "SELECT series, doc_id, rank, received, published AND state <> 'failed', superseded_by, superseded_on, marks"
    " FROM documents WHERE series = ANY(%s) ORDER BY doc_id"
)


def lock(connection: Connection, series: Iterable[str]) -> tuple[str, ...]:
    """Until the transaction ends nobody else enters, publishes or removes a document of these series. Returns their members."""
    named = sorted({one for one in series if one})
    for number in sorted({zlib.crc32(one.encode()) % _LOCKS for one in named}):
        connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", (0x45485F56, number))
    return tuple(row[0] for row in connection.execute("SELECT doc_id FROM documents WHERE series = ANY(%s)", (named,))) if named else ()


def series_of(connection: Connection, doc_id: str) -> str:
    """The document's series, which does not change once it has one; empty where it has none or is not there."""
    row = connection.execute("SELECT series FROM documents WHERE doc_id = %s", (doc_id,)).fetchone()
    return row[0] if row else ""


def received(connection: Connection, submission_id: str) -> str:
    """When the payload came, as text that compares; documents add their place in it."""
    row = connection.execute(
        "SELECT to_char(received_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US') FROM submissions WHERE submission_id = %s",
        (submission_id,),
    ).fetchone()
    moment = row[0] if row else dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
    return f"{moment} {submission_id}"


def adopt(connection: Connection, doc_id: str, lineage: Lineage) -> bool:
    """Give a document that was entered before there were versions its place in a locked series; whether it had none."""
    return bool(
        connection.execute(
            "UPDATE documents SET series = %s, rank = %s, published = (state = 'completed') WHERE doc_id = %s AND series = '' AND %s <> ''",
            (lineage.series, lineage.rank, doc_id, lineage.series),
        ).rowcount
    )


def adopt_alone(connection: Connection, doc_id: str, lineage: Lineage) -> bool:
    """As ``adopt``, with its locks and with the marks that follow from it."""
    audit.lock_shards(connection, [doc_id, *lock(connection, [lineage.series])])
    adopted = adopt(connection, doc_id, lineage)
    settle(connection, [lineage.series])
    return adopted


def settle(connection: Connection, series: Iterable[str]) -> None:
    """Mark the members of locked series as they stand now, with audit and events."""
    named = sorted({one for one in series if one})
    if not named:
        return
    members: dict[str, list[Member]] = {}
    for row in connection.execute(_MEMBERS, (named,)):
        members.setdefault(row[0], []).append(Member(*row[1:]))
    for one in named:
        for mark in standing(members.get(one, ())):
            _write(connection, mark)


def _write(connection: Connection, mark: Mark) -> None:
    connection.execute(
        "UPDATE documents SET superseded_by = %s, superseded_on = %s, marks = %s WHERE doc_id = %s",
        (mark.superseded_by, mark.superseded_on, mark.marks, mark.doc_id),
    )
    if mark.moved:  # the graph has to follow: to lose the batch, or to hold it again
        connection.execute(
            "UPDATE graph_batches SET status = 'staged', staged_at = now(), applied_at = NULL WHERE supporter = %s AND status = %s",
            (mark.doc_id, "withdrawn" if mark.superseded_by is None else "applied"),
        )
        queue.emit(connection, [mark_event(mark)])
    action = "restored" if mark.superseded_by is None else "superseded"
    audit.append(connection, mark.doc_id, action, audit.now_text(), {"by": mark.superseded_by, "on": mark.superseded_on})


def publish(connection: Connection, doc_id: str) -> tuple[str, ...]:
    """The document may stand for its series; returns what it supersedes."""
    series = series_of(connection, doc_id)
    if not series:
        return ()
    audit.lock_shards(connection, [doc_id, *lock(connection, [series])])
    known = connection.execute(
        "UPDATE documents SET published = true WHERE doc_id = %s AND state <> 'failed' AND NOT published", (doc_id,)
    ).rowcount
    if known:
        settle(connection, [series])
    older = connection.execute("SELECT doc_id FROM documents WHERE series = %s AND superseded_by = %s ORDER BY doc_id", (series, doc_id))
    return tuple(row[0] for row in older)
