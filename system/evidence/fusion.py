"""Fusing ranked lists: pure functions, the same input always gives the same order (ties by chunk id)."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

from system.platform.ports import Hit

RRF_K = 60


class Fusion(enum.StrEnum):
    """How lists become one. Raw scores of different retrievers are never compared: both ways go by list."""

    MINMAX = "minmax"
    RRF = "rrf"


def normalised(hits: Sequence[Hit]) -> dict[str, float]:
    """Scores mapped to 0–1 within one list; a list of equal scores says "all as good": 1.0 each."""
    if not hits:
        return {}
    low, high = min(hit.score for hit in hits), max(hit.score for hit in hits)
    if high == low:
        return {hit.chunk_id: 1.0 for hit in hits}
    return {hit.chunk_id: (hit.score - low) / (high - low) for hit in hits}


def minmax(lists: Mapping[str, Sequence[Hit]], weights: Mapping[str, float]) -> list[Hit]:
    """Weighted sum of normalised scores over the union; a chunk that a list lacks gets 0 from it.

    Weights are re-normalised over the lists that are there, so that fused scores stay within 0–1 when one is missing.
    """
    total = sum(weights[name] for name in lists)
    parts = {name: normalised(hits) for name, hits in lists.items()}
    shares = {name: weights[name] / total if total else 1 / len(lists) for name in sorted(lists)}
    union = {chunk_id for part in parts.values() for chunk_id in part}
    return _ordered({chunk_id: sum(share * parts[name].get(chunk_id, 0.0) for name, share in shares.items()) for chunk_id in union})


def rrf(lists: Mapping[str, Sequence[Hit]], k: int = RRF_K) -> list[Hit]:
    """Reciprocal rank fusion: Σ 1/(k + rank), rank from 1, in the order of each list."""
    scores: dict[str, float] = {}
    for name in sorted(lists):
        for rank, hit in enumerate(lists[name], start=1):
            scores[hit.chunk_id] = scores.get(hit.chunk_id, 0.0) + 1.0 / (k + rank)
    return _ordered(scores)


def raised(ranked: Sequence[Hit], gains: Mapping[str, float]) -> list[Hit]:
    """``ranked`` in its new order after some hits gained; as it was when none did."""
    if not gains:
        return list(ranked)
    return _ordered({hit.chunk_id: hit.score + gains.get(hit.chunk_id, 0.0) for hit in ranked})


def uninformative(lists: Mapping[str, Sequence[Hit]]) -> bool:
    """Whether no list tells its hits apart by score (several hits, all equal): then ranks are all there is."""
    return bool(lists) and all(len(hits) > 1 and hits[0].score == hits[-1].score for hits in lists.values())


def lift(ranked: Sequence[Hit], wanted: Sequence[str], floor: int) -> list[Hit]:
    """``ranked`` with each wanted chunk at rank ``floor`` or better (1-based); the others keep their order.

    More than ``floor`` wanted chunks cannot all have their place: the best ranked ones do.
    """
    chosen = set(wanted)
    keep = [hit for hit in ranked if hit.chunk_id in chosen][:floor]
    below = [hit for hit in keep if hit not in ranked[:floor]]
    if not below:
        return list(ranked)
    protected = {hit.chunk_id for hit in keep}
    top, rest = list(ranked[:floor]), list(ranked[floor:])
    moved: list[Hit] = []
    for hit in reversed(top):  # the lowest unprotected ones make room
        if len(moved) < len(below) and hit.chunk_id not in protected:
            moved.append(hit)
    top = [hit for hit in top if hit not in moved] + below
    return top + list(reversed(moved)) + [hit for hit in rest if hit not in below]


def _ordered(scores: Mapping[str, float]) -> list[Hit]:
    return [Hit(chunk_id, score) for chunk_id, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))]
