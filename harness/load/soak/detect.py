"""Is there a leak, is there a drift? Pure functions of a series. Limits as DESIGN §10 says: both of each, whichever is stricter there.

Of each limit: *within it* when the upper bound of the slope lies below it; *over it* when the slope is shown to rise and not shown to stay
below; otherwise nobody can tell from this series. Steps (a cache that fills, a new worker) are taken out and named, never counted.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np

from harness.core.verdict import Verdict
from harness.load.soak.trend import Trend, trend
from harness.load.soak.windows import Floats, Pick, windowed

LEAK_MB_PER_HOUR = 10.0
LEAK_SHARE_PER_HOUR = 0.01
DRIFT_SHARE_PER_HOUR = 0.02
DRIFT_SHARE_PER_DAY = 0.01
HOURS_A_DAY = 24.0
S_PER_HOUR = 3600.0
Kind = Literal["leak", "drift"]
_PICKS: dict[Kind, Pick] = {"leak": "lowest", "drift": "middle"}


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """``per_hour`` in the unit of the series (MB), or as a share of the level at the start."""

    name: str
    per_hour: float
    of_level: bool

    def absolute(self, level: float) -> float:
        """In units of the series an hour."""
        return self.per_hour * abs(level) if self.of_level else self.per_hour


LIMITS: dict[Kind, tuple[Limit, ...]] = {
    "leak": (Limit("10 MB/h", LEAK_MB_PER_HOUR, of_level=False), Limit("1 %/h", LEAK_SHARE_PER_HOUR, of_level=True)),
    "drift": (
        Limit("2 %/h", DRIFT_SHARE_PER_HOUR, of_level=True),
        Limit("1 %/24 h", DRIFT_SHARE_PER_DAY / HOURS_A_DAY, of_level=True),
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One limit judged. FAIL: over it; PASS: within it; INCONCLUSIVE: this series cannot tell."""

    limit: Limit
    verdict: Verdict
    reason: str


def trend_of(kind: Kind, seconds: Floats, values: Floats, *, speed: float = 1.0) -> Trend:
    """``seconds``: times of the samples; ``values``: MB for a leak, any positive unit for a drift.

    ``speed``: 144 when a day runs in ten minutes. Raises ``TooShort`` for fewer than 36 samples, ``ValueError`` for what is no number.
    """
    if kind == "drift" and len(values) and not (values > 0).all():
        raise ValueError("a latency is above 0")
    if len(seconds) != len(values) or not (np.isfinite(values).all() and np.isfinite(seconds).all()):
        raise ValueError("a series needs as many finite values as times")
    hours = (seconds - seconds.min()) * speed / S_PER_HOUR if len(seconds) else seconds
    return trend(windowed(hours, values, _PICKS[kind]), multiplied=kind == "drift")


def judge_limit(found: Trend, limit: Limit) -> Finding:
    """One limit against a trend."""
    bound = limit.absolute(found.level)
    if found.high < bound:
        return Finding(limit, Verdict.PASS, "")
    if found.low > 0 and found.by_steps:
        return Finding(limit, Verdict.INCONCLUSIVE, "a lasting step explains it as well as a steady rise: more hours will tell")
    if found.low > 0:
        return Finding(limit, Verdict.FAIL, "it rises, and is not shown to stay below the limit")
    return Finding(limit, Verdict.INCONCLUSIVE, "too much noise for this length: neither shown to rise nor to stay below the limit")


def detect(kind: Kind, seconds: Floats, values: Floats, *, speed: float = 1.0) -> tuple[Trend, tuple[Finding, ...]]:
    """The trend and a finding a limit."""
    found = trend_of(kind, seconds, values, speed=speed)
    return found, tuple(judge_limit(found, limit) for limit in LIMITS[kind])
