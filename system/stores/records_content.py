"""Statements for content: chunks, extractions, graph batches, dead letters and the counts of everything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from system.platform.errors import Conflict, NotFound
from system.platform.ports import ChunkBody, ExtractionBody, GraphBatch, StagedBatch
from system.platform.record_types import DeadLetter, NewDeadLetter
from system.stores import records_audit as audit
from system.stores.postgres import Connection, statement

T = TypeVar("T")


def put_chunks(connection: Connection, doc_id: str, chunks: Sequence[ChunkBody]) -> None:
    connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 1))", (doc_id,))
    _must_exist(connection, doc_id)
    connection.execute("DELETE FROM chunks WHERE doc_id = %s", (doc_id,))
    with connection.cursor() as cursor, cursor.copy("COPY chunks (chunk_id, doc_id, index, body) FROM STDIN") as copy:
        for chunk in chunks:
            copy.write_row((chunk.chunk_id, doc_id, chunk.index, msgspec.json.encode(chunk).decode()))


def _must_exist(connection: Connection, doc_id: str) -> None:
    """Content of a document that was deleted meanwhile would stay for ever: the row is held until the transaction ends."""
    if connection.execute("SELECT FROM documents WHERE doc_id = %s FOR KEY SHARE", (doc_id,)).fetchone() is None:
        raise NotFound(f"{doc_id} is not in the ledger")


def chunks_of(connection: Connection, decoder: msgspec.json.Decoder[T], doc_id: str) -> Sequence[T]:
    rows = connection.execute("SELECT body FROM chunks WHERE doc_id = %s ORDER BY index", (doc_id,))
    return tuple(decoder.decode(row[0]) for row in rows)


def chunk(connection: Connection, decoder: msgspec.json.Decoder[T], chunk_id: str) -> T | None:
    row = connection.execute("SELECT body FROM chunks WHERE chunk_id = %s", (chunk_id,)).fetchone()
    return None if row is None else decoder.decode(row[0])


def put_extraction(connection: Connection, doc_id: str, extraction: ExtractionBody) -> None:
    _must_exist(connection, doc_id)
    body = msgspec.json.encode(extraction).decode()
    filled = [name for name, value in msgspec.to_builtins(extraction).items() if isinstance(value, list | tuple) and value]
    connection.execute(
        "INSERT INTO extractions (doc_id, extractor, fields, body) VALUES (%s, %s, %s, %s) ON CONFLICT (doc_id)"
        " DO UPDATE SET extractor = excluded.extractor, fields = excluded.fields, body = excluded.body",
        (doc_id, extraction.extractor, filled, body),
    )


def extractions(
    connection: Connection, decoder: msgspec.json.Decoder[T], doc_id: str | None, field: str | None, after: str, limit: int
) -> Sequence[T]:
    rows = connection.execute(
        "SELECT body FROM extractions e WHERE doc_id > %s"
        " AND CASE WHEN %s::text IS NULL THEN NOT EXISTS (SELECT FROM documents d WHERE d.doc_id = e.doc_id AND superseded_by IS NOT NULL)"
        " ELSE doc_id = %s END AND (%s::text IS NULL OR %s = ANY(fields)) ORDER BY doc_id LIMIT %s",
        (after, doc_id, doc_id, field, field, limit),
    )
    return tuple(decoder.decode(row[0]) for row in rows)


def _put_nodes(connection: Connection, batch: GraphBatch) -> None:
    connection.execute("DELETE FROM graph_batch_nodes WHERE supporter = %s", (batch.supporter,))
    labels, keys = [node.ref.label for node in batch.nodes], [node.ref.key for node in batch.nodes]
    connection.execute(
        "INSERT INTO graph_batch_nodes (supporter, label, key) SELECT %s, * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING",
        (batch.supporter, labels, keys),
    )


def knows_node(connection: Connection, label: str, key: str) -> bool:
    found = connection.execute(
        "SELECT 1 FROM graph_batch_nodes n WHERE label = %s AND key = %s"
        " AND NOT EXISTS (SELECT FROM documents d WHERE d.doc_id = n.supporter AND superseded_by IS NOT NULL) LIMIT 1",
        (label, key),
    ).fetchone()
    return found is not None


_BATCH = "payload, payload_sha256, status, write_id, job_id, staged_at::text"
_batches = msgspec.json.Decoder(GraphBatch)


def stage_batch(connection: Connection, batch: GraphBatch, write_id: str | None, job_id: str | None) -> StagedBatch:
    """The batch as it is stored now: a repeat changes nothing, another batch of the same document, or of a refused write, replaces it."""
    audit.lock_shards(connection, [batch.supporter])
    if write_id is None:
        _must_exist(connection, batch.supporter)
    payload = msgspec.json.encode(batch, order="sorted")
    digest = hashlib.sha256(payload).hexdigest()
    known = _read_batch(connection, "supporter", batch.supporter)
    if known is not None and known.payload_sha256 == digest and known.status != "refused":
        return known
    if known is not None and write_id is not None and known.payload_sha256 != digest and known.status != "refused":
        raise Conflict(f"write {write_id!r} was made with another payload: send a new write id")
    connection.execute(
        "INSERT INTO graph_batches (supporter, write_id, job_id, payload, payload_sha256, status) VALUES (%s, %s, %s, %s, %s, 'staged')"
        " ON CONFLICT (supporter) DO UPDATE SET payload = excluded.payload, payload_sha256 = excluded.payload_sha256,"
        " status = 'staged', job_id = coalesce(graph_batches.job_id, excluded.job_id), staged_at = now(), applied_at = NULL",
        (batch.supporter, write_id, job_id, payload.decode(), digest),
    )
    _put_nodes(connection, batch)
    audit.append(connection, batch.supporter, "graph_staged", audit.now_text(), {"payload_sha256": digest})
    staged = _read_batch(connection, "supporter", batch.supporter)
    assert staged is not None, "written above"
    return staged


def batch_applied(connection: Connection, supporter: str, payload_sha256: str | None) -> None:
    audit.lock_shards(connection, [supporter])
    row = connection.execute(
        "UPDATE graph_batches SET status = 'applied', applied_at = now() WHERE supporter = %s AND status = 'staged'"
        " AND (%s::text IS NULL OR payload_sha256 = %s)"
        " AND NOT EXISTS (SELECT FROM documents WHERE doc_id = supporter AND superseded_by IS NOT NULL) RETURNING payload_sha256",
        (supporter, payload_sha256, payload_sha256),
    ).fetchone()
    if row is not None:
        audit.append(connection, supporter, "graph_applied", audit.now_text(), {"payload_sha256": row[0]})


def batch_withdrawn(connection: Connection, supporter: str) -> None:
    audit.lock_shards(connection, [supporter])
    connection.execute(
        "UPDATE graph_batches SET status = 'withdrawn', applied_at = NULL WHERE supporter = %s AND status = 'staged'"
        " AND EXISTS (SELECT FROM documents WHERE doc_id = supporter AND superseded_by IS NOT NULL)",
        (supporter,),
    )


def batch_refused(connection: Connection, supporter: str, payload_sha256: str) -> None:
    audit.lock_shards(connection, [supporter])
    row = connection.execute(
        "UPDATE graph_batches SET status = 'refused' WHERE supporter = %s AND status = 'staged' AND payload_sha256 = %s RETURNING job_id",
        (supporter, payload_sha256),
    ).fetchone()
    if row is not None:
        connection.execute("DELETE FROM graph_batch_nodes WHERE supporter = %s", (supporter,))
        connection.execute("DELETE FROM idempotency WHERE job_id = %s", (row[0],))  # nothing was done: the key is free for the correction
        audit.append(connection, supporter, "graph_refused", audit.now_text(), {"payload_sha256": payload_sha256})


def batch_of(connection: Connection, supporter: str) -> StagedBatch | None:
    return _read_batch(connection, "supporter", supporter)


def batch_of_write(connection: Connection, write_id: str) -> StagedBatch | None:
    return _read_batch(connection, "write_id", write_id)


def staged_batches(connection: Connection, limit: int) -> Sequence[StagedBatch]:
    query = f"SELECT {_BATCH} FROM graph_batches WHERE status = 'staged' ORDER BY staged_at, supporter LIMIT %s"  # noqa: S608 - constants only
    return tuple(_staged(row) for row in connection.execute(statement(query), (limit,)))


def _read_batch(connection: Connection, column: str, value: str) -> StagedBatch | None:
    query = f"SELECT {_BATCH} FROM graph_batches WHERE {column} = %s"  # noqa: S608 - constants only
    row = connection.execute(statement(query), (value,)).fetchone()
    return None if row is None else _staged(row)


def _staged(row: tuple[Any, ...]) -> StagedBatch:
    return StagedBatch(_batches.decode(row[0]), *row[1:])


_LETTER = "letter_id, kind, subject, reason, issues::jsonb, payload, payload_sha256, status, attempts, created_at::text"


def put_letter(connection: Connection, letter: NewDeadLetter) -> str:
    """Its id; the same payload refused again reopens its letter and counts the attempt."""
    digest = hashlib.sha256(letter.payload).hexdigest()
    letter_id = "dl-" + hashlib.sha256(f"{letter.kind}\0{letter.subject}\0{digest}".encode()).hexdigest()[:20]
    audit.lock_shards(connection, [letter_id])
    connection.execute(
        "INSERT INTO dead_letters AS d (letter_id, kind, subject, reason, issues, payload, payload_sha256, status)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, 'open') ON CONFLICT (letter_id) DO UPDATE"
        " SET status = 'open', attempts = d.attempts + 1, reason = excluded.reason, issues = excluded.issues",
        (letter_id, letter.kind, letter.subject, letter.reason, letter.issues.decode(), letter.payload, digest),
    )
    audit.append(connection, letter_id, "dead_letter", audit.now_text(), {"subject": letter.subject, "payload_sha256": digest})
    return letter_id


def mark_replayed(connection: Connection, letter_id: str) -> None:
    audit.lock_shards(connection, [letter_id])
    query = "UPDATE dead_letters SET status = 'replayed', replayed_at = now() WHERE letter_id = %s"
    if connection.execute(query, (letter_id,)).rowcount == 0:
        raise NotFound(f"there is no dead letter {letter_id}")
    audit.append(connection, letter_id, "replayed", audit.now_text(), {})


def letters(connection: Connection, status: str | None, after: str, limit: int) -> Sequence[DeadLetter]:
    query = f"SELECT {_LETTER} FROM dead_letters WHERE letter_id > %s AND (%s::text IS NULL OR status = %s) ORDER BY letter_id LIMIT %s"  # noqa: S608
    return tuple(DeadLetter(*row) for row in connection.execute(statement(query), (after, status, status, limit)))


def letter(connection: Connection, letter_id: str) -> DeadLetter | None:
    query = f"SELECT {_LETTER} FROM dead_letters WHERE letter_id = %s"  # noqa: S608 - constants only
    row = connection.execute(statement(query), (letter_id,)).fetchone()
    return None if row is None else DeadLetter(*row)


_COUNTS = """
WITH superseded AS MATERIALIZED (SELECT doc_id FROM documents WHERE superseded_by IS NOT NULL)
SELECT 'documents', count(*) FROM documents WHERE superseded_by IS NULL
UNION ALL SELECT 'documents.' || state, count(*) FROM documents WHERE superseded_by IS NULL GROUP BY state
UNION ALL SELECT 'superseded', count(*) FROM superseded
UNION ALL SELECT 'chunks', (SELECT count(*) FROM chunks) - (SELECT count(*) FROM chunks JOIN superseded USING (doc_id))
UNION ALL SELECT 'extractions', (SELECT count(*) FROM extractions) - (SELECT count(*) FROM extractions JOIN superseded USING (doc_id))
UNION ALL SELECT 'jobs', count(*) FROM jobs
UNION ALL SELECT 'outbox_pending', count(*) FROM outbox WHERE relayed_at IS NULL
UNION ALL SELECT 'graph_staged', count(*) FROM graph_batches WHERE status = 'staged'
UNION ALL SELECT 'dead_letters_open', count(*) FROM dead_letters WHERE status = 'open'
"""


def counts(connection: Connection) -> Mapping[str, int]:
    return dict(connection.execute(_COUNTS).fetchall())
