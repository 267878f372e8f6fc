"""The ports in memory, as their Protocols say, with three ways to fail: away, killed at a writing call, refusing a batch.

``World.ports()`` gives what a step, the gateway or a worker works with. Every writing call passes two moments (before, after); the
world counts them, and dies at the one asked for as a process does that is killed there: what was written stays, nothing follows.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from system.evidence.ledger import check_edge
from system.evidence.steps import Ports
from system.platform.errors import BadInput, Conflict, GateIssue, GateRefused, NotFound, Unavailable
from system.platform.ports import (
    WRITING_CALLS,
    GraphBatch,
    Hit,
    LedgerRow,
    LogEntry,
    NodeRef,
    OutboxEvent,
    PendingEvent,
    SearchFilter,
    SparseVector,
    StagedBatch,
    StoredEdge,
    StoredNode,
    Transition,
)
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
from system.stores.graph_schema import edge_key

LONG_AGO = "2026-01-01T00:00:00+00:00"


class Killed(BaseException):
    """The process ends here: no ``except Exception`` sees it."""


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
        self.consumptions: set[tuple[str, str]] = set()
        self.chunks: dict[str, tuple[Any, ...]] = {}
        self.extracted: dict[str, Any] = {}
        self.batches: dict[str, StagedBatch] = {}
        self.letters: dict[str, DeadLetter] = {}

    def receive_submission(
        self, job: Job, submission: Submission, event: OutboxEvent, idempotency: IdempotencyKey | None = None
    ) -> Receipt:
        receipt = self._claim(idempotency, job.job_id)
        if not receipt.replayed:
            self.jobs[job.job_id] = job
            self.submissions[submission.submission_id] = submission
            self._emit([event])
        return receipt

    def create_documents(
        self, submission_id: str, rows: Sequence[NewDocument], events: Sequence[OutboxEvent], consumed_event_id: str | None = None
    ) -> tuple[str, ...]:
        if consumed_event_id is not None and not self._consume(consumed_event_id, submission_id):
            return ()
        created = []
        for row in rows:
            self.job_documents.setdefault(row.job_id, {})[row.doc_id] = None
            if row.doc_id not in self.rows:
                self._enter(row)
                created.append(row.doc_id)
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
        return self.rows[row.doc_id]

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
        self._claim(idempotency, job.job_id if job else "")
        if known is not None and write_id is not None and known.payload_sha256 != digest:
            raise Conflict(f"write {write_id!r} was made with another payload: send a new write id")
        if known is None or known.payload_sha256 != digest or known.status == "refused":
            self.batches[batch.supporter] = StagedBatch(batch, digest, "staged", write_id, job.job_id if job else None, LONG_AGO)
        if job is not None:
            self.jobs[job.job_id] = job
        self._emit(events)
        return self.batches[batch.supporter]

    def graph_batch_applied(self, supporter: str, payload_sha256: str | None = None) -> None:
        self._settle(supporter, payload_sha256, "applied")

    def graph_batch_refused(self, supporter: str, payload_sha256: str) -> None:
        self._settle(supporter, payload_sha256, "refused")

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

    def delete_document(self, doc_id: str, events: Sequence[OutboxEvent] = ()) -> None:
        self._must_exist(doc_id)
        past = {event.event_id for event in self.outbox if event.key == doc_id}
        self.consumptions = {one for one in self.consumptions if one[0] not in past}
        self.relayed |= {at for at, event in enumerate(self.outbox) if event.key == doc_id}
        for content in (self.rows, self.chunks, self.extracted, self.batches):
            content.pop(doc_id, None)
        self._emit(events)

    def ledger_row(self, doc_id: str) -> LedgerRow | None:
        return self.rows.get(doc_id)

    def history(self, subject: str) -> Sequence[HistoryEntry]:
        walk = self.walks.get(subject, [])
        return [HistoryEntry(0, at, subject, "transition", LONG_AGO, {"new": state}, "", "") for at, state in enumerate(walk)]

    def list_documents(self, after: str = "", limit: int = 100, state: str | None = None, source: str | None = None) -> Sequence[LedgerRow]:
        found = [
            row for key, row in sorted(self.rows.items()) if key > after and state in {None, row.state} and source in {None, row.source}
        ]
        return found[:limit]

    def submission(self, submission_id: str) -> Submission | None:
        return self.submissions.get(submission_id)

    def job(self, job_id: str) -> JobView | None:
        if job_id not in self.jobs:
            return None
        known = [(one, self.rows.get(one)) for one in sorted(self.job_documents.get(job_id, ()))]
        documents = tuple(JobDocument(one, row.state if row else "deleted", row.reason if row else None) for one, row in known)
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
        found = [one for key, one in sorted(self.extracted.items()) if key > after and doc_id in {None, key}]
        return [one for one in found if field is None or getattr(one, field)][:limit]

    def graph_knows(self, label: str, key: str) -> bool:
        return any(node.ref == NodeRef(label, key) for one in self.batches.values() if one.status != "refused" for node in one.batch.nodes)

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
        return {"documents": len(self.rows), "chunks": sum(map(len, self.chunks.values())), "jobs": len(self.jobs)}

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
        known = {event.event_id for event in self.outbox}
        self.outbox += [event for event in events if event.event_id not in known]

    def _must_exist(self, doc_id: str) -> None:
        if doc_id not in self.rows:
            raise NotFound(f"{doc_id} is not in the ledger")


class MemoryObjects:
    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def put(self, name: str, data: bytes) -> None:
        self.blobs[name] = data

    def get(self, name: str) -> bytes:
        if name not in self.blobs:
            raise NotFound(f"there is no object {name}")
        return self.blobs[name]

    def exists(self, name: str) -> bool:
        return name in self.blobs

    def delete(self, name: str) -> None:
        self.blobs.pop(name, None)

    def names(self, prefix: str) -> Iterator[str]:
        return iter(sorted(name for name in self.blobs if name.startswith(prefix)))


class MemorySearch:
    def __init__(self) -> None:
        self.documents: dict[str, tuple[Any, ...]] = {}

    def replace_document(self, doc_id: str, rows: Sequence[Any], dense: Sequence[Any], sparse: Sequence[Any]) -> None:
        assert len(rows) == len(dense) == len(sparse)
        self.documents[doc_id] = tuple(rows)

    def delete_document(self, doc_id: str) -> None:
        self.documents.pop(doc_id, None)

    def _hits(self, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        rows = [row for rows in self.documents.values() for row in rows if not filters.sources or row.source in filters.sources]
        return [Hit(row.chunk_id, 100.0 - at) for at, row in enumerate(rows)][:top_k]

    def bm25(self, query: str, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._hits(top_k, filters)

    def sparse(self, vector: SparseVector, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._hits(top_k, filters)

    def dense(self, vector: Sequence[float], top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._hits(top_k, filters)

    def chunks(self, chunk_ids: Sequence[str]) -> Mapping[str, Any]:
        return {row.chunk_id: row for rows in self.documents.values() for row in rows if row.chunk_id in set(chunk_ids)}

    def document_ids(self) -> Iterator[str]:
        return iter(sorted(self.documents))

    def count(self) -> int:
        return sum(map(len, self.documents.values()))


class MemoryGraph:
    """Contributions by supporter; ``refuses`` names supporters whose batch this graph will never take."""

    def __init__(self) -> None:
        self.contributions: dict[str, GraphBatch] = {}
        self.refuses: set[str] = set()

    def replace_contribution(self, batch: GraphBatch) -> None:
        if batch.supporter in self.refuses:
            raise BadInput("an edge ends at a node that does not exist", "urn:eh:Study:X", "write the node first")
        self.contributions[batch.supporter] = batch

    def remove_contribution(self, supporter: str) -> None:
        self.contributions.pop(supporter, None)

    def contribution_exists(self, supporter: str) -> bool:
        return supporter in self.contributions

    def nodes(self, label: str, after_key: str, limit: int) -> Sequence[StoredNode]:
        found: dict[str, StoredNode] = {}
        for supporter, batch in sorted(self.contributions.items()):
            for node in batch.nodes:
                if node.ref.label == label and node.ref.key > after_key:
                    before = found[node.ref.key].supporters if node.ref.key in found else ()
                    found[node.ref.key] = StoredNode(node, (*before, supporter))
        return [found[key] for key in sorted(found)][:limit]

    def edges(self, type_: str, after_key: str, limit: int) -> Sequence[StoredEdge]:
        found = {
            edge_key(edge): StoredEdge(edge, (one,))
            for one, batch in self.contributions.items()
            for edge in batch.edges
            if edge.type == type_
        }
        return [found[key] for key in sorted(found) if key > after_key][:limit]

    def counts(self) -> Mapping[str, int]:
        return {"contributions": len(self.contributions)}


class MemoryLog:
    """The event log: keyed partitions, at-least-once, fenced by the token of the last lease. ``idle`` is called when nothing is left."""

    def __init__(self, partitions: int = 2) -> None:
        self.partitions = partitions
        self.entries: list[list[OutboxEvent]] = [[] for _ in range(partitions)]
        self.committed: dict[tuple[str, int], int] = {}
        self.tokens: dict[tuple[str, int], int] = {}
        self.idle: Callable[[], None] = lambda: None

    def append(self, events: Sequence[OutboxEvent]) -> None:
        for event in events:
            self.entries[int(hashlib.sha256(event.key.encode()).hexdigest(), 16) % self.partitions].append(event)

    def acquire(self, group: str, partition: int, owner: str, ttl_s: float) -> int | None:
        self.tokens[group, partition] = self.tokens.get((group, partition), 0) + 1
        return self.tokens[group, partition]

    def renew(self, group: str, partition: int, owner: str, token: int, ttl_s: float) -> bool:
        return self.tokens.get((group, partition)) == token

    def release(self, group: str, partition: int, owner: str, token: int) -> None: ...

    def read(self, group: str, partition: int, limit: int, wait_s: float) -> Sequence[LogEntry]:
        start = self.committed.get((group, partition), 0)
        found = [LogEntry(partition, str(start + at), event) for at, event in enumerate(self.entries[partition][start : start + limit])]
        if not found:
            self.idle()
        return found

    def commit(self, group: str, partition: int, position: str, token: int) -> None:
        if self.tokens.get((group, partition)) != token:
            raise Conflict("this lease was lost")
        self.committed[group, partition] = max(self.committed.get((group, partition), 0), int(position) + 1)


class MemoryModels:
    dimensions = 2

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return [(1.0, 0.0) for _ in texts]

    def encode(self, texts: Sequence[str]) -> Sequence[SparseVector]:
        return [SparseVector((1,), (1.0,)) for _ in texts]


class MemoryGate:
    """Lets everything pass but the supporters in ``refuses``."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        if not batch.nodes and not batch.edges:
            raise BadInput("the batch is empty", "/", "give at least one node or edge")
        if batch.supporter in self.refuses:
            raise GateRefused((GateIssue("urn:eh:Evidence:e1", "urn:eh:unit", "furlong", "UnitShape", "use a UCUM code"),))


@dataclasses.dataclass
class World:
    """One platform in memory with its faults."""

    records: MemoryRecords = dataclasses.field(default_factory=MemoryRecords)
    objects: MemoryObjects = dataclasses.field(default_factory=MemoryObjects)
    search: MemorySearch = dataclasses.field(default_factory=MemorySearch)
    graph: MemoryGraph = dataclasses.field(default_factory=MemoryGraph)
    gate: Any = dataclasses.field(default_factory=MemoryGate)
    events: MemoryLog = dataclasses.field(default_factory=MemoryLog)
    dense: MemoryModels = dataclasses.field(default_factory=MemoryModels)
    sparse: MemoryModels = dataclasses.field(default_factory=MemoryModels)
    away: set[str] = dataclasses.field(default_factory=set)  # ports, or single calls as ``search.bm25``
    moments: list[str] = dataclasses.field(default_factory=list)
    kill_at: int | None = None

    def wire(self, name: str) -> Any:
        """The port as the platform sees it: it may be away, and its writing calls may be the last thing that happens."""
        return _Wire(name, self)

    def ports(self) -> Ports:
        return Ports(**{field.name: self.wire(field.name) for field in dataclasses.fields(Ports)})

    def reach(self, moment: str) -> None:
        self.moments.append(moment)
        if self.kill_at is not None and len(self.moments) > self.kill_at:
            self.kill_at = None
            raise Killed(moment)

    def receive(self, source: str, payload: bytes, name: str = "1") -> str:
        """A submission as the gateway enters it; gives the job's id."""
        digest = hashlib.sha256(payload).hexdigest()
        self.objects.put(f"raw/{digest}", payload)
        job, submission = (
            Job(f"job-{name}", "ingest", source, "writer"),
            Submission(f"sub-{name}", f"job-{name}", source, f"raw/{digest}", digest),
        )
        event = OutboxEvent(f"submission.received:sub-{name}", "submission.received", f"sub-{name}", {"submission_id": f"sub-{name}"})
        return self.records.receive_submission(job, submission, event).job_id

    def state(self) -> dict[str, Any]:
        """Everything that lasts, but for the bookkeeping of attempts."""
        return {
            "rows": dict(self.records.rows),
            "walks": dict(self.records.walks),
            "chunks": {key: value for key, value in self.records.chunks.items() if value},
            "extracted": dict(self.records.extracted),
            "batches": dict(self.records.batches),
            "letters": {key: (one.status, one.payload) for key, one in self.records.letters.items()},
            "events": {one.event_id for one in self.records.outbox},
            "objects": set(self.objects.blobs),
            "index": dict(self.search.documents),
            "graph": dict(self.graph.contributions),
            "jobs": {key: self.records.job(key).state for key in self.records.jobs},  # type: ignore[union-attr]
        }


class _Wire:
    def __init__(self, name: str, world: World) -> None:
        self._name, self._world = name, world

    def __getattr__(self, attribute: str) -> Any:
        value = getattr(getattr(self._world, self._name), attribute)
        if not callable(value) or attribute.startswith("_"):
            return value

        def call(*arguments: Any, **named: Any) -> Any:
            if self._world.away & {self._name, f"{self._name}.{attribute}"}:
                raise Unavailable(self._name, "connection refused")
            writes = attribute in WRITING_CALLS.get(self._name, ())
            if writes:
                self._world.reach(f"before {self._name}.{attribute}")
            answer = value(*arguments, **named)
            if writes:
                self._world.reach(f"after {self._name}.{attribute}")
            return answer

        return call
