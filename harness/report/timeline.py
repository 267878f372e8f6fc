"""Latency over time, folded from the samples in two passes over the segments: the first finds the span, the second counts.

Response time counts from the intended start; a request without an answer is +∞, as in the thresholds, so a percentile may be +∞.
Service time counts from the send. Nothing here grows with the number of samples: each bin of time holds a histogram.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.core.clock import NS_PER_S
from harness.report.buckets import COARSE_BITS, Counts, Distribution, Floats, Ints, places, quantiles_ms, size
from harness.report.folder import RunFolder

QUANTILES = (0.50, 0.90, 0.99)
OVERALL = (0.50, 0.90, 0.95, 0.99, 0.999, 1.0)
MAX_BINS = 180
MAX_OPERATIONS = 6
MAX_GROUPS = 48
SPAN_COLUMNS = ("op", "intended_ns")
REQUEST_COLUMNS = ("op", "step", "intended_ns", "sent_ns", "done_ns", "outcome")
CANARY_COLUMNS = ("intended_ns", "done_ns", "known_delay_ns", "outcome")
OTHER = "…"


@dataclasses.dataclass(frozen=True, slots=True)
class Axis:
    """The time axis of a trial: ``bins`` of ``bin_s`` seconds from ``origin_ns`` on."""

    origin_ns: int
    bin_s: float
    bins: int

    @property
    def span_s(self) -> float:
        return self.bins * self.bin_s

    @property
    def times_s(self) -> Floats:
        """The middle of each bin."""
        return (np.arange(self.bins, dtype=np.float64) + 0.5) * np.float64(self.bin_s)

    def index(self, times_ns: Ints) -> Ints:
        """The bin of each moment; those outside go to the first or last one."""
        clipped: Ints = np.clip((times_ns - self.origin_ns) // round(self.bin_s * NS_PER_S), 0, self.bins - 1)
        return clipped


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """One operation of one trial, by time bin. Latencies in ms (NaN: no request, inf: no answer), rates per s."""

    operation: str
    axis: Axis
    percentiles_ms: tuple[Floats, ...]  # response time, in the order of QUANTILES
    longest_ms: Floats
    service_ms: tuple[Floats, ...]  # service time, in the order of QUANTILES
    requests: Ints  # by intended start
    errors: Ints
    sent: Ints  # by send
    answered: Ints  # by end, whatever the answer
    response: Distribution
    service: Distribution

    @property
    def times_s(self) -> Floats:
        return self.axis.times_s

    @property
    def overall_ms(self) -> list[float]:
        """The quantiles ``OVERALL`` of the response time over everything."""
        return self.response.quantiles_ms(OVERALL)


@dataclasses.dataclass(frozen=True, slots=True)
class Tagged:
    """The requests of one operation, step and outcome. ``time``: intended start to end, of those that ended."""

    operation: str
    step: str
    outcome: str
    requests: int
    time: Distribution


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """A trial that carried load: operations (the busiest first), tags, and the canary's p95 error by bin (ms; empty without one)."""

    axis: Axis
    timelines: tuple[Timeline, ...]
    tags: tuple[Tagged, ...]
    canary_p95_ms: Floats
    requests: int


def course(folder: RunFolder, trial: str) -> Course | None:
    """Everything the report draws of a trial; None when it carried no load."""
    counts: Counter[str] = Counter()
    first, last = math.inf, -math.inf
    for batch in folder.batches("requests", trial, SPAN_COLUMNS):
        if batch.num_rows:
            intended = _ns(batch, "intended_ns")
            first, last = min(first, int(intended.min())), max(last, int(intended.max()))
            counts.update(_counted(batch.column("op")))
    if not counts:
        return None
    axis = _axis(int(first), int(last))
    fold = _Fold(axis, tuple(name for name, _ in counts.most_common(MAX_OPERATIONS)))
    for batch in folder.batches("requests", trial, REQUEST_COLUMNS):
        fold.add(batch)
    return Course(axis, fold.timelines(), fold.tags(), _canary(folder, trial, axis), counts.total())


def _axis(first_ns: int, last_ns: int) -> Axis:
    span_s = (last_ns - first_ns) / NS_PER_S
    bin_s = _bin_s(span_s)
    return Axis(first_ns, bin_s, max(1, math.ceil((span_s + 1e-9) / bin_s)))


def _bin_s(span_s: float) -> float:
    """One second, or the smallest round width that keeps the drawing bounded."""
    for width in (1, 2, 5, 10, 30, 60, 300, 600, 3600):
        if span_s / width <= MAX_BINS:
            return float(width)
    return math.ceil(span_s / MAX_BINS / 3600) * 3600.0


def _ns(batch: pa.RecordBatch, column: str) -> Ints:
    """A time column; 0 where it is null."""
    values: Ints = batch.column(column).fill_null(0).to_numpy(zero_copy_only=False)
    return values


def _words(column: Any) -> tuple[list[str], npt.NDArray[np.int64]]:
    """A column of words as its dictionary and the place of each row's word in it."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    words = [word or "" for word in encoded.dictionary.to_pylist()]
    codes = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False).astype(np.int64)
    return [*words, ""], codes


def _counted(column: Any) -> dict[str, int]:
    words, codes = _words(column)
    found: Counter[str] = Counter()
    for word, count in zip(words, np.bincount(codes, minlength=len(words)).tolist(), strict=True):
        found[word] += count
    return {word: count for word, count in found.items() if count}


class _Bins:
    """A histogram a bin of time, and the longest value of each."""

    def __init__(self, axis: Axis) -> None:
        self._table: Counts = np.zeros((axis.bins, size(COARSE_BITS)), dtype=np.uint32)
        self._never: Ints = np.zeros(axis.bins, dtype=np.int64)
        self._longest: Ints = np.zeros(axis.bins, dtype=np.int64)

    def add(self, bins: Ints, values_ns: Ints, never_bins: Ints) -> None:
        np.add.at(self._table.reshape(-1), bins * size(COARSE_BITS) + places(values_ns, COARSE_BITS), 1)
        np.maximum.at(self._longest, bins, values_ns)
        self._never += np.bincount(never_bins, minlength=len(self._never))

    def percentiles_ms(self, wanted: tuple[float, ...]) -> tuple[Floats, ...]:
        rows = [quantiles_ms(counts, int(never), wanted) for counts, never in zip(self._table, self._never, strict=True)]
        found = np.array(rows, dtype=np.float64).T
        # the middle of the last bucket may lie above the longest value in it
        return tuple(np.where(np.isfinite(column), np.minimum(column, self._longest / 1e6), column) for column in found)

    def longest_ms(self) -> Floats:
        empty = self._longest == 0
        return np.where(self._never > 0, np.inf, np.where(empty, np.nan, self._longest / 1e6))


class _Operation:
    """What is counted of one operation."""

    def __init__(self, axis: Axis) -> None:
        self._axis = axis
        self.response_bins, self.service_bins = _Bins(axis), _Bins(axis)
        self.response, self.service = Distribution(), Distribution()
        self.requests, self.errors, self.sent, self.answered = (np.zeros(axis.bins, dtype=np.int64) for _ in range(4))

    def add(self, intended: Ints, sent: Ints, done: Ints, good: npt.NDArray[np.bool_]) -> None:
        bins = self._axis.index(intended)
        was_sent, ended = sent > 0, done > 0
        response, service = (done - intended)[good], (done - sent)[good & was_sent]
        self.response_bins.add(bins[good], response, bins[~good])
        self.service_bins.add(bins[good & was_sent], service, bins[~good & was_sent])
        self.response.add(response, int(np.count_nonzero(~good)))
        self.service.add(service, int(np.count_nonzero(~good & was_sent)))
        for counts, part in (
            (self.requests, bins),
            (self.errors, bins[~good]),
            (self.sent, self._axis.index(sent[was_sent])),
            (self.answered, self._axis.index(done[ended])),
        ):
            np.add(counts, np.bincount(part, minlength=self._axis.bins), out=counts)

    def timeline(self, name: str) -> Timeline:
        return Timeline(
            operation=name,
            axis=self._axis,
            percentiles_ms=self.response_bins.percentiles_ms(QUANTILES),
            longest_ms=self.response_bins.longest_ms(),
            service_ms=self.service_bins.percentiles_ms(QUANTILES),
            requests=self.requests,
            errors=self.errors,
            sent=self.sent,
            answered=self.answered,
            response=self.response,
            service=self.service,
        )


class _Fold:
    """Counts batches of requests. Operations beyond ``drawn`` are only in the tags."""

    def __init__(self, axis: Axis, drawn: tuple[str, ...]) -> None:
        self._operations = {name: _Operation(axis) for name in drawn}
        self._tags: dict[tuple[str, str, str], Distribution] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, batch: pa.RecordBatch) -> None:
        ops, op = _words(batch.column("op"))
        steps, step = _words(batch.column("step"))
        outcomes, outcome = _words(batch.column("outcome"))
        intended, sent, done = (_ns(batch, name) for name in ("intended_ns", "sent_ns", "done_ns"))
        good = (outcome == outcomes.index("ok")) & (done > 0) if "ok" in outcomes else np.zeros(len(done), dtype=np.bool_)
        for number, name in enumerate(ops):
            own = op == number
            if name in self._operations and own.any():
                self._operations[name].add(intended[own], sent[own], done[own], good[own])
        code = (op * len(steps) + step) * len(outcomes) + outcome
        for value in np.unique(code).tolist():
            key = (ops[value // len(outcomes) // len(steps)], steps[value // len(outcomes) % len(steps)], outcomes[value % len(outcomes)])
            self._tag(key, intended, done, code == value)

    def _tag(self, key: tuple[str, str, str], intended: Ints, done: Ints, own: npt.NDArray[np.bool_]) -> None:
        if key not in self._tags and len(self._tags) >= MAX_GROUPS:
            key = (OTHER, OTHER, OTHER)
        self._counts[key] += int(np.count_nonzero(own))
        ended = own & (done > 0)
        self._tags.setdefault(key, Distribution()).add((done - intended)[ended])

    def timelines(self) -> tuple[Timeline, ...]:
        return tuple(operation.timeline(name) for name, operation in self._operations.items())

    def tags(self) -> tuple[Tagged, ...]:
        return tuple(Tagged(*key, requests=count, time=self._tags[key]) for key, count in sorted(self._counts.items()))


def _canary(folder: RunFolder, trial: str, axis: Axis) -> Floats:
    """The canary's p95 error of each bin, ms; empty when none ran."""
    bins: _Bins | None = None
    for batch in folder.batches("canary", trial, CANARY_COLUMNS):
        bins = bins or _Bins(axis)
        intended, done, held = (_ns(batch, name) for name in ("intended_ns", "done_ns", "known_delay_ns"))
        outcomes, outcome = _words(batch.column("outcome"))
        good = (outcome == outcomes.index("ok")) & (done > 0) if "ok" in outcomes else np.zeros(len(done), dtype=np.bool_)
        place = axis.index(intended)
        bins.add(place[good], (done - intended - held)[good], place[~good])
    return np.array([], dtype=np.float64) if bins is None else bins.percentiles_ms((0.95,))[0]
