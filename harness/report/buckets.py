"""Counting latencies in logarithmic buckets, whole columns at once: what the report keeps of samples that it has seen.

A bucket is the exponent of a value and the first bits of its mantissa, so finding it is one shift of the float's own bits. With 11 bits
what is reported for a bucket is at most 0.025 % away from any value in it, with 9 bits at most 0.1 %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.uint32]

LOWEST_NS: Final = 1024  # what is shorter counts as about one microsecond
OCTAVES: Final = 32  # up to 73 minutes
MANTISSA_BITS: Final = 52
COARSE_BITS: Final = 9
FINE_BITS: Final = 11
_LOWEST_BITS: Final = int(np.array([LOWEST_NS], dtype=np.float64).view(np.int64)[0])


def size(bits: int) -> int:
    """How many buckets there are."""
    return OCTAVES << bits


def places(values_ns: Ints, bits: int) -> Ints:
    """The bucket of each value; those out of range go to the first or last one."""
    shift = MANTISSA_BITS - bits
    raw = np.maximum(values_ns, LOWEST_NS).astype(np.float64).view(np.int64) >> shift
    found: Ints = np.minimum(raw - (_LOWEST_BITS >> shift), size(bits) - 1)
    return found


def middles_ms(bits: int) -> Floats:
    """What is reported for each bucket, ms."""
    shift = MANTISSA_BITS - bits
    base = _LOWEST_BITS >> shift
    edges = (np.arange(base, base + size(bits) + 1, dtype=np.int64) << shift).view(np.float64)
    middle: Floats = (edges[:-1] + edges[1:]) / 2e6
    return middle


_MIDDLES = {bits: middles_ms(bits) for bits in (COARSE_BITS, FINE_BITS)}


def quantiles_ms(counts: npt.NDArray[np.integer], never: int, wanted: tuple[float, ...]) -> list[float]:
    """Quantiles of one histogram, ms: nearest rank upwards (one error in twenty reaches the p95); inf for ``never``, nan for nothing.

    The histogram's length tells the width of its buckets.
    """
    reached = np.cumsum(counts, dtype=np.int64)
    counted = int(reached[-1])
    total = counted + never
    if total == 0:
        return [math.nan] * len(wanted)
    middles = _MIDDLES[COARSE_BITS if len(counts) == size(COARSE_BITS) else FINE_BITS]
    ranks = [max(1, math.ceil(Fraction(str(q)) * total)) for q in wanted]
    return [math.inf if rank > counted else float(middles[np.searchsorted(reached, rank)]) for rank in ranks]


class Distribution:
    """All values of one kind, counted; the longest is kept exactly. ``never`` counts what had no answer."""

    __slots__ = ("counts", "longest_ns", "never")

    def __init__(self) -> None:
        self.counts: Ints = np.zeros(size(FINE_BITS), dtype=np.int64)
        self.never = 0
        self.longest_ns = 0

    def add(self, values_ns: Ints, never: int = 0) -> None:
        """Count a column of durations, and how many never ended."""
        self.never += never
        if len(values_ns):
            np.add.at(self.counts, places(values_ns, FINE_BITS), 1)
            self.longest_ns = max(self.longest_ns, int(values_ns.max()))

    def __len__(self) -> int:
        return int(self.counts.sum()) + self.never

    def quantiles_ms(self, wanted: tuple[float, ...]) -> list[float]:
        """As ``quantiles_ms`` above; q = 1 is the exact longest."""
        found = quantiles_ms(self.counts, self.never, wanted)
        longest_ms = self.longest_ns / 1e6  # the middle of the last bucket may lie above the longest value in it
        return [
            self.longest_ms if q == 1 else value if math.isinf(value) else min(value, longest_ms)
            for q, value in zip(wanted, found, strict=True)
        ]

    @property
    def longest_ms(self) -> float:
        if self.never:
            return math.inf
        return self.longest_ns / 1e6 if self.longest_ns else math.nan

    def curve(self, steps_a_decade: int = 12) -> Iterator[tuple[float, float]]:
        """The percentile curve: (1/(1-q), ms), from the median on, as far as there are samples to tell; ends with the longest."""
        total = len(self)
        if total < 2:
            return
        last = math.log10(total)
        shares = [10 ** (step / steps_a_decade) for step in range(math.ceil(last * steps_a_decade)) if 10 ** (step / steps_a_decade) > 2]
        wanted = tuple(1 - 1 / share for share in (2.0, *shares))
        yield from zip((2.0, *shares), self.quantiles_ms(wanted), strict=True)
        yield float(total), self.longest_ms
