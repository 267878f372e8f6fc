"""Query to ranked chunks: three retrievers in parallel, fused, with what failed said in the answer.

Each retriever, and the reranker, has threads of its own and a bound on its waiting requests: one that hangs cannot take the others with it.
The same index, models and query always give the same order.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
import hashlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec

from system.evidence import fusion
from system.evidence.fusion import Fusion
from system.evidence.rerank import DEPTH, Reranker
from system.platform.errors import BadInput, Unavailable
from system.platform.identifiers import canonical, named_identifiers
from system.platform.ports import Cache, ChunkRow, DenseModel, Hit, Search, SearchFilter, SparseModel, SparseVector
from system.platform.stages import stage, waited

RETRIEVERS = ("bm25", "sparse", "dense")
MAX_TOP_K = 200
MAX_QUERY = 4_000  # code points
SPARE = 20  # chunks read beyond top_k, for those that were deleted between ranking and reading
# Both chosen on SciFact *train* (809 queries, full corpus, grid of 0.1): nDCG@10 0.744 there (best of the grid 0.745), and
# Recall@100 0.953 with 500 candidates against 0.949 with 200. They are for the small embedded models.
WEIGHTS: Mapping[str, float] = {"bm25": 0.3, "dense": 0.4, "sparse": 0.3}
CANDIDATES = 500
IDENTIFIER_RANK = 10  # a chunk whose native id is named in the query never stands below this rank

T = TypeVar("T")


class RetrievalSettings(msgspec.Struct, frozen=True):
    """How to retrieve; ``dense_model`` and ``sparse_model`` name the models in cache keys, so that no model meets another's vectors."""

    weights: Mapping[str, float] = msgspec.field(default_factory=lambda: dict(WEIGHTS))
    candidates: int = CANDIDATES  # of each retriever
    timeout_s: float = 4.0  # of one retriever, its encoding included
    rerank_timeout_s: float = 2.0  # after that the answer goes out as it was fused
    cache_s: float = 60.0
    threads: int = 8  # of each retriever
    waiting: int = 32  # requests a retriever holds before it refuses
    dense_model: str = "dense"
    sparse_model: str = "sparse"


class Query(msgspec.Struct, frozen=True):
    """A question. ``intent`` restricts to chunks of that intent; empty means any."""

    text: str
    top_k: int = 20
    retrievers: tuple[str, ...] = RETRIEVERS
    fusion: Fusion = Fusion.MINMAX
    filters: SearchFilter = SearchFilter()
    intent: str = ""
    rerank: bool = False  # read the best candidates again
    candidates: int | None = None  # of each retriever; None: as the settings say


class Scores(msgspec.Struct, frozen=True, omit_defaults=True):
    """Raw scores by retriever (None: not among its candidates) and the fused one; raw ones compare within a retriever only."""

    fused: float
    bm25: float | None = None
    sparse: float | None = None
    dense: float | None = None
    reranked: float | None = None  # the fused score with what reranking added; then the order goes by it


class Retrieved(msgspec.Struct, frozen=True):
    """One result: the chunk as indexed, its rank from 1 and its scores."""

    chunk: ChunkRow
    rank: int
    scores: Scores


class Answer(msgspec.Struct, frozen=True):
    """Results best first. ``degraded`` when a retriever or the reranker failed; ``warnings`` say which and why."""

    results: tuple[Retrieved, ...]
    warnings: tuple[str, ...]
    retrievers_used: tuple[str, ...]
    fusion: Fusion
    degraded: bool
    timings_ms: Mapping[str, float]
    reranked: bool = False


class _Clock:
    """Milliseconds by component; written by several threads, each its own keys."""

    def __init__(self) -> None:
        self.timings: dict[str, float] = {}

    def measure(self, name: str, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        try:
            with stage(name):
                return work()
        finally:
            self.timings[name] = round((time.perf_counter() - begin) * 1000, 3)


class _Bulkhead:
    """A retriever's own threads with a bound on what waits for them."""

    def __init__(self, name: str, settings: RetrievalSettings) -> None:
        self._name = name
        self._pool = concurrent.futures.ThreadPoolExecutor(settings.threads, thread_name_prefix=f"retrieve-{name}")
        self._places = threading.BoundedSemaphore(settings.threads + settings.waiting)

    def submit(self, work: Callable[[], T]) -> concurrent.futures.Future[T]:
        if not self._places.acquire(blocking=False):
            refused: concurrent.futures.Future[T] = concurrent.futures.Future()
            refused.set_exception(Unavailable(self._name, "too many requests are waiting for it"))
            return refused
        future = self._pool.submit(contextvars.copy_context().run, self._begun, work, time.monotonic_ns())
        future.add_done_callback(lambda _: self._places.release())
        return future

    def _begun(self, work: Callable[[], T], since_ns: int) -> T:
        waited(f"{self._name}_wait", since_ns)
        return work()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Retriever:
    """Answers queries over the search port. Thread-safe; ``close`` it when done."""

    def __init__(
        self,
        search: Search,
        dense_model: DenseModel,
        sparse_model: SparseModel,
        cache: Cache,
        settings: RetrievalSettings | None = None,
        reranker: Reranker | None = None,
    ) -> None:
        self._search = search
        self._dense_model = dense_model
        self._sparse_model = sparse_model
        self._cache = cache
        self._settings = settings or RetrievalSettings()
        self._reranker = reranker
        self._bulkheads = {name: _Bulkhead(name, self._settings) for name in (*RETRIEVERS, "rerank")}

    def close(self) -> None:
        for bulkhead in self._bulkheads.values():
            bulkhead.close()

    def retrieve(self, query: Query) -> Answer:
        """Raises ``BadInput`` for a query that cannot be asked, ``Unavailable`` when every retriever asked for failed."""
        _check(query)
        clock = _Clock()
        answer = clock.measure("total", lambda: self._retrieve(query, clock))
        # A copy: a retriever that came too late may still write into the clock.
        return msgspec.structs.replace(answer, timings_ms=dict(clock.timings))

    def _retrieve(self, query: Query, clock: _Clock) -> Answer:
        lists, warnings = self._gather(query, clock)
        if not lists:
            raise Unavailable("retrieval", "; ".join(warnings))
        ranked, method = clock.measure("fusion", lambda: self._fuse(lists, query))
        wanted = ranked if named_identifiers(query.text) else ranked[: query.top_k + SPARE]
        if query.rerank:
            wanted = ranked[: max(len(wanted), DEPTH)]
        rows = clock.measure("chunks", lambda: self._search.chunks([hit.chunk_id for hit in wanted]))
        gains = self._gains(ranked, rows, query, clock, warnings) if query.rerank else {}
        ordered = _lift_named(fusion.raised(ranked, gains), rows, query)
        results = _results([hit for hit in ordered if hit.chunk_id in rows][: query.top_k], rows, lists, ranked, gains)
        degraded = len(lists) < len(set(query.retrievers)) or (query.rerank and not gains)
        return Answer(results, tuple(warnings), tuple(lists), method, degraded, {}, bool(gains))

    def _gains(
        self, ranked: Sequence[Hit], rows: Mapping[str, ChunkRow], query: Query, clock: _Clock, warnings: list[str]
    ) -> dict[str, float]:
        """What each of the best candidates gains by reranking, relative to the best fused score; empty when it did not come."""
        read = [hit for hit in ranked[:DEPTH] if hit.chunk_id in rows]
        reranker = self._reranker
        if reranker is None or not read:
            warnings.append("not reranked: there is nothing to rerank with" if reranker is None else "not reranked: no candidates")
            return {}
        asked = [rows[hit.chunk_id] for hit in read]
        future = self._bulkheads["rerank"].submit(lambda: clock.measure("rerank", lambda: reranker.rerank(query.text, asked)))
        try:
            gains = future.result(timeout=self._settings.rerank_timeout_s)
        except concurrent.futures.TimeoutError:
            future.cancel()
            warnings.append(f"not reranked: no answer within {self._settings.rerank_timeout_s:g} s")
            return {}
        except Exception as error:  # noqa: BLE001 - a defect in the reranker must not take the answer with it
            warnings.append(f"not reranked: {type(error).__name__}: {error}")
            return {}
        return {hit.chunk_id: read[0].score * gain for hit, gain in zip(read, gains, strict=True)}

    def _gather(self, query: Query, clock: _Clock) -> tuple[dict[str, Sequence[Hit]], list[str]]:
        """The lists of the retrievers that answered, in a fixed order, and a warning for each that did not."""
        asked = [name for name in RETRIEVERS if name in query.retrievers]
        began_ns = time.monotonic_ns()
        end = time.monotonic() + self._settings.timeout_s
        futures = {name: self._bulkheads[name].submit(self._work(name, query, clock)) for name in asked}
        lists: dict[str, Sequence[Hit]] = {}
        warnings: list[str] = []
        for name, future in futures.items():
            try:
                lists[name] = future.result(timeout=max(0.0, end - time.monotonic()))
            except Unavailable as error:
                warnings.append(f"{name} did not answer: {error}")
            except concurrent.futures.TimeoutError:
                future.cancel()
                waited(f"{name}_timeout", began_ns)
                warnings.append(f"{name} did not answer within {self._settings.timeout_s:g} s")
            except BadInput:
                raise
            except Exception as error:  # noqa: BLE001 - a defect in one retriever must not take the answer of the others
                warnings.append(f"{name} failed: {type(error).__name__}: {error}")
        return lists, warnings

    def _work(self, name: str, query: Query, clock: _Clock) -> Callable[[], Sequence[Hit]]:
        top_k, filters, text = query.candidates or self._settings.candidates, _filters(query), query.text
        if name == "bm25":
            return lambda: clock.measure("bm25", lambda: self._search.bm25(text, top_k, filters))
        if name == "sparse":
            return lambda: self._encoded(name, text, clock, self._sparse, lambda vector: self._search.sparse(vector, top_k, filters))
        return lambda: self._encoded(name, text, clock, self._dense, lambda vector: self._search.dense(vector, top_k, filters))

    def _encoded(
        self, name: str, text: str, clock: _Clock, encode: Callable[[str], T], search: Callable[[T], Sequence[Hit]]
    ) -> Sequence[Hit]:
        vector = clock.measure(f"{name}_encode", lambda: encode(text))
        return clock.measure(name, lambda: search(vector))

    def _dense(self, text: str) -> tuple[float, ...]:
        return self._cached(self._settings.dense_model, text, tuple[float, ...], lambda: tuple(self._dense_model.embed([text])[0]))

    def _sparse(self, text: str) -> SparseVector:
        return self._cached(self._settings.sparse_model, text, SparseVector, lambda: self._sparse_model.encode([text])[0])

    def _cached(self, model: str, text: str, type_: type[T], make: Callable[[], T]) -> T:
        key = f"query-vector:{model}:{hashlib.sha256(text.encode()).hexdigest()}"
        found = self._cache.get(key)
        if found is not None:
            try:
                return msgspec.msgpack.decode(found, type=type_)
            except msgspec.DecodeError:  # written by another version: as good as a miss
                pass
        vector = make()
        self._cache.put(key, msgspec.msgpack.encode(vector), self._settings.cache_s)
        return vector

    def _fuse(self, lists: Mapping[str, Sequence[Hit]], query: Query) -> tuple[list[Hit], Fusion]:
        if query.fusion is Fusion.RRF or fusion.uninformative(lists):
            return fusion.rrf(lists), Fusion.RRF
        return fusion.minmax(lists, self._settings.weights), Fusion.MINMAX


def _check(query: Query) -> None:
    if not query.text.strip():
        raise BadInput("the query is empty", "/query", "ask for something")
    if len(query.text) > MAX_QUERY:
        raise BadInput(f"the query has {len(query.text)} characters", "/query", f"send at most {MAX_QUERY}")
    if not 1 <= query.top_k <= MAX_TOP_K:
        raise BadInput(f"top_k is {query.top_k}", "/top_k", f"ask for 1 to {MAX_TOP_K} results")
    unknown = sorted(set(query.retrievers) - set(RETRIEVERS))
    if unknown or not query.retrievers:
        raise BadInput(f"no such retriever: {', '.join(unknown) or 'none given'}", "/retrievers", f"choose from {', '.join(RETRIEVERS)}")


def _filters(query: Query) -> SearchFilter:
    if not query.intent:
        return query.filters
    return msgspec.structs.replace(query.filters, intents=(query.intent,))


def _lift_named(ranked: Sequence[Hit], rows: Mapping[str, ChunkRow], query: Query) -> list[Hit]:
    """The best chunk of every native id that the query names stands at rank 10 or better (within ``top_k``)."""
    names = set(named_identifiers(query.text))
    best: dict[str, str] = {}
    if names:
        for hit in ranked:
            row = rows.get(hit.chunk_id)
            if row is not None and canonical(row.native_id) in names:
                best.setdefault(canonical(row.native_id), hit.chunk_id)
    return fusion.lift(ranked, list(best.values()), min(IDENTIFIER_RANK, query.top_k)) if best else list(ranked)


def _results(
    hits: Sequence[Hit],
    rows: Mapping[str, ChunkRow],
    lists: Mapping[str, Sequence[Hit]],
    fused: Sequence[Hit],
    gains: Mapping[str, float],
) -> tuple[Retrieved, ...]:
    raw = {name: {hit.chunk_id: hit.score for hit in found} for name, found in lists.items()}
    before = {hit.chunk_id: hit.score for hit in fused}
    results = []
    for rank, hit in enumerate(hits, start=1):
        own = {name: scores.get(hit.chunk_id) for name, scores in raw.items()}
        reranked = before[hit.chunk_id] + gains.get(hit.chunk_id, 0.0) if gains else None
        results.append(Retrieved(rows[hit.chunk_id], rank, Scores(before[hit.chunk_id], reranked=reranked, **own)))
    return tuple(results)
