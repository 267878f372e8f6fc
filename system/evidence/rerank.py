"""Reranking: the best candidates read again, this time with the words of the question and of the chunk side by side.

A cross-feature reranker without a model. The retrievers see a chunk as a bag of words or one vector; here three things count that
need both texts at once, each 0 to 1:

* *coverage*: how much of the question (words weighted by how rare they are among the candidates) the chunk has at all;
* *sentence*: how much of it stands in the chunk's best single sentence;
* *pairs*: how many neighbouring words of the question are neighbours, in that order, in one sentence of the chunk.

Weights were chosen on SciFact *train* over the fused ranking of the small embedded models: nDCG@10 0.744 → 0.749 there, and 0.732 →
0.737 on *test*, which had no part in the choice. That is a small gain for some tens of milliseconds: worth it while there is time,
and the first thing to go when there is not.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from system.evidence.chunking.sentences import sentences
from system.platform.ports import ChunkRow

DEPTH = 50  # candidates that are read again
COVERAGE, SENTENCE, PAIRS = 0.1, 0.1, 0.2
MAX_TERMS = 64  # of a question
MAX_TEXT = 20_000  # code points of a chunk
KEPT = 2048  # chunks whose words are kept: the best candidates of today's questions are much the same ones

Terms = Callable[[str], list[str]]
Pieces = tuple[tuple[str, ...], ...]  # the index terms of a title, and of each sentence


class Reranker(Protocol):
    """What a chunk gains by a second look, in the order of ``rows``; 0 is nothing. The same input always gives the same."""

    def rerank(self, question: str, rows: Sequence[ChunkRow]) -> Sequence[float]: ...


class LexicalReranker:
    """Implements ``Reranker``; ``terms`` makes index terms of a text, the same ones that the search index has."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._pieces = functools.lru_cache(KEPT)(self._read)

    def rerank(self, question: str, rows: Sequence[ChunkRow]) -> Sequence[float]:
        asked = self._terms(question)[:MAX_TERMS]
        if not asked or not rows:
            return [0.0] * len(rows)
        read = [self._pieces(row.title, row.text) for row in rows]
        words = [frozenset(term for piece in pieces for term in piece) for pieces in read]
        weights = _rarity(list(dict.fromkeys(asked)), words)
        pairs = frozenset(itertools.pairwise(asked))
        return [_gain(weights, pairs, pieces, known) for pieces, known in zip(read, words, strict=True)]

    def _read(self, title: str, text: str) -> Pieces:
        return tuple(tuple(sys.intern(term) for term in self._terms(piece)) for piece in _split(title, text[:MAX_TEXT]))


def _split(title: str, text: str) -> Iterator[str]:
    """The title, then the sentences."""
    yield title
    for start, end in sentences(text, 0, len(text)):
        yield text[start:end]


def _rarity(asked: Sequence[str], words: Sequence[frozenset[str]]) -> dict[str, float]:
    """Each word of the question by its share of the whole: a word that every candidate has tells them apart little."""
    count = len(words)
    held = {term: sum(term in known for known in words) for term in asked}
    raw = {term: math.log(1 + (count - held[term] + 0.5) / (held[term] + 0.5)) for term in asked}
    total = sum(raw.values())
    return {term: weight / total for term, weight in raw.items()}


def _gain(weights: dict[str, float], pairs: frozenset[tuple[str, str]], pieces: Sequence[Sequence[str]], known: frozenset[str]) -> float:
    coverage = sum(weight for term, weight in weights.items() if term in known)
    title, *rest = pieces
    best = max((_share(weights, piece) for piece in rest), default=_share(weights, title))
    there = {pair for piece in pieces for pair in itertools.pairwise(piece) if pair in pairs}
    return COVERAGE * coverage + SENTENCE * best + PAIRS * (len(there) / len(pairs) if pairs else 0.0)


def _share(weights: dict[str, float], piece: Sequence[str]) -> float:
    return sum(weights.get(term, 0.0) for term in frozenset(piece))
