"""What a port call answers that did nothing and says that all went well."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from system.evidence.retrieval import Answer, Query
from system.platform.ports import GraphBatch, StagedBatch
from system.platform.record_types import Job, NewDeadLetter, NewDocument, Receipt


def success(port: str, call: str, arguments: tuple[Any, ...]) -> Any:
    """An answer of the call's own type; ``None`` for calls that answer nothing, and for those that may find nothing."""
    name = f"{port}.{call}"
    if name in _MADE:
        return _MADE[name](*arguments)
    return _EMPTY.get(name)


def _received(job: Job, *_rest: Any) -> Receipt:
    return Receipt(job.job_id, replayed=False)


def _created(_submission_id: str, rows: tuple[NewDocument, ...], *_rest: Any) -> tuple[str, ...]:
    return tuple(row.doc_id for row in rows)


def _staged(batch: GraphBatch, _events: Any = (), write_id: str | None = None, job: Job | None = None, *_rest: Any) -> StagedBatch:
    digest = hashlib.sha256(msgspec.json.encode(batch)).hexdigest()
    return StagedBatch(batch, digest, "staged", write_id, job.job_id if job else None, dt.datetime.now(dt.UTC).isoformat())


def _letter(letter: NewDeadLetter) -> str:
    return f"letter-{hashlib.sha256(letter.payload).hexdigest()[:24]}"


def _answered(query: Query) -> Answer:
    return Answer((), (), tuple(query.retrievers), query.fusion, degraded=False, timings_ms={})


_MADE: Final[Mapping[str, Callable[..., Any]]] = {
    "records.receive_submission": _received,
    "records.create_documents": _created,
    "records.stage_graph_batch": _staged,
    "records.put_dead_letter": _letter,
    "retriever.retrieve": _answered,
    "events.append": lambda *_: None,
    "events.renew": lambda *_: True,
}
_EMPTY: Final[Mapping[str, Any]] = {
    **{
        f"records.{name}": ()
        for name in ("chunks_of", "extractions", "history", "list_documents", "dead_letters", "staged_batches", "publish")
    },
    "records.outbox_pending": (),
    "records.counts": {},
    "records.graph_knows": False,
    "records.consumed": False,
    "objects.get": b"",
    "objects.exists": False,
    "search.bm25": (),
    "search.sparse": (),
    "search.dense": (),
    "search.chunks": {},
    "search.count": 0,
    "graph.nodes": (),
    "graph.edges": (),
    "graph.counts": {},
    "graph.contribution_exists": False,
    "events.read": (),
    "dense.embed": [],
    "sparse.encode": [],
}
