"""Ratios of two recordings with bootstrap intervals: blocks of consecutive requests are drawn, because neighbours resemble each other."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from harness.load.compare.recording import Floats, Recording
from harness.load.compare.result import Interval

BLOCKS = 50
BINS = 8_000
REPLICATES = 500
CHUNK = 50
FLOOR_S = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class Binned:
    """How many requests of each block fall into each bin of the common logarithmic axis that is not empty; the last bin is +inf."""

    counts: Floats  # (blocks, bins)
    values: Floats  # (bins,): what a bin stands for


def axis(*recordings: Recording) -> Floats:
    """Bin edges from the smallest to the largest finite value, logarithmic; at most 0.3 % apart over ten decades."""
    finite = np.concatenate([one.values_s[np.isfinite(one.values_s)] for one in recordings])
    if not len(finite):
        return np.geomspace(FLOOR_S, 1.0, BINS + 1)
    low, high = max(float(finite.min()), FLOOR_S), max(float(finite.max()), FLOOR_S)
    return np.geomspace(low * (1 - 1e-9), high * (1 + 1e-9) + FLOOR_S, BINS + 1)


def binned(recording: Recording, edges: Floats) -> Binned:
    """Blocks of equal length in the order of time. A histogram has no order: its requests are drawn one by one (no blocks)."""
    place = np.clip(np.searchsorted(edges, np.maximum(recording.values_s, FLOOR_S), side="right") - 1, 0, BINS - 1)
    place = np.where(np.isinf(recording.values_s), BINS, place)
    middle = np.append(np.sqrt(edges[1:] * edges[:-1]), np.inf)
    used = np.append(np.unique(place[place < BINS]), BINS)
    place = np.searchsorted(used, place)
    if recording.weights is not None:
        return Binned(np.bincount(place, weights=recording.weights, minlength=len(used))[None, :].astype(np.float64), middle[used])
    count = len(place)
    block = np.minimum(np.arange(count) * BLOCKS // count, BLOCKS - 1)
    flat = np.bincount(block * len(used) + place, minlength=BLOCKS * len(used))
    return Binned(flat.reshape(BLOCKS, len(used)).astype(np.float64), middle[used])


def drawn(sample: Binned, random: np.random.Generator, replicates: int) -> Floats:
    """Counts by bin of resampled recordings, shape (replicates, bins)."""
    blocks = sample.counts.shape[0]
    if blocks == 1:
        total = int(sample.counts.sum())
        return random.multinomial(total, sample.counts[0] / total, size=replicates).astype(np.float64)
    chosen = random.multinomial(blocks, np.full(blocks, 1 / blocks), size=replicates).astype(np.float64)
    counts: Floats = chosen @ sample.counts
    return counts


def quantiles(counts: Floats, values: Floats, shares: tuple[float, ...]) -> Floats:
    """Shape (replicates, shares); nearest rank."""
    running = np.cumsum(counts, axis=1)
    ranks = np.ceil(np.round(np.array(shares)[None, :] * running[:, -1:], 6)).clip(1)
    return np.stack([values[_places(running, ranks[:, column])] for column in range(len(shares))], axis=1)


def _places(running: Floats, ranks: Floats) -> npt.NDArray[np.int64]:
    return np.array([int(np.searchsorted(row, rank)) for row, rank in zip(running, ranks, strict=True)])


@dataclasses.dataclass(frozen=True, slots=True)
class Draws:
    """Figures of resampled recordings: quantiles (replicates, shares), the share of failures and of successes a request."""

    quantiles: Floats
    failed: Floats
    good: Floats  # successes, as a count


def draws(recording: Recording, edges: Floats, shares: tuple[float, ...], random: np.random.Generator) -> Draws:
    """``REPLICATES`` figures of one recording."""
    sample = binned(recording, edges)
    found, failed, good = [], [], []
    for _ in range(0, REPLICATES, CHUNK):
        counts = drawn(sample, random, CHUNK)
        found.append(quantiles(counts, sample.values, shares))
        failed.append(counts[:, -1] / counts.sum(axis=1))
        good.append(counts[:, :-1].sum(axis=1))
    return Draws(np.concatenate(found), np.concatenate(failed), np.concatenate(good))


def ratio(a: float, b: float, draws_a: Floats, draws_b: Floats, confidence: float) -> Interval | None:
    """B over A with a percentile interval; None where there is no ratio (0 or infinite)."""
    if not (0 < a < math.inf and 0 < b < math.inf):
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = draws_b / draws_a
    ratios = np.nan_to_num(ratios, nan=math.inf)
    tail = (1 - confidence) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail], method="inverted_cdf")
    return Interval(min(float(low), b / a), b / a, max(float(high), b / a))
