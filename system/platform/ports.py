"""The ports: what the domain may ask of a store or a model. Adapters live in ``system.stores`` and ``system.models``.

Each port is the intersection of what its engines guarantee (DESIGN §3). Calls are synchronous. Every call may raise
:class:`system.platform.errors.Unavailable` when its server is away; everything else that is raised is a defect or a
refusal named in the call's docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec

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

JsonValue = Any  # decoded JSON: the one place where a shape is left open, at the edges of a store


class OutboxEvent(msgspec.Struct, frozen=True):
    """An event written in the same transaction as its effect and relayed to the event log afterwards."""

    event_id: str  # deterministic: the same effect always makes the same id
    topic: str  # e.g. "submission.received", "document.created", "document.ir_ready"
    key: str  # partition key: events of one key stay in order
    body: Mapping[str, str]


class LedgerRow(msgspec.Struct, frozen=True):
    """One document's state. ``version`` counts the state changes: compare-and-set is on (doc_id, version)."""

    doc_id: str
    source: str
    native_id: str
    state: str
    version: int
    raw_object: str
    ir_object: str | None
    job_id: str
    reason: Mapping[str, str] | None  # error, place, remedy: set in state "failed"
    updated_at: str
    superseded_by: str | None = None  # the version that stands instead: this one answers nothing and supports nothing
    superseded_on: str | None = None  # what told them apart: "version", or "receipt" where nothing in the documents did
    marks: int = 0  # how often it was superseded or came back


class Transition(msgspec.Struct, frozen=True):
    """One compare-and-set of the ledger with everything that belongs to the same transaction."""

    doc_id: str
    expected_version: int
    new_state: str
    events: tuple[OutboxEvent, ...] = ()
    ir_object: str | None = None
    reason: Mapping[str, str] | None = None
    consumed_event_id: str | None = None  # deduplication: applied at most once
    via: tuple[str, ...] = ()  # states walked in the same transaction before ``new_state``; each counts one version
    expected_marks: int | None = None  # given by a step whose work depended on whether the document is superseded


class Objects(Protocol):
    """Content-addressed or named immutable blobs; a put is durable when it returns (fsync of file and folder)."""

    def put(self, name: str, data: bytes) -> None: ...
    def get(self, name: str) -> bytes: ...
    def exists(self, name: str) -> bool: ...
    def delete(self, name: str) -> None: ...
    def names(self, prefix: str) -> Iterator[str]: ...


class Cache(Protocol):
    """A cache that may forget anything at any time; a miss and an unreachable server look alike (None)."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes, ttl_s: float) -> None: ...


class LogEntry(msgspec.Struct, frozen=True):
    """An entry of the event log as a consumer sees it."""

    partition: int
    position: str
    event: OutboxEvent


class EventLog(Protocol):
    """At-least-once, keyed partitions in order, prefix commit, one leased consumer a partition with a fencing token."""

    partitions: int

    def append(self, events: Sequence[OutboxEvent]) -> None: ...
    def acquire(self, group: str, partition: int, owner: str, ttl_s: float) -> int | None: ...
    def renew(self, group: str, partition: int, owner: str, token: int, ttl_s: float) -> bool: ...
    def release(self, group: str, partition: int, owner: str, token: int) -> None: ...
    def read(self, group: str, partition: int, limit: int, wait_s: float) -> Sequence[LogEntry]: ...
    def commit(self, group: str, partition: int, position: str, token: int) -> None: ...


class ChunkRow(msgspec.Struct, frozen=True):
    """A chunk as the search index stores it."""

    chunk_id: str
    doc_id: str
    source: str
    native_id: str
    title: str
    title_path: str
    section: str
    kind: str
    intent: str
    text: str
    start: int
    end: int
    year: int | None
    conditions: tuple[str, ...]


class Hit(msgspec.Struct, frozen=True):
    """One retriever's answer: a chunk and its raw score, higher is better (scores compare within one retriever only)."""

    chunk_id: str
    score: float


class SearchFilter(msgspec.Struct, frozen=True):
    """All given conditions must hold; an empty tuple or None means no condition."""

    sources: tuple[str, ...] = ()
    doc_ids: tuple[str, ...] = ()
    native_ids: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    intents: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    year_from: int | None = None
    year_to: int | None = None


class SparseVector(msgspec.Struct, frozen=True):
    """Vocabulary indices (ascending) and their positive weights, equally long."""

    indices: tuple[int, ...]
    values: tuple[float, ...]


class Search(Protocol):
    """The chunk index: three retrievers over the same chunks. Replacing a document is atomic."""

    def replace_document(
        self,
        doc_id: str,
        rows: Sequence[ChunkRow],
        dense: Sequence[Sequence[float]],
        sparse: Sequence[SparseVector],
    ) -> None: ...
    def delete_document(self, doc_id: str) -> None: ...
    def bm25(self, query: str, top_k: int, filters: SearchFilter) -> Sequence[Hit]: ...
    def sparse(self, vector: SparseVector, top_k: int, filters: SearchFilter) -> Sequence[Hit]: ...
    def dense(self, vector: Sequence[float], top_k: int, filters: SearchFilter) -> Sequence[Hit]: ...
    def chunks(self, chunk_ids: Sequence[str]) -> Mapping[str, ChunkRow]: ...
    def document_ids(self) -> Iterator[str]: ...
    def count(self) -> int:
        """Indexed chunks."""


class NodeRef(msgspec.Struct, frozen=True, order=True):
    """A node's identity: its label and its deterministic key."""

    label: str
    key: str


Scalar = str | int | float | bool | None
PropertyValue = Scalar | tuple[str, ...]


class GraphNode(msgspec.Struct, frozen=True):
    """A node with plain properties; ``supporters`` is kept by the graph port, not by the caller."""

    ref: NodeRef
    properties: Mapping[str, PropertyValue]


class GraphEdge(msgspec.Struct, frozen=True):
    """An edge; ``qualifier`` tells parallel edges of one type apart (adverse events: arm + grade)."""

    type: str
    source: NodeRef
    target: NodeRef
    qualifier: str
    properties: Mapping[str, PropertyValue]


class GraphBatch(msgspec.Struct, frozen=True):
    """What one supporter (a document id or a write id) contributes to the graph; written all or nothing."""

    supporter: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class StoredNode(msgspec.Struct, frozen=True):
    """A node as stored, with everything that supports it."""

    node: GraphNode
    supporters: tuple[str, ...]


class StoredEdge(msgspec.Struct, frozen=True):
    """An edge as stored, with everything that supports it."""

    edge: GraphEdge
    supporters: tuple[str, ...]


class Graph(Protocol):
    """The property graph over Bolt: MERGE by deterministic keys, one managed transaction a batch."""

    def replace_contribution(self, batch: GraphBatch) -> None: ...
    def remove_contribution(self, supporter: str) -> None: ...
    def contribution_exists(self, supporter: str) -> bool: ...
    def nodes(self, label: str, after_key: str, limit: int) -> Sequence[StoredNode]: ...
    def edges(self, type_: str, after_key: str, limit: int) -> Sequence[StoredEdge]: ...
    def counts(self) -> Mapping[str, int]: ...


class Gate(Protocol):
    """The SHACL gate. Passing returns nothing; a violation raises ``GateRefused`` with every issue, and nothing is written."""

    def check(self, batch: GraphBatch, known: Callable[[NodeRef], bool]) -> None:
        """``known`` tells whether a node outside the batch exists already; an empty batch raises ``BadInput``."""


class PendingEvent(msgspec.Struct, frozen=True):
    """An outbox event that is not relayed yet; ``position`` is what :meth:`Records.outbox_relayed` takes."""

    position: int
    event: OutboxEvent


class StagedBatch(msgspec.Struct, frozen=True):
    """A graph batch with its fate: ``status`` is ``staged``, ``applied``, ``refused`` or ``withdrawn``.

    ``staged``: durable here, and the graph has still to follow: to hold it, or to lose it where its document is superseded.
    """

    batch: GraphBatch
    payload_sha256: str
    status: str
    write_id: str | None
    job_id: str | None
    staged_at: str


class ChunkBody(Protocol):
    """What the records need to know of a chunk; the rest is kept as its JSON."""

    @property
    def chunk_id(self) -> str: ...
    @property
    def index(self) -> int: ...


class ExtractionBody(Protocol):
    """What the records need to know of an extraction; the rest is kept as its JSON."""

    @property
    def doc_id(self) -> str: ...
    @property
    def extractor(self) -> str: ...


class LedgerLaw(Protocol):
    """The state machine, given to the store by the domain. Raises ``IllegalTransition``; ``old`` None is the first write."""

    def __call__(self, doc_id: str, old: str | None, new: str) -> None: ...


ChunkT = TypeVar("ChunkT", bound=ChunkBody)
ExtractionT = TypeVar("ExtractionT", bound=ExtractionBody)


class Records(Protocol[ChunkT, ExtractionT]):
    """Ledger, jobs, idempotency, outbox, audit, content and dead letters; every call is one SQL transaction.

    What a writing call acknowledged is committed and survives kill -9. ``Unavailable`` during a commit leaves the outcome
    open; every writing call may therefore be repeated and is applied once. Event ids must be deterministic and tell
    repeated effects apart (for a transition: document id + ledger version).
    """

    def receive_submission(
        self, job: Job, submission: Submission, event: OutboxEvent, idempotency: IdempotencyKey | None = None
    ) -> Receipt:
        """Enter job, submission and event. A known key returns the first job; with another body raises ``Conflict``."""

    def create_documents(
        self,
        submission_id: str,
        rows: Sequence[NewDocument],
        events: Sequence[OutboxEvent],
        consumed_event_id: str | None = None,
    ) -> tuple[str, ...]:
        """Enter documents; known ids only join the job. Returns the new ids; an event whose key is a known document is left out.

        What is older than the published version of its series is superseded at once.
        """

    def transition(self, transition: Transition) -> LedgerRow:
        """Compare-and-set. Raises ``NotFound``, ``Conflict`` (version moved on), ``IllegalTransition``. A consumed event is a no-op.

        ``MarkMoved`` when the document was superseded or came back meanwhile. A failed document leads no series any more.
        """

    def publish(self, doc_id: str) -> tuple[str, ...]:
        """The document was read, passed the gate and may stand for its series. Returns all that it supersedes; may be repeated.

        Marks and their events (``document.superseded``) are in the same transaction. A document that is gone, failed, superseded
        itself or without versions supersedes nothing.
        """

    def put_chunks(self, doc_id: str, chunks: Sequence[ChunkT]) -> None:
        """Replace all chunks of a document. Raises ``NotFound`` for one that is not in the ledger (any more)."""

    def put_extractions(self, doc_id: str, extraction: ExtractionT) -> None:
        """Replace the extraction of a document. Raises ``NotFound`` as ``put_chunks`` does."""

    def stage_graph_batch(
        self,
        batch: GraphBatch,
        events: Sequence[OutboxEvent] = (),
        write_id: str | None = None,
        job: Job | None = None,
        idempotency: IdempotencyKey | None = None,
    ) -> StagedBatch:
        """Make a batch durable before the graph has it. Without ``write_id`` the supporter is a document of the ledger.

        A known write id with another payload raises ``Conflict`` unless the graph refused the first; a document that is not
        there, ``NotFound``. A repeat keeps the first job.
        """

    def graph_batch_applied(self, supporter: str, payload_sha256: str | None = None) -> None:
        """The graph has the batch; with a hash given, only if it is still that batch. Of a superseded document: no effect."""

    def graph_batch_withdrawn(self, supporter: str) -> None:
        """The graph has nothing of this superseded document any more; no effect on any other."""

    def graph_batch_refused(self, supporter: str, payload_sha256: str) -> None:
        """The graph will never take this batch: it waits no longer, and what it brings is not known any more."""

    def put_dead_letter(self, letter: NewDeadLetter) -> str:
        """Persist a refusal; returns its id (deterministic over kind, subject and payload)."""

    def mark_replayed(self, letter_id: str) -> None: ...
    def outbox_pending(self, limit: int) -> Sequence[PendingEvent]: ...
    def outbox_relayed(self, positions: Sequence[int]) -> None: ...

    def delete_document(
        self, doc_id: str, events: Sequence[OutboxEvent] = (), cleanup: Callable[[tuple[str, ...]], OutboxEvent] | None = None
    ) -> tuple[str, ...]:
        """Remove ledger row, chunks, extraction, graph batch, past events and payloads; the audit stays. Raises ``NotFound``.

        The version before it comes back in the same transaction, with its event ``document.restored``.

        Returns the objects that were named here, for :meth:`drop_unnamed`; ``cleanup`` makes the event that sees to them after a crash.
        """

    def drop_unnamed(self, name: str, drop: Callable[[], None]) -> bool:
        """Call ``drop`` if no document and no payload names the object, while nobody can begin to; whether it was called."""

    def ledger_row(self, doc_id: str) -> LedgerRow | None: ...
    def history(self, subject: str) -> Sequence[HistoryEntry]: ...
    def list_documents(
        self, after: str = "", limit: int = 100, state: str | None = None, source: str | None = None, *, superseded: bool = False
    ) -> Sequence[LedgerRow]:
        """Rows in the order of document ids, behind ``after``: of those that stand, or of the superseded ones."""

    def submission(self, submission_id: str) -> Submission | None: ...
    def job(self, job_id: str) -> JobView | None: ...
    def consumed(self, event_id: str, consumer: str) -> bool:
        """Whether an effect on ``consumer`` (a document or submission id) of this event is already committed."""

    def chunks_of(self, doc_id: str) -> Sequence[ChunkT]: ...
    def chunk(self, chunk_id: str) -> ChunkT | None: ...
    def extractions(self, doc_id: str | None = None, field: str | None = None, after: str = "", limit: int = 100) -> Sequence[ExtractionT]:
        """Extractions in the order of document ids; ``field`` names a record field of the extraction that must not be empty.

        Those of superseded documents come only where ``doc_id`` asks for them.
        """

    def graph_knows(self, label: str, key: str) -> bool:
        """Whether a durable batch brings this node; the graph itself is a projection and may lag behind. Superseded ones do not count."""

    def graph_batch(self, supporter: str) -> StagedBatch | None: ...
    def graph_write(self, write_id: str) -> StagedBatch | None: ...
    def staged_batches(self, limit: int) -> Sequence[StagedBatch]:
        """Batches that the graph has not followed yet, oldest first."""

    def dead_letters(self, status: str | None = None, after: str = "", limit: int = 100) -> Sequence[DeadLetter]: ...
    def dead_letter(self, letter_id: str) -> DeadLetter | None: ...
    def counts(self) -> Mapping[str, int]:
        """documents, documents.<state>, superseded, chunks, extractions, jobs, outbox_pending, graph_staged, dead_letters_open.

        Superseded documents are counted apart: the others, and what belongs to them, are those that stand.
        """

    def verify_audit(self, expected: Sequence[AuditAnchor] = ()) -> AuditReport:
        """Recompute the whole chain; ``expected`` are anchors kept elsewhere that the chain must still contain."""

    def ping(self) -> None:
        """A real query."""


class DenseModel(Protocol):
    """Texts to unit vectors, in order."""

    dimensions: int

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]: ...


class SparseModel(Protocol):
    """Texts to sparse vectors, in order; documents and queries are encoded by the same model."""

    def encode(self, texts: Sequence[str]) -> Sequence[SparseVector]: ...


# The calls where a crash can leave something half done: failpoints apply before and after each of them.
WRITING_CALLS: Mapping[str, tuple[str, ...]] = {
    "objects": ("put", "delete"),
    "records": (
        "receive_submission",
        "create_documents",
        "transition",
        "publish",
        "put_chunks",
        "put_extractions",
        "stage_graph_batch",
        "graph_batch_applied",
        "graph_batch_withdrawn",
        "graph_batch_refused",
        "put_dead_letter",
        "mark_replayed",
        "outbox_relayed",
        "delete_document",
    ),
    "events": ("append", "commit"),
    "search": ("replace_document", "delete_document"),
    "graph": ("replace_contribution", "remove_contribution"),
    "cache": ("put",),
}
