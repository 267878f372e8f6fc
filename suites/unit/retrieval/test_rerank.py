"""Reranking: what a second look adds, and that an answer never hangs on it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.unit.retrieval.test_retriever import Parts, ids
from system.evidence.fusion import Fusion
from system.evidence.rerank import COVERAGE, PAIRS, SENTENCE, LexicalReranker
from system.evidence.retrieval import Query, RetrievalSettings, Retriever
from system.platform.ports import ChunkRow
from system.stores.analysis import terms

RERANKER = LexicalReranker(terms)


def chunk(text: str, title: str = "t") -> ChunkRow:
    return ChunkRow(text, text, "ctgov", text, title, title, "", "text", "general", text, 0, len(text), None, ())


def gains(question: str, *texts: str) -> Sequence[float]:
    return RERANKER.rerank(question, [chunk(text) for text in texts])


def test_words_together_beat_words_apart() -> None:
    """All words in one sentence, as asked, above the same words spread over sentences, above some of them, above none."""
    found = gains(
        "statin therapy lowers cholesterol",
        "In adults, statin therapy lowers cholesterol by a third.",
        "Cholesterol was measured. It lowers slowly. Therapy went on. The statin was stopped.",
        "Statin doses differ.",
        "Nothing to see here.",
    )
    assert found[0] > found[1] > found[2] > found[3] == 0


def test_a_word_that_all_have_tells_nothing_apart() -> None:
    """The rare word of the question weighs more than the one every candidate has."""
    found = gains("trial bleeding", "The trial went on.", "The trial saw bleeding.", "The trial ended.", "A trial.")
    assert found[1] > 2 * found[0]


@given(st.lists(st.text("abc .", min_size=0, max_size=60), min_size=0, max_size=12), st.text("abc ", max_size=30))
def test_gains_are_bounded_and_repeatable(texts: list[str], question: str) -> None:
    """One for each chunk, from 0 to the sum of the weights, the same again."""
    rows = [chunk(text) for text in texts]
    found = RERANKER.rerank(question, rows)
    assert len(found) == len(rows)
    assert all(0 <= gain <= COVERAGE + SENTENCE + PAIRS + 1e-9 for gain in found)
    assert list(found) == list(RERANKER.rerank(question, rows))


class Second:
    """A reranker that says what it is told to, or hangs, or raises; counts what it read."""

    def __init__(self, favourite: str = "", fault: Exception | threading.Event | None = None) -> None:
        self.favourite, self.fault = favourite, fault
        self.read: list[int] = []

    def rerank(self, question: str, rows: Sequence[ChunkRow]) -> Sequence[float]:
        self.read.append(len(rows))
        if isinstance(self.fault, threading.Event):
            self.fault.wait(20)
        elif self.fault is not None:
            raise self.fault
        return [9.0 if row.chunk_id == self.favourite else 0.0 for row in rows]


@pytest.fixture
def retriever() -> Iterator[Any]:
    made: list[Retriever] = []

    def make(second: Any) -> Retriever:
        parts = Parts()
        made.append(Retriever(parts.index, parts.models, parts.models, parts.cache, RetrievalSettings(rerank_timeout_s=0.2), second))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("method", list(Fusion))
def test_the_order_goes_by_what_was_gained(retriever: Any, method: Fusion) -> None:
    """The favourite comes first, all others keep their order; the score says both, before and after."""
    plain = retriever(None).retrieve(Query("heart", fusion=method))
    answer = retriever(Second("c07")).retrieve(Query("heart", fusion=method, rerank=True))
    assert ids(answer) == ["c07", *[one for one in ids(plain) if one != "c07"]]
    best = answer.results[0].scores
    assert best.reranked is not None
    assert best.reranked > best.fused
    assert answer.reranked
    assert not answer.degraded


def test_nobody_is_asked_who_was_not_wanted(retriever: Any) -> None:
    """Without `rerank` the answer is what it was before there was a reranker."""
    second = Second("c07")
    with_one, without = retriever(second).retrieve(Query("heart")), retriever(None).retrieve(Query("heart"))
    assert second.read == []
    assert with_one.results == without.results
    assert (with_one.reranked, with_one.degraded, with_one.warnings) == (False, False, ())


@pytest.mark.parametrize("fault", [RuntimeError("burned"), threading.Event()])
def test_an_answer_never_hangs_on_reranking(retriever: Any, fault: Any) -> None:
    """A reranker that fails or hangs costs the second look and says so."""
    answer = retriever(Second(fault=fault)).retrieve(Query("heart", rerank=True))
    if isinstance(fault, threading.Event):
        fault.set()
    assert ids(answer) == ids(retriever(None).retrieve(Query("heart")))
    assert (answer.degraded, answer.reranked) == (True, False)
    assert answer.warnings[0].startswith("not reranked: ")


def test_asking_without_a_reranker_says_so(retriever: Any) -> None:
    """It is no silent no."""
    answer = retriever(None).retrieve(Query("heart", rerank=True))
    assert answer.warnings == ("not reranked: there is nothing to rerank with",)
    assert answer.degraded
