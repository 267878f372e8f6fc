"""The records port on PostgreSQL: every call is one transaction, and what is acknowledged is committed.

The statements stand in ``records_ledger``, ``records_queue``, ``records_content`` and ``records_audit``; this class gives
each its transaction. The ledger's law and the types of chunks and extractions come from the domain, which this package
must not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, TypeVar

import msgspec

from system.platform.ports import (
    ChunkT,
    ExtractionT,
    GraphBatch,
    LedgerLaw,
    LedgerRow,
    OutboxEvent,
    PendingEvent,
    StagedBatch,
    Transition,
)
from system.platform.record_types import (
    AuditAnchor,
    AuditReport,
    DeadLetter,
    HistoryEntry,
    IdempotencyKey,
    Job,
    JobView,
    NewDeadLetter,
    NewDocument,
    Receipt,
    Submission,
)
from system.platform.settings import Settings
from system.stores import records_audit, records_content, records_ledger, records_queue, records_versions
from system.stores.postgres import Connection, Database, create_schema

_SCHEMA_LOCK = 0x45485F52  # "EH_R"
_OPTIONS = "-c synchronous_commit=on -c jit=off"

T = TypeVar("T")


class PostgresRecords(Generic[ChunkT, ExtractionT]):
    """Implements :class:`system.platform.ports.Records`."""

    def __init__(self, database: Database, law: LedgerLaw, chunk_type: type[ChunkT], extraction_type: type[ExtractionT]) -> None:
        self._database = database
        self._law = law
        self._chunks: msgspec.json.Decoder[ChunkT] = msgspec.json.Decoder(chunk_type)
        self._extractions: msgspec.json.Decoder[ExtractionT] = msgspec.json.Decoder(extraction_type)
        self._ready = False

    @classmethod
    def connect(
        cls, settings: Settings, law: LedgerLaw, chunk_type: type[ChunkT], extraction_type: type[ExtractionT], *, size: int = 12
    ) -> PostgresRecords[ChunkT, ExtractionT]:
        """An adapter that connects, and makes what is missing of the schema, on first use."""
        database = Database("records", settings.records_url, settings.secret("records_password"), size=size, options=_OPTIONS)
        return cls(database, law, chunk_type, extraction_type)

    def ensure_schema(self, deadline_s: float = 0.0) -> None:
        """Create what is missing, once; safe to call from many processes. Waits up to ``deadline_s`` for a starting server."""
        if not self._ready:
            create_schema(self._database, "schema_records.sql", _SCHEMA_LOCK, deadline_s)
            self._ready = True

    def close(self) -> None:
        self._database.close()

    def ping(self) -> None:
        self._run(lambda c: c.execute("SELECT count(*) FROM audit_anchors").fetchone())

    def _run(self, work: Callable[[Connection], T]) -> T:
        self.ensure_schema()
        return self._database.run(work)

    # --- requests and events

    def receive_submission(
        self, job: Job, submission: Submission, event: OutboxEvent, idempotency: IdempotencyKey | None = None
    ) -> Receipt:
        return self._run(lambda c: records_queue.receive(c, job, submission, event, idempotency))

    def submission(self, submission_id: str) -> Submission | None:
        return self._run(lambda c: records_queue.submission(c, submission_id))

    def job(self, job_id: str) -> JobView | None:
        def work(connection: Connection) -> JobView | None:
            # One snapshot: a payload split between two statements would make a job that is completed and has no documents.
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return records_queue.job_view(connection, job_id)

        return self._run(work)

    def consumed(self, event_id: str, consumer: str) -> bool:
        return self._run(lambda c: records_queue.consumed(c, event_id, consumer))

    def outbox_pending(self, limit: int) -> Sequence[PendingEvent]:
        return self._run(lambda c: records_queue.pending(c, limit))

    def outbox_relayed(self, positions: Sequence[int]) -> None:
        self._run(lambda c: records_queue.relayed(c, positions))

    def sweep(self) -> int:
        """Forget keys, relayed events and their consumption after their retention; returns how many events went."""
        return self._run(records_queue.sweep)

    # --- the ledger

    def create_documents(
        self,
        submission_id: str,
        rows: Sequence[NewDocument],
        events: Sequence[OutboxEvent],
        consumed_event_id: str | None = None,
    ) -> tuple[str, ...]:
        return self._run(lambda c: records_ledger.create(c, self._law, submission_id, rows, events, consumed_event_id))

    def transition(self, transition: Transition) -> LedgerRow:
        return self._run(lambda c: records_ledger.transition(c, self._law, transition))

    def publish(self, doc_id: str) -> tuple[str, ...]:
        return self._run(lambda c: records_versions.publish(c, doc_id))

    def delete_document(
        self, doc_id: str, events: Sequence[OutboxEvent] = (), cleanup: records_ledger.Cleanup | None = None
    ) -> tuple[str, ...]:
        return self._run(lambda c: records_ledger.delete(c, doc_id, events, cleanup))

    def drop_unnamed(self, name: str, drop: Callable[[], None]) -> bool:
        return self._run(lambda c: records_queue.drop_unnamed(c, name, drop))

    def ledger_row(self, doc_id: str) -> LedgerRow | None:
        return self._run(lambda c: records_ledger.read(c, doc_id))

    def list_documents(
        self, after: str = "", limit: int = 100, state: str | None = None, source: str | None = None, *, superseded: bool = False
    ) -> Sequence[LedgerRow]:
        return self._run(lambda c: records_ledger.page(c, after, limit, state, source, superseded=superseded))

    def history(self, subject: str) -> Sequence[HistoryEntry]:
        return self._run(lambda c: records_audit.history(c, subject))

    def verify_audit(self, expected: Sequence[AuditAnchor] = ()) -> AuditReport:
        def work(connection: Connection) -> AuditReport:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            return records_audit.verify(connection, expected)

        return self._run(work)

    # --- content

    def put_chunks(self, doc_id: str, chunks: Sequence[ChunkT]) -> None:
        self._run(lambda c: records_content.put_chunks(c, doc_id, chunks))

    def chunks_of(self, doc_id: str) -> Sequence[ChunkT]:
        return self._run(lambda c: records_content.chunks_of(c, self._chunks, doc_id))

    def chunk(self, chunk_id: str) -> ChunkT | None:
        return self._run(lambda c: records_content.chunk(c, self._chunks, chunk_id))

    def put_extractions(self, doc_id: str, extraction: ExtractionT) -> None:
        self._run(lambda c: records_content.put_extraction(c, doc_id, extraction))

    def extractions(self, doc_id: str | None = None, field: str | None = None, after: str = "", limit: int = 100) -> Sequence[ExtractionT]:
        return self._run(lambda c: records_content.extractions(c, self._extractions, doc_id, field, after, limit))

    # --- graph batches and dead letters

    def stage_graph_batch(
        self,
        batch: GraphBatch,
        events: Sequence[OutboxEvent] = (),
        write_id: str | None = None,
        job: Job | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> StagedBatch:
        def work(connection: Connection) -> StagedBatch:
            staged = records_content.stage_batch(connection, batch, write_id, job.job_id if job else None)
            if job is not None and staged.job_id == job.job_id:  # a repeat keeps the job of the first
                records_queue.enter_job(connection, job)
            if idempotency is not None:
                records_queue.claim_key(connection, idempotency, staged.job_id or "")
            records_queue.emit(connection, events)
            return staged

        return self._run(work)

    def graph_batch_applied(self, supporter: str, payload_sha256: str | None = None) -> None:
        self._run(lambda c: records_content.batch_applied(c, supporter, payload_sha256))

    def graph_batch_withdrawn(self, supporter: str) -> None:
        self._run(lambda c: records_content.batch_withdrawn(c, supporter))

    def graph_batch_refused(self, supporter: str, payload_sha256: str) -> None:
        self._run(lambda c: records_content.batch_refused(c, supporter, payload_sha256))

    def graph_batch(self, supporter: str) -> StagedBatch | None:
        return self._run(lambda c: records_content.batch_of(c, supporter))

    def graph_knows(self, label: str, key: str) -> bool:
        return self._run(lambda c: records_content.knows_node(c, label, key))

    def graph_write(self, write_id: str) -> StagedBatch | None:
        return self._run(lambda c: records_content.batch_of_write(c, write_id))

    def staged_batches(self, limit: int) -> Sequence[StagedBatch]:
        return self._run(lambda c: records_content.staged_batches(c, limit))

    def put_dead_letter(self, letter: NewDeadLetter) -> str:
        return self._run(lambda c: records_content.put_letter(c, letter))

    def mark_replayed(self, letter_id: str) -> None:
        self._run(lambda c: records_content.mark_replayed(c, letter_id))

    def dead_letters(self, status: str | None = None, after: str = "", limit: int = 100) -> Sequence[DeadLetter]:
        return self._run(lambda c: records_content.letters(c, status, after, limit))

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        return self._run(lambda c: records_content.letter(c, letter_id))

    def counts(self) -> Mapping[str, int]:
        return self._run(records_content.counts)
