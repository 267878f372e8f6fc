"""The exact oracle: exhaustive scoring by code of its own, checked on an index small enough to reckon by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from scripts.recall_pool import POOL
from suites.wing.oracle import Field, Index, terms
from system.stores import analysis


def index(texts: list[str], titles: list[str] | None = None) -> Index:
    count = len(texts)
    return Index(
        ids=[f"c{number}" for number in range(count)],
        title=Field.of(titles or [""] * count),
        text=Field.of(texts),
        dense=np.eye(count, 3),
        sparse={7: (np.array([0]), np.array([2.0])), 9: (np.array([0, 1]), np.array([1.0, 3.0]))},
    )


def test_terms_are_those_of_the_index() -> None:
    """Written separately, agreeing word for word with the analysis that made the index."""
    for text in ("The patients’ hazard-ratios were 0.74 (95 % CI)", "Ⅳ infusions in children; NSCLC — no progression", "", "of the and"):
        assert terms(text) == analysis.frequencies(text)


def test_bm25_is_the_documented_formula() -> None:
    """One word in one of two chunks: weight ln(1 + (N - n + 0.5)/(n + 0.5)), saturation k1 0.9, length b 0.35."""
    scores = index(["survival survival", "placebo"])._bm25(terms("survival"))
    norm = 1 - 0.35 + 0.35 * 2 / 1.5
    expected = math.log(1 + 1.5 / 1.5) * (1 - 0.9 / (0.9 + 2 / norm))
    assert scores[0] == pytest.approx(expected, abs=1e-8)
    assert math.isnan(scores[1])


def test_a_word_of_the_title_counts_double() -> None:
    """Title boost 2.0 against the body's 1.0, each by its own length."""
    scores = index(["survival", "placebo"], ["", "survival"])._bm25(terms("survival"))
    assert scores[1] > scores[0]


def test_sparse_scores_are_dot_products() -> None:
    """Only chunks that share a term match."""
    scores = index(["a1", "b1", "c1"])._sparse({7: 0.5, 9: 2.0, 11: 1.0})
    assert scores[:2].tolist() == [3.0, 6.0]
    assert math.isnan(scores[2])


def test_lists_are_fused_after_scaling_each_to_one() -> None:
    """0.3 BM25, 0.3 sparse, 0.4 dense, each list scaled from 0 to 1; what a list lacks gets nothing from it."""
    made = index(["survival", "placebo", "dose"])
    ids, scores = made.answer("survival", np.array([0.1, 0.9, 0.0]), {9: 1.0})
    found = dict(zip(ids, scores, strict=True))
    assert found["c0"] == pytest.approx(0.3 * 1 + 0.3 * 0 + 0.4 * (0.1 / 0.9))
    assert found["c1"] == pytest.approx(0.3 * 1 + 0.4 * 1)
    assert found["c2"] == pytest.approx(0.0)
    assert ids == ("c1", "c0", "c2")


def test_no_two_questions_of_the_pool_are_alike() -> None:
    """A cached vector of an earlier question would answer for a retriever that is away."""
    lines = POOL.read_text(encoding="utf-8").splitlines()
    assert len({json.loads(line)["query"] for line in lines}) == len(lines) >= 600
