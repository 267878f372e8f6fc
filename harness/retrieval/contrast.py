"""Is one ranking better than another over the same queries? A paired bootstrap over queries says so, or says that it cannot tell."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

import numpy as np

from harness.core.verdict import Verdict

RESAMPLES: Final = 10_000
PERCENT: Final = 95.0
SEED: Final = 20_240_501  # a judgement must come out alike whenever it is made again


@dataclasses.dataclass(frozen=True, slots=True)
class Contrast:
    """Mean difference a query, first minus second, with its percentile interval; ``queries`` were compared."""

    mean: float
    low: float
    high: float
    queries: int

    @property
    def verdict(self) -> Verdict:
        """PASS: the first is better; FAIL: it is worse; INCONCLUSIVE: the interval holds 0."""
        return Verdict.PASS if self.low > 0 else Verdict.FAIL if self.high < 0 else Verdict.INCONCLUSIVE

    def __str__(self) -> str:
        return f"{self.mean:+.4f} ({PERCENT:.0f} % interval {self.low:+.4f} to {self.high:+.4f}, {self.queries} queries)"


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> Contrast:
    """Compare two rankings by their scores a query; both must hold the same queries, at least one."""
    names = sorted(first)
    if names != sorted(second) or not names:
        raise ValueError("a paired comparison needs the same queries on both sides")
    differences = np.array([first[name] - second[name] for name in names])
    drawn = np.random.default_rng(SEED).integers(0, len(names), (RESAMPLES, len(names)), dtype=np.int32)
    means = differences[drawn].mean(axis=1)
    half = (100.0 - PERCENT) / 2
    low, high = np.percentile(means, [half, 100.0 - half])
    return Contrast(float(differences.mean()), float(low), float(high), len(names))
