"""Latency over time, from the samples: percentiles of each second's intended requests, errors, and the canary's own error.

Response time counts from the intended start; a request without an answer is +∞, as in the thresholds, so a percentile may be +∞.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.core.clock import NS_PER_S
from harness.report.folder import RunFolder

Floats = npt.NDArray[np.float64]
QUANTILES = (0.50, 0.95, 0.99)
MAX_BINS = 180
MAX_OPERATIONS = 6
REQUEST_COLUMNS = ("op", "intended_ns", "done_ns", "outcome")
CANARY_COLUMNS = ("intended_ns", "done_ns", "known_delay_ns", "outcome")


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """One operation of one trial, by time bin. Times in s since ``origin_ns``, latencies in ms (NaN: no request, inf: no answer)."""

    operation: str
    origin_ns: int
    bin_s: float
    times_s: Floats  # middle of each bin
    percentiles_ms: tuple[Floats, ...]  # in the order of QUANTILES
    errors: npt.NDArray[np.int64]
    requests: npt.NDArray[np.int64]
    canary_p95_ms: Floats  # empty when no canary ran
    overall_ms: tuple[float, ...]  # the same quantiles over everything

    @property
    def span_s(self) -> float:
        return len(self.times_s) * self.bin_s


def timelines(folder: RunFolder, trial: str) -> Iterator[Timeline]:
    """A timeline for each operation that carried load in ``trial``, the busiest first."""
    samples = folder.samples("requests", trial, REQUEST_COLUMNS)
    if samples.num_rows == 0:
        return
    operations = samples["op"].fill_null("").to_numpy(zero_copy_only=False).astype(str)
    intended = samples["intended_ns"].fill_null(0).to_numpy()
    latency = _latency_ms(samples)
    origin, span_s = int(intended.min()), float(intended.max() - intended.min()) / NS_PER_S
    bin_s = _bin_s(span_s)
    bins = max(1, math.ceil((span_s + 1e-9) / bin_s))
    canary = _canary(folder, trial, origin, bin_s, bins)
    names, counts = np.unique(operations, return_counts=True)
    for name in names[np.argsort(-counts, kind="stable")][:MAX_OPERATIONS]:
        own = operations == name
        yield _timeline(str(name), origin, bin_s, bins, intended[own], latency[own], canary)


def _latency_ms(samples: Any) -> Floats:
    done = samples["done_ns"].fill_null(0).to_numpy().astype(np.float64)
    intended = samples["intended_ns"].fill_null(0).to_numpy().astype(np.float64)
    good = samples["outcome"].fill_null("").to_numpy(zero_copy_only=False) == "ok"
    return np.where(good & (done > 0), (done - intended) / 1e6, np.inf)


def _bin_s(span_s: float) -> float:
    """One second, or the smallest round width that keeps the drawing bounded."""
    for width in (1, 2, 5, 10, 30, 60, 300, 600, 3600):
        if span_s / width <= MAX_BINS:
            return float(width)
    return math.ceil(span_s / MAX_BINS / 3600) * 3600.0


def _timeline(
    name: str, origin: int, bin_s: float, bins: int, intended: npt.NDArray[np.int64], latency: Floats, canary: Floats
) -> Timeline:
    index = _index(intended, origin, bin_s, bins)
    errors = np.bincount(index[~np.isfinite(latency)], minlength=bins)
    return Timeline(
        operation=name,
        origin_ns=origin,
        bin_s=bin_s,
        times_s=(np.arange(bins, dtype=np.float64) + 0.5) * np.float64(bin_s),
        percentiles_ms=_percentiles(index, latency, bins, QUANTILES),
        errors=errors,
        requests=np.bincount(index, minlength=bins),
        canary_p95_ms=canary,
        overall_ms=tuple(float(value) for value in _quantiles(np.sort(latency), QUANTILES)),
    )


def _index(intended: npt.NDArray[np.int64], origin: int, bin_s: float, bins: int) -> npt.NDArray[np.int64]:
    width = round(bin_s * NS_PER_S)
    clipped: npt.NDArray[np.int64] = np.clip((intended - origin) // width, 0, bins - 1)
    return clipped


def _percentiles(index: npt.NDArray[np.int64], values: Floats, bins: int, quantiles: tuple[float, ...]) -> tuple[Floats, ...]:
    """The quantiles of each bin (nearest rank upwards, so that one error in twenty reaches the p95)."""
    order = np.lexsort((values, index))
    ordered = values[order]
    bounds = np.searchsorted(index[order], np.arange(bins + 1))
    found = [np.full(bins, np.nan) for _ in quantiles]
    for number in range(bins):
        part = ordered[bounds[number] : bounds[number + 1]]
        for column, value in zip(found, _quantiles(part, quantiles), strict=True):
            column[number] = value
    return tuple(found)


def _quantiles(ordered: Floats, quantiles: tuple[float, ...]) -> list[float]:
    if len(ordered) == 0:
        return [math.nan] * len(quantiles)
    return [float(ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)]) for q in quantiles]


def _canary(folder: RunFolder, trial: str, origin: int, bin_s: float, bins: int) -> Floats:
    """The canary's p95 error of each bin, ms; empty when none ran."""
    samples = folder.samples("canary", trial, CANARY_COLUMNS)
    if samples.num_rows == 0:
        return np.array([], dtype=np.float64)
    held = samples["known_delay_ns"].fill_null(0).to_numpy().astype(np.float64) / 1e6
    index = _index(samples["intended_ns"].fill_null(0).to_numpy(), origin, bin_s, bins)
    return _percentiles(index, _latency_ms(samples) - held, bins, (0.95,))[0]
