"""The ports: what the domain may ask of a store or a model. Adapters live in ``system.stores`` and ``system.models``.

Each port is the intersection of what its engines guarantee (DESIGN §3). Calls are synchronous. Every call may raise
:class:`system.platform.errors.Unavailable` when its server is away; everything else that is raised is a defect or a
refusal named in the call's docstring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import msgspec

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


class Transition(msgspec.Struct, frozen=True):
    """One compare-and-set of the ledger with everything that belongs to the same transaction."""

    doc_id: str
    expected_version: int
    new_state: str
    events: tuple[OutboxEvent, ...] = ()
    ir_object: str | None = None
    reason: Mapping[str, str] | None = None
    consumed_event_id: str | None = None  # deduplication: applied at most once


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
        "put_chunks",
        "put_extractions",
        "stage_graph_batch",
        "graph_batch_applied",
        "put_dead_letter",
        "outbox_relayed",
        "delete_document",
    ),
    "events": ("append", "commit"),
    "search": ("replace_document", "delete_document"),
    "graph": ("replace_contribution", "remove_contribution"),
    "cache": ("put",),
}
