"""The retriever over stores and models that can fail on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from system.evidence.fusion import Fusion
from system.evidence.retrieval import Answer, Query, RetrievalSettings, Retriever
from system.platform.errors import BadInput, Unavailable
from system.platform.ports import ChunkRow, Hit, SearchFilter, SparseVector


def row(chunk_id: str, native_id: str) -> ChunkRow:
    return ChunkRow(chunk_id, f"d{chunk_id}", "ctgov", native_id, "t", "t", "", "text", "general", "text", 0, 4, None, ())


class Index:
    """A search port over fixed lists; a retriever named in ``broken`` raises what stands there."""

    def __init__(self) -> None:
        self.rows = {f"c{n:02}": row(f"c{n:02}", f"NCT000000{n:02}") for n in range(40)}
        self.lists: dict[str, list[Hit]] = {
            "bm25": [Hit(f"c{n:02}", 40.0 - n) for n in range(30)],
            "sparse": [Hit(f"c{n:02}", 20.0 - n) for n in range(5, 20)],
            "dense": [Hit(f"c{n:02}", 1 - n / 40) for n in range(40)],
        }
        self.broken: dict[str, BaseException | threading.Event] = {}
        self.seen: list[SearchFilter] = []

    def _answer(self, name: str, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        self.seen.append(filters)
        fault = self.broken.get(name)
        if isinstance(fault, threading.Event):
            fault.wait(20)
        elif fault is not None:
            raise fault
        return self.lists[name][:top_k]

    def bm25(self, query: str, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._answer("bm25", top_k, filters)

    def sparse(self, vector: SparseVector, top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._answer("sparse", top_k, filters)

    def dense(self, vector: Sequence[float], top_k: int, filters: SearchFilter) -> Sequence[Hit]:
        return self._answer("dense", top_k, filters)

    def chunks(self, chunk_ids: Sequence[str]) -> Mapping[str, ChunkRow]:
        return {one: self.rows[one] for one in chunk_ids if one in self.rows}

    def replace_document(self, *_: object) -> None: ...
    def delete_document(self, doc_id: str) -> None: ...
    def count(self) -> int:
        return len(self.rows)

    def document_ids(self) -> Iterator[str]:
        return iter(())


class Models:
    """Both models; counts what was encoded."""

    dimensions = 3

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fault: BaseException | None = None

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        self.calls += [f"dense {text}" for text in texts]
        if self.fault:
            raise self.fault
        return [[0.1, 0.2, 0.3] for _ in texts]

    def encode(self, texts: Sequence[str]) -> Sequence[SparseVector]:
        self.calls += [f"sparse {text}" for text in texts]
        return [SparseVector((1, 5), (0.5, 1.5)) for _ in texts]


class Memory(dict[str, bytes]):
    """A cache; ``put`` keeps the time to live it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.ttls: set[float] = set()

    def put(self, key: str, value: bytes, ttl_s: float) -> None:
        self[key] = value
        self.ttls.add(ttl_s)


class Parts:
    def __init__(self) -> None:
        self.index, self.models, self.cache = Index(), Models(), Memory()

    def retriever(self, **settings: object) -> Retriever:
        return Retriever(self.index, self.models, self.models, self.cache, RetrievalSettings(**settings))  # type: ignore[arg-type]


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def ask(parts: Parts) -> Iterator[Callable[..., Answer]]:
    retriever = parts.retriever()
    yield lambda text="heart", **options: retriever.retrieve(Query(text, **options))
    retriever.close()


def ids(answer: Answer) -> list[str]:
    return [one.chunk.chunk_id for one in answer.results]


def test_a_whole_answer(ask: Callable[..., Answer]) -> None:
    """All three retrievers are used, ranks are 1…k, every component has its time and every result its raw scores."""
    answer = ask(top_k=5)
    assert answer.retrievers_used == ("bm25", "sparse", "dense")
    assert (answer.degraded, answer.warnings, answer.fusion) == (False, (), Fusion.MINMAX)
    assert [one.rank for one in answer.results] == [1, 2, 3, 4, 5]
    assert set(answer.timings_ms) == {"bm25", "sparse_encode", "sparse", "dense_encode", "dense", "fusion", "chunks", "total"}
    first = answer.results[0]
    assert (first.chunk.chunk_id, first.scores.bm25, first.scores.sparse, first.scores.dense) == ("c05", 35.0, 15.0, 0.875)
    assert ids(ask(top_k=5)) == ids(answer)


@pytest.mark.parametrize("fault", [Unavailable("search", "away"), RuntimeError("a defect")])
@pytest.mark.parametrize("name", ["bm25", "sparse", "dense"])
def test_one_retriever_failing_degrades_the_answer(parts: Parts, ask: Callable[..., Answer], name: str, fault: BaseException) -> None:
    """The others are fused with re-normalised weights, and a warning names what is missing."""
    others = tuple(one for one in ("bm25", "sparse", "dense") if one != name)
    wanted = ask(retrievers=others)
    parts.index.broken[name] = fault
    answer = ask()
    assert (ids(answer), answer.retrievers_used, answer.degraded) == (ids(wanted), others, True)
    assert [one.scores.fused for one in answer.results] == [one.scores.fused for one in wanted.results]
    assert len(answer.warnings) == 1
    assert answer.warnings[0].startswith(name)


def test_a_model_that_is_away_degrades_the_answer(parts: Parts, ask: Callable[..., Answer]) -> None:
    """Without the dense model, BM25 and sparse answer."""
    parts.models.fault = Unavailable("embed", "refused")
    assert ask().retrievers_used == ("bm25", "sparse")


def test_every_retriever_failing_is_unavailable(parts: Parts, ask: Callable[..., Answer]) -> None:
    """Nothing to fuse is no empty answer."""
    parts.index.broken = {name: Unavailable("search", "away") for name in ("bm25", "sparse", "dense")}
    with pytest.raises(Unavailable, match=r"bm25.*sparse.*dense"):
        ask()
    parts.index.broken.pop("dense")
    with pytest.raises(Unavailable):
        ask(retrievers=("bm25", "sparse"))


def test_a_retriever_that_hangs_is_left_behind(parts: Parts) -> None:
    """The answer comes without it, and requests that would wait behind it are refused, not queued for ever."""
    hanging = threading.Event()
    parts.index.broken["sparse"] = hanging
    retriever = parts.retriever(timeout_s=0.05, threads=1, waiting=1)
    try:
        answers = [retriever.retrieve(Query("heart")) for _ in range(3)]
    finally:
        hanging.set()
        retriever.close()
    assert all(answer.retrievers_used == ("bm25", "dense") for answer in answers)
    assert "within 0.05 s" in answers[0].warnings[0]
    assert "too many requests" in answers[2].warnings[0] or "within" in answers[2].warnings[0]


def test_empty_lists_are_answers(parts: Parts, ask: Callable[..., Answer]) -> None:
    """A query that nothing matches has no results and no warning."""
    parts.index.lists = {"bm25": [], "sparse": [], "dense": []}
    answer = ask()
    assert (answer.results, answer.warnings, answer.degraded) == ((), (), False)


def test_a_chunk_deleted_meanwhile_is_left_out(parts: Parts, ask: Callable[..., Answer]) -> None:
    """A hit whose chunk is gone makes room for the next one."""
    before = ids(ask(top_k=5))
    del parts.index.rows[before[1]]
    after = ids(ask(top_k=5))
    assert after[:4] == [before[0], *before[2:]]
    assert len(after) == 5


def test_a_named_document_stands_in_the_first_ten(ask: Callable[..., Answer]) -> None:
    """However badly its text matches; the others keep their order, and a short list still shows it."""
    usual = ids(ask())
    named = ids(ask("and NCT00000033 or nct00000035?"))
    assert usual[:8] == named[:8]
    assert set(named[8:10]) == {"c33", "c35"}
    assert [one for one in named if one not in {"c33", "c35"}] == usual[:18]
    assert ids(ask("NCT00000033", top_k=3))[2] == "c33"


def test_query_vectors_are_cached_by_model_and_text(parts: Parts) -> None:
    """The same text is encoded once a model; another model or text is encoded anew; rubbish in the cache is a miss."""
    retriever = parts.retriever(dense_model="m1")
    retriever.retrieve(Query("heart"))
    retriever.retrieve(Query("heart", top_k=3))
    assert sorted(parts.models.calls) == ["dense heart", "sparse heart"]
    other = parts.retriever(dense_model="m2")
    other.retrieve(Query("heart"))
    assert sorted(parts.models.calls) == ["dense heart", "dense heart", "sparse heart"]
    parts.cache.update(dict.fromkeys(parts.cache, b"\xc1"))
    retriever.retrieve(Query("heart"))
    assert len(parts.models.calls) == 5
    assert parts.cache.ttls == {60.0}
    retriever.close()
    other.close()


def test_rrf_on_request_and_where_scores_say_nothing(parts: Parts, ask: Callable[..., Answer]) -> None:
    """RRF is an option, and the fallback when no retriever tells its hits apart."""
    assert ask(fusion=Fusion.RRF).fusion is Fusion.RRF
    parts.index.lists = {name: [Hit("c01", 1.0), Hit("c00", 1.0)] for name in parts.index.lists}
    answer = ask()
    assert (answer.fusion, ids(answer)) == (Fusion.RRF, ["c01", "c00"])


def test_filters_and_intent_reach_every_retriever(parts: Parts, ask: Callable[..., Answer]) -> None:
    """An intent is one more filter."""
    ask(filters=SearchFilter(sources=("spl",)), intent="dose")
    assert parts.index.seen == [SearchFilter(sources=("spl",), intents=("dose",))] * 3


@pytest.mark.parametrize(
    "query",
    [
        Query(" "),
        Query("x" * 4001),
        Query("x", top_k=0),
        Query("x", top_k=201),
        Query("x", retrievers=("bm52",)),
        Query("x", retrievers=()),
    ],
)
def test_a_query_that_cannot_be_asked_is_refused(parts: Parts, query: Query) -> None:
    """It names the field and what would be right."""
    retriever = parts.retriever()
    with pytest.raises(BadInput, match="/"):
        retriever.retrieve(query)
    retriever.close()
