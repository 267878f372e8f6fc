"""Burn rates: how many times as fast as allowed an error budget is being used up.

burn = (share of bad requests) / (1 - objective). Multi-window, multi-burn-rate alarms after *The Site Reliability Workbook* (Beyer,
Murphy, Rensin, Kawahara, Thorne; O'Reilly 2018), chapter 5, "Alerting on SLOs", approach 6: a rate is exceeded when it is exceeded
over the long window *and* still over the short one; 14.4 over 1 h / 5 min, 6 over 6 h / 30 min, 3 over 1 d / 2 h, 1 over 3 d / 6 h of
a 30-day objective.

A run is shorter than 3 days: its windows are the workbook's, all scaled by one factor, so that the longest is the whole run. Few
requests then stand in a window, and few requests show little: n clean ones bound the bad share by 3/n (95 %, rule of three), a burn of
3 / (n · (1 - objective)). Below that "it does not burn" is not shown by silence: the row is INCONCLUSIVE and says that figure.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from harness.core.verdict import Verdict
from harness.load.budget.file import BurnRate
from harness.thresholds.evaluate import RARE_EVENTS
from harness.thresholds.figures import Values

LOOKS_MAX = 10_000  # moments at which the windows are looked at
LOOKS_A_SHORT_WINDOW = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Scaled:
    """A burn rate with its windows in ns, as they are in this run."""

    rate: float
    long_ns: int
    short_ns: int


@dataclasses.dataclass(frozen=True, slots=True)
class Burn:
    """What one burn rate gave. ``worst``: the highest burn that held over both windows at once; ``least``: what the requests can show."""

    scaled: Scaled
    verdict: Verdict
    worst: float
    least: float
    fewest: int  # requests in the emptiest long window
    at_ns: int | None = None  # when it was exceeded first
    reason: str = ""


def scaled(rows: Sequence[BurnRate], span_ns: int) -> tuple[Scaled, ...]:
    """The windows of ``rows`` in a run of that length: the longest becomes the run itself."""
    factor = Fraction(span_ns, max(row.long.ns for row in rows))
    return tuple(Scaled(row.rate, max(1, round(row.long.ns * factor)), max(1, round(row.short.ns * factor))) for row in rows)


def needed(rate: float, allowed: Fraction) -> int:
    """How many requests a window needs before a clean one shows a burn below ``rate``."""
    return math.ceil(RARE_EVENTS / (rate * allowed))


def least_burn(requests: int, allowed: Fraction) -> float:
    """The smallest burn that so many requests can show; infinite without any."""
    return float(RARE_EVENTS / (requests * allowed)) if requests else math.inf


def judge_burn(bad: Values, allowed: Fraction, rows: Sequence[BurnRate], span_ns: tuple[int, int]) -> tuple[Burn, ...]:
    """Each burn rate over the whole span, looked at every half short window. ``bad``: 1 for a bad request, 0 for a good one."""
    inside = bad.within(*span_ns)
    order = np.argsort(inside.times_ns, kind="stable")
    counted = Counted(inside.times_ns[order], inside.values[order])
    return tuple(_judge(counted, float(allowed), row, span_ns) for row in scaled(rows, span_ns[1] - span_ns[0]))


class Counted:
    """Requests in the order of their times, so that any window is two look-ups."""

    def __init__(self, times_ns: npt.NDArray[np.int64], bad: npt.NDArray[np.float64]) -> None:
        self._times = times_ns
        self._bad = np.concatenate([[0.0], np.cumsum(bad)])

    def window(self, ends_ns: npt.NDArray[np.int64], length_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Requests and bad ones in [end - length, end), for every end."""
        until = np.searchsorted(self._times, ends_ns, side="left")
        since = np.searchsorted(self._times, ends_ns - length_ns, side="left")
        return until - since, self._bad[until] - self._bad[since]

    def burn(self, ends_ns: npt.NDArray[np.int64], length_ns: int, allowed: float) -> npt.NDArray[np.float64]:
        """The burn over every such window; 0 where it is empty."""
        total, bad = self.window(ends_ns, length_ns)
        return np.asarray(np.divide(bad, total, out=np.zeros(len(bad)), where=total > 0) / allowed)


def _judge(counted: Counted, allowed: float, row: Scaled, span_ns: tuple[int, int]) -> Burn:
    ends = _looks(row, span_ns)
    total, _ = counted.window(ends, row.long_ns)
    both = np.minimum(counted.burn(ends, row.long_ns, allowed), counted.burn(ends, row.short_ns, allowed))
    wanted = math.ceil(RARE_EVENTS / (row.rate * allowed) - 1e-9)
    enough = total >= wanted
    fewest = int(total.min())
    least = RARE_EVENTS / (fewest * allowed) if fewest else math.inf
    exceeded = np.flatnonzero(enough & (both > row.rate))
    if len(exceeded):
        at_ns = int(ends[exceeded[0]])
        seconds = (at_ns - span_ns[0]) / 1e9
        worst = float(both[enough].max())
        return Burn(row, Verdict.FAIL, worst, least, fewest, at_ns, f"exceeded from +{seconds:.1f} s on, over both windows")
    worst = float(both.max())
    if not enough.all():
        shown = f"a burn of {least:.3g} or more" if fewest else "nothing"
        reason = f"{fewest} requests in the emptiest long window show {shown}; {wanted} are needed for {row.rate:g}"
        return Burn(row, Verdict.INCONCLUSIVE, worst, least, fewest, None, reason)
    return Burn(row, Verdict.PASS, worst, least, fewest)


def _looks(row: Scaled, span_ns: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Ends of the windows: from the first whole long one to the end of the span, which is always looked at."""
    first, last = min(span_ns[0] + row.long_ns, span_ns[1]), span_ns[1]
    step = max(1, row.short_ns // LOOKS_A_SHORT_WINDOW, -(-(last - first) // LOOKS_MAX))
    return np.append(np.arange(first, last, step, dtype=np.int64), np.int64(last))
