"""A recording: the latencies of one measurement, from whatever tool made it."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


@dataclasses.dataclass(frozen=True, slots=True)
class Recording:
    """Values in the order of time (of the file where it has none), seconds; +inf for a request that failed or was never sent.

    ``weights``: how many requests stand behind each value (histograms), else None. ``times_s``: when each began, or None.
    """

    kind: str
    values_s: Floats
    weights: npt.NDArray[np.int64] | None = None
    times_s: Floats | None = None
    duration_s: float | None = None
    notes: tuple[str, ...] = ()
    doubt: str = ""  # why its latencies are not to be believed (the generator was delayed); empty otherwise

    @property
    def requests(self) -> int:
        """How many requests there were."""
        return len(self.values_s) if self.weights is None else int(self.weights.sum())

    @property
    def failed(self) -> int:
        """How many failed or were never sent."""
        bad = np.isinf(self.values_s)
        return int(bad.sum()) if self.weights is None else int(self.weights[bad].sum())

    def error_share(self) -> float:
        """Failed over all."""
        return self.failed / self.requests

    def throughput(self) -> float | None:
        """Requests that succeeded a second; None without times."""
        duration = self.span_s()
        return None if not duration else (self.requests - self.failed) / duration

    def span_s(self) -> float | None:
        """From the first start to the last end, s; None when the file has no times."""
        if self.duration_s is not None or self.times_s is None:
            return self.duration_s
        ended = self.times_s + np.where(np.isfinite(self.values_s), self.values_s, 0.0)
        return float(ended.max() - self.times_s.min()) or None

    def quantile(self, q: float) -> float:
        """The smallest value that at least the share ``q`` of the requests are not above; +inf where failures reach it."""
        order = np.argsort(self.values_s, kind="stable")
        counts = np.ones(len(order), dtype=np.int64) if self.weights is None else self.weights[order]
        rank = max(1, math.ceil(round(q * int(counts.sum()), 9)))
        return float(self.values_s[order][int(np.searchsorted(np.cumsum(counts), rank))])


def in_order(kind: str, values_s: Floats, times_s: Floats | None, *, notes: tuple[str, ...] = ()) -> Recording:
    """A recording whose values are sorted by their times, where there are any."""
    if times_s is None:
        return Recording(kind, values_s, notes=notes)
    order = np.argsort(times_s, kind="stable")
    return Recording(kind, values_s[order], times_s=times_s[order], notes=notes)


def enough(q: float, requests: int) -> bool:
    """Whether a percentile stands on at least 10 requests beyond it (DESIGN §5)."""
    return requests * (1 - q) >= 10 - 1e-9
