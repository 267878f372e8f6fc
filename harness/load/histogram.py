"""Mergeable HDR histograms (3 digits): made from whole columns, added exactly, written as the journal's ``histogram`` event.

The buckets are those of the library ``hdrhistogram``, so that every HDR tool reads the encoding; counting is vectorised here, because
the library takes one value at a time. Values are nanoseconds. What never came (+∞: an error, a time-out) has no bucket: it is counted
apart, in the tag ``never``, and quantiles reckon with it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from hdrh.histogram import HdrHistogram

from harness.journal.events import Histogram

LOWEST_NS = 1
HIGHEST_NS = 3_600 * 1_000_000_000
DIGITS = 3
NEVER = "never"
Ints = npt.NDArray[np.int64]

_MODEL = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
_HALF_BITS = int(_MODEL.sub_bucket_half_count_magnitude)
_HALF = int(_MODEL.sub_bucket_half_count)
_COUNTS = int(_MODEL.counts_len)


def places(values_ns: Ints) -> Ints:
    """The bucket of each value; negative values go to the lowest, those above an hour to the highest."""
    values = np.clip(values_ns, 0, HIGHEST_NS)
    # frexp's exponent of a value below 2**53 is its bit length, exactly
    bucket = np.maximum(np.frexp((values | (2 * _HALF - 1)).astype(np.float64))[1].astype(np.int64) - (_HALF_BITS + 1), 0)
    sub = values >> bucket
    return ((bucket + 1) << _HALF_BITS) + sub - _HALF


class LatencyHistogram:
    """Counts by bucket; every value is at most 0.1 % away from what is reported for it."""

    __slots__ = ("counts", "never")

    def __init__(self, counts: Ints | None = None, never: int = 0) -> None:
        self.counts: Ints = np.zeros(_COUNTS, dtype=np.int64) if counts is None else counts
        self.never = never

    def __len__(self) -> int:
        return int(self.counts.sum()) + self.never

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LatencyHistogram) and self.never == other.never and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def record(self, values_ns: Ints, never: int = 0) -> None:
        """Count a column of values, and how many never came."""
        np.add.at(self.counts, places(values_ns), 1)
        self.never += never

    def add(self, other: LatencyHistogram) -> None:
        """Merge: exactly as if all values had been counted here."""
        self.counts += other.counts
        self.never += other.never

    @classmethod
    def merged(cls, parts: Iterable[LatencyHistogram]) -> Self:
        """One histogram over all samples of the parts."""
        whole = cls()
        for part in parts:
            whole.add(part)
        return whole

    def quantile_ns(self, q: Fraction | float) -> float:
        """The value of the nearest rank, in the middle of its bucket; +inf where that rank never came, nan where nothing was counted."""
        total = len(self)
        if not total:
            return math.nan
        rank = max(1, math.ceil(Fraction(q) * total))
        reached = np.cumsum(self.counts)
        if rank > reached[-1]:
            return math.inf
        return middle_ns(int(np.searchsorted(reached, rank)))

    def bands(self, bounds_ns: Iterable[int]) -> list[int]:
        """How many values lie at or below each bound (to the bucket)."""
        reached = np.cumsum(self.counts)
        return [int(reached[place]) for place in places(np.asarray(list(bounds_ns), dtype=np.int64))]

    def event(self, trial: str, name: str, tags: Mapping[str, str]) -> Histogram:
        """The journal's form: base64 of the V2 compressed encoding."""
        return Histogram(
            trial=trial,
            name=name,
            unit="ns",
            encoded=self._library().encode().decode("ascii"),
            count=len(self),
            tags={**tags, NEVER: str(self.never)},
        )

    @classmethod
    def of_event(cls, event: Histogram) -> Self:
        """Read back from the journal; raises ``ValueError`` for one with other buckets."""
        library = HdrHistogram.decode(event.encoded)
        if (library.lowest_trackable_value, library.highest_trackable_value, library.significant_figures) != (
            LOWEST_NS,
            HIGHEST_NS,
            DIGITS,
        ):
            raise ValueError(f"the histogram {event.name} has other buckets than 1 ns to 1 h with {DIGITS} digits")
        return cls(np.array([library.counts[place] for place in range(_COUNTS)], dtype=np.int64), int(event.tags.get(NEVER, "0")))

    def _library(self) -> Any:
        library = HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)
        for place in np.flatnonzero(self.counts).tolist():
            library.counts[place] = int(self.counts[place])
        library.total_count = int(self.counts.sum())
        if library.total_count:
            used = np.flatnonzero(self.counts)
            library.min_value, library.max_value = _lowest_ns(int(used[0])), _lowest_ns(int(used[-1]))
        return library


def _lowest_ns(place: int) -> int:
    """The smallest value of a bucket."""
    bucket, sub = (place >> _HALF_BITS) - 1, (place & (_HALF - 1)) + _HALF
    return sub - _HALF if bucket < 0 else sub << bucket


def middle_ns(place: int) -> float:
    """What is reported for the values of a bucket."""
    width = 1 << max((place >> _HALF_BITS) - 1, 0)
    return _lowest_ns(place) + (width - 1) / 2
