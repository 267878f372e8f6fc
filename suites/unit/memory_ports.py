"""The ports in memory, as their Protocols say, with three ways to fail: away, killed at a writing call, refusing a batch.

``World.ports()`` gives what a step, the gateway or a worker works with. Every writing call passes two moments (before, after); the
world counts them, and dies at the one asked for as a process does that is killed there: what was written stays, nothing follows.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from suites.unit.memory_records import MemoryRecords
from system.evidence.steps import Ports
from system.platform.errors import BadInput, Conflict, GateIssue, GateRefused, NotFound, Unavailable
from system.platform.ports import (
    WRITING_CALLS,
    GraphBatch,
    Hit,
    LogEntry,
    NodeRef,
    OutboxEvent,
    SearchFilter,
    SparseVector,
    StoredEdge,
    StoredNode,
)
from system.platform.record_types import Job, Submission
from system.stores.graph_schema import edge_key


class Killed(BaseException):
    """The process ends here: no ``except Exception`` sees it."""


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
