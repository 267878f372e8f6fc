"""The records port in memory; see :mod:`suites.unit.memory_ports`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from system.evidence.ledger import check_edge
from system.platform.errors import Conflict, MarkMoved, NotFound
from system.platform.lineage import Lineage, Member, mark_event, standing
from system.platform.ports import GraphBatch, LedgerRow, NodeRef, OutboxEvent, PendingEvent, StagedBatch, Transition
from system.platform.record_types import (
    DeadLetter,
    HistoryEntry,
    IdempotencyKey,
    Job,
    JobDocument,
    JobView,
    NewDeadLetter,
    NewDocument,
    Receipt,
    Submission,
)

LONG_AGO = "2026-01-01T00:00:00+00:00"


class MemoryRecords:
    """:class:`system.platform.ports.Records` over dictionaries; every call is a transaction because nothing interrupts it."""

    def __init__(self) -> None:
        self.rows: dict[str, LedgerRow] = {}
        self.walks: dict[str, list[str]] = {}
        self.jobs: dict[str, Job] = {}
        self.job_documents: dict[str, dict[str, None]] = {}
        self.submissions: dict[str, Submission] = {}
        self.split: set[str] = set()
        self.keys: dict[tuple[str, str, str], tuple[str, str]] = {}
        self.outbox: list[OutboxEvent] = []
        self.relayed: set[int] = set()
        self.forgotten: set[int] = set()  # events of deleted documents: they may be emitted again
        self.consumptions: set[tuple[str, str]] = set()
        self.chunks: dict[str, tuple[Any, ...]] = {}
        self.extracted: dict[str, Any] = {}
        self.batches: dict[str, StagedBatch] = {}
        self.letters: dict[str, DeadLetter] = {}
        self.lineages: dict[str, Lineage] = {}
        self.received: dict[str, str] = {}
        self.arrivals: dict[str, str] = {}  # when each submission came
        self.published: set[str] = set()

    def receive_submission(
        self, job: Job, submission: Submission, event: OutboxEvent, idempotency: IdempotencyKey | None = None
    ) -> Receipt:
        receipt = self._claim(idempotency, job.job_id)
        if not receipt.replayed:
            self.jobs[job.job_id] = job
            self.submissions[submission.submission_id] = submission
            self.arrivals[submission.submission_id] = f"{len(self.arrivals):06}"
            self._emit([event])
        return receipt

    def create_documents(
        self, submission_id: str, rows: Sequence[NewDocument], events: Sequence[OutboxEvent], consumed_event_id: str | None = None
    ) -> tuple[str, ...]:
        if consumed_event_id is not None and not self._consume(consumed_event_id, submission_id):
            return ()
        created = []
        for place, row in enumerate(rows):
            self.job_documents.setdefault(row.job_id, {})[row.doc_id] = None
            received = f"{self.arrivals.get(submission_id, '')} {place:06}"
            if row.doc_id not in self.rows:
                self._enter(row)
                created.append(row.doc_id)
                self.received[row.doc_id], self.lineages[row.doc_id] = received, Lineage(row.series, row.rank)
            self.received[row.doc_id] = min(self.received[row.doc_id], received)
        self._settle_series({row.series for row in rows})
        self._emit([event for event in events if event.key in created])
        self.split.add(submission_id)
        return tuple(created)

    def _enter(self, row: NewDocument) -> None:
        for old, new in zip((None, *row.states), row.states, strict=False):
            check_edge(row.doc_id, old, new)
        self.rows[row.doc_id] = LedgerRow(
            row.doc_id, row.source, row.native_id, row.states[-1], len(row.states), row.raw_object, None, row.job_id, row.reason, LONG_AGO
        )
        self.walks[row.doc_id] = list(row.states)

    def transition(self, transition: Transition) -> LedgerRow:
        row = self.rows.get(transition.doc_id)
        if row is None:
            raise NotFound(f"{transition.doc_id} is not in the ledger")
        if transition.consumed_event_id is not None and (transition.consumed_event_id, row.doc_id) in self.consumptions:
            return row
        if row.version != transition.expected_version:
            raise Conflict(f"{row.doc_id} is at version {row.version}")
        if transition.expected_marks not in (None, row.marks):
            raise MarkMoved(f"{row.doc_id} was superseded or came back meanwhile")
        walked = (*transition.via, transition.new_state)
        for old, new in zip((row.state, *walked), walked, strict=False):
            check_edge(row.doc_id, old, new)
        if transition.consumed_event_id is not None:
            self._consume(transition.consumed_event_id, row.doc_id)
        self._emit(transition.events)
        if row.state != transition.new_state:
            self.walks[row.doc_id] += walked
            self.rows[row.doc_id] = msgspec.structs.replace(
                row,
                state=transition.new_state,
                version=row.version + len(walked),
                ir_object=transition.ir_object or row.ir_object,
                reason=transition.reason,
            )
            if transition.new_state == "failed":
                self.published.discard(row.doc_id)
                self._settle_series({self.lineages[row.doc_id].series} if row.doc_id in self.lineages else set())
        return self.rows[row.doc_id]

    def publish(self, doc_id: str) -> tuple[str, ...]:
        series = self.lineages[doc_id].series if doc_id in self.rows and doc_id in self.lineages else ""
        if not series:
            return ()
        if self.rows[doc_id].state != "failed":
            self.published.add(doc_id)
        self._settle_series({series})
        return tuple(key for key, row in sorted(self.rows.items()) if row.superseded_by == doc_id)

    def _settle_series(self, named: set[str]) -> None:
        for series in sorted(named - {""}):
            for mark in standing([self._member(key) for key in self.rows if key in self.lineages and self.lineages[key].series == series]):
                self.rows[mark.doc_id] = msgspec.structs.replace(
                    self.rows[mark.doc_id], superseded_by=mark.superseded_by, superseded_on=mark.superseded_on, marks=mark.marks
                )
                if mark.moved:
                    before, batch = ("withdrawn" if mark.superseded_by is None else "applied"), self.batches.get(mark.doc_id)
                    if batch is not None and batch.status == before:
                        self.batches[mark.doc_id] = msgspec.structs.replace(batch, status="staged")
                    self._emit([mark_event(mark)])

    def _member(self, doc_id: str) -> Member:
        row, rank = self.rows[doc_id], self.lineages[doc_id].rank
        return Member(doc_id, rank, self.received[doc_id], doc_id in self.published, row.superseded_by, row.superseded_on, row.marks)

    def _superseded(self, doc_id: str) -> bool:
        return doc_id in self.rows and self.rows[doc_id].superseded_by is not None

    def put_chunks(self, doc_id: str, chunks: Sequence[Any]) -> None:
        self._must_exist(doc_id)
        self.chunks[doc_id] = tuple(chunks)

    def put_extractions(self, doc_id: str, extraction: Any) -> None:
        self._must_exist(doc_id)
        self.extracted[doc_id] = extraction

    def stage_graph_batch(
        self,
        batch: GraphBatch,
        events: Sequence[OutboxEvent] = (),
        write_id: str | None = None,
        job: Job | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> StagedBatch:
        digest = hashlib.sha256(msgspec.json.encode(batch, order="sorted")).hexdigest()
        known = self.batches.get(batch.supporter)
        if write_id is None:
            self._must_exist(batch.supporter)
        known_job = known.job_id if known else None
        job_id = known_job or (job.job_id if job else None)
        if known is not None and write_id is not None and known.payload_sha256 != digest and known.status != "refused":
            raise Conflict(f"write {write_id!r} was made with another payload: send a new write id")
        self._claim(idempotency, job_id or "")
        if known is None or known.payload_sha256 != digest or known.status == "refused":
            self.batches[batch.supporter] = StagedBatch(batch, digest, "staged", write_id, job_id, LONG_AGO)
        if job is not None and job.job_id == job_id:
            self.jobs[job.job_id] = job
        self._emit(events)
        return self.batches[batch.supporter]

    def graph_batch_applied(self, supporter: str, payload_sha256: str | None = None) -> None:
        if not self._superseded(supporter):
            self._settle(supporter, payload_sha256, "applied")

    def graph_batch_withdrawn(self, supporter: str) -> None:
        if self._superseded(supporter):
            self._settle(supporter, None, "withdrawn")

    def graph_batch_refused(self, supporter: str, payload_sha256: str) -> None:
        self._settle(supporter, payload_sha256, "refused")
        job_id = self.batches[supporter].job_id if supporter in self.batches else None
        self.keys = {key: claim for key, claim in self.keys.items() if claim[1] != job_id}

    def _settle(self, supporter: str, digest: str | None, status: str) -> None:
        known = self.batches.get(supporter)
        if known is not None and known.status == "staged" and digest in {None, known.payload_sha256}:
            self.batches[supporter] = msgspec.structs.replace(known, status=status)

    def put_dead_letter(self, letter: NewDeadLetter) -> str:
        digest = hashlib.sha256(letter.payload).hexdigest()
        letter_id = "dl-" + hashlib.sha256(f"{letter.kind}\0{letter.subject}\0{digest}".encode()).hexdigest()[:20]
        attempts = self.letters[letter_id].attempts + 1 if letter_id in self.letters else 1
        issues = msgspec.json.decode(letter.issues)
        self.letters[letter_id] = DeadLetter(
            letter_id, letter.kind, letter.subject, letter.reason, issues, letter.payload, digest, "open", attempts, LONG_AGO
        )
        return letter_id

    def mark_replayed(self, letter_id: str) -> None:
        self.letters[letter_id] = msgspec.structs.replace(self.letters[letter_id], status="replayed")

    def outbox_pending(self, limit: int) -> Sequence[PendingEvent]:
        waiting = [PendingEvent(at, event) for at, event in enumerate(self.outbox) if at not in self.relayed]
        return waiting[:limit]

    def outbox_relayed(self, positions: Sequence[int]) -> None:
        self.relayed |= set(positions)

    def delete_document(
        self, doc_id: str, events: Sequence[OutboxEvent] = (), cleanup: Callable[[tuple[str, ...]], OutboxEvent] | None = None
    ) -> tuple[str, ...]:
        self._must_exist(doc_id)
        row, jobs = self.rows[doc_id], {job for job, documents in self.job_documents.items() if doc_id in documents}
        payloads = [one for one in self.submissions.values() if one.job_id in jobs and one.submission_id in self.split]
        for one in payloads:
            del self.submissions[one.submission_id]
        names = tuple(sorted({row.raw_object, *([row.ir_object] if row.ir_object else []), *(one.raw_object for one in payloads)}))
        past = {event.event_id for event in self.outbox if event.key == doc_id}
        self.consumptions = {one for one in self.consumptions if one[0] not in past}
        self.forgotten |= {at for at, event in enumerate(self.outbox) if event.key == doc_id}
        self.relayed |= self.forgotten
        series = self.lineages[doc_id].series if doc_id in self.lineages else ""
        for content in (self.rows, self.chunks, self.extracted, self.batches, self.lineages, self.received):
            content.pop(doc_id, None)
        self.published.discard(doc_id)
        self._settle_series({series})
        self._emit([*events, cleanup(names)] if cleanup else events)
        return names

    def drop_unnamed(self, name: str, drop: Callable[[], None]) -> bool:
        named = any(name in {row.raw_object, row.ir_object} for row in self.rows.values())
        if named or any(one.raw_object == name for one in self.submissions.values()):
            return False
        drop()
        return True

    def ledger_row(self, doc_id: str) -> LedgerRow | None:
        return self.rows.get(doc_id)

    def history(self, subject: str) -> Sequence[HistoryEntry]:
        walk = self.walks.get(subject, [])
        return [HistoryEntry(0, at, subject, "transition", LONG_AGO, {"new": state}, "", "") for at, state in enumerate(walk)]

    def list_documents(
        self, after: str = "", limit: int = 100, state: str | None = None, source: str | None = None, *, superseded: bool = False
    ) -> Sequence[LedgerRow]:
        rows = [row for key, row in sorted(self.rows.items()) if key > after and (row.superseded_by is not None) == superseded]
        return [row for row in rows if state in {None, row.state} and source in {None, row.source}][:limit]

    def submission(self, submission_id: str) -> Submission | None:
        return self.submissions.get(submission_id)

    def job(self, job_id: str) -> JobView | None:
        if job_id not in self.jobs:
            return None
        known = [(one, self.rows.get(one)) for one in sorted(self.job_documents.get(job_id, ()))]
        documents = tuple(
            JobDocument(one, row.state, row.reason, row.superseded_by) if row else JobDocument(one, "deleted", None) for one, row in known
        )
        return JobView(self.jobs[job_id], self._job_state(job_id, documents), LONG_AGO, documents)

    def _job_state(self, job_id: str, documents: Sequence[JobDocument]) -> str:
        batches = {one.status for one in self.batches.values() if one.job_id == job_id}
        if "staged" in batches or any(one.job_id == job_id and one.submission_id not in self.split for one in self.submissions.values()):
            return "accepted"
        states = {one.state for one in documents}
        if states - {"completed", "failed", "skipped", "deleted"}:
            return "running"
        return "failed" if "failed" in states or "refused" in batches else "completed"

    def consumed(self, event_id: str, consumer: str) -> bool:
        return (event_id, consumer) in self.consumptions

    def chunks_of(self, doc_id: str) -> Sequence[Any]:
        return self.chunks.get(doc_id, ())

    def chunk(self, chunk_id: str) -> Any:
        return next((one for all_ in self.chunks.values() for one in all_ if one.chunk_id == chunk_id), None)

    def extractions(self, doc_id: str | None = None, field: str | None = None, after: str = "", limit: int = 100) -> Sequence[Any]:
        asked = {doc_id} if doc_id else {key for key in self.extracted if not self._superseded(key)}
        found = [one for key, one in sorted(self.extracted.items()) if key > after and key in asked]
        return [one for one in found if field is None or getattr(one, field)][:limit]

    def graph_knows(self, label: str, key: str) -> bool:
        lasting = [one for key, one in self.batches.items() if one.status != "refused" and not self._superseded(key)]
        return any(node.ref == NodeRef(label, key) for one in lasting for node in one.batch.nodes)

    def graph_batch(self, supporter: str) -> StagedBatch | None:
        return self.batches.get(supporter)

    def graph_write(self, write_id: str) -> StagedBatch | None:
        return next((one for one in self.batches.values() if one.write_id == write_id), None)

    def staged_batches(self, limit: int) -> Sequence[StagedBatch]:
        return [one for one in self.batches.values() if one.status == "staged"][:limit]

    def dead_letters(self, status: str | None = None, after: str = "", limit: int = 100) -> Sequence[DeadLetter]:
        return [one for key, one in sorted(self.letters.items()) if key > after and status in {None, one.status}][:limit]

    def dead_letter(self, letter_id: str) -> DeadLetter | None:
        return self.letters.get(letter_id)

    def counts(self) -> Mapping[str, int]:
        standing_ = [key for key, row in self.rows.items() if row.superseded_by is None]
        chunks = sum(len(self.chunks.get(key, ())) for key in standing_)
        return {"documents": len(standing_), "superseded": len(self.rows) - len(standing_), "chunks": chunks, "jobs": len(self.jobs)}

    def ping(self) -> None: ...

    def _claim(self, asked: IdempotencyKey | None, job_id: str) -> Receipt:
        if asked is None:
            return Receipt(job_id, replayed=False)
        body, first = self.keys.setdefault((asked.key, asked.principal, asked.route), (asked.body_sha256, job_id))
        if body != asked.body_sha256:
            raise Conflict(f"idempotency key {asked.key!r} was used for another body: send a new key")
        return Receipt(first, replayed=first != job_id)

    def _consume(self, event_id: str, consumer: str) -> bool:
        first = (event_id, consumer) not in self.consumptions
        self.consumptions.add((event_id, consumer))
        return first

    def _emit(self, events: Sequence[OutboxEvent]) -> None:
        known = {event.event_id for at, event in enumerate(self.outbox) if at not in self.forgotten}
        self.outbox += [event for event in events if event.event_id not in known]

    def _must_exist(self, doc_id: str) -> None:
        if doc_id not in self.rows:
            raise NotFound(f"{doc_id} is not in the ledger")
