"""The search for the knee: at which arrival rate does a system stop holding its limits?

Rates rise by a constant factor until a step breaks, then the bracket is halved (on a logarithmic scale) until it is narrow, then
steps at the likeliest breaking point confirm it. Near the knee a step's outcome is a matter of chance, so one unlucky step
must not decide: after every step a logistic curve P(holds | rate) = ε/2 + (1 - ε)/(1 + exp((ln rate - μ)/s)) is fitted to *all*
conclusive steps by Bayes' rule on a grid of (μ, s) (flat prior on μ and ln s; the psi method of Kontsevich & Tyler 1999 without its choice
of stimuli; bisection under noise: Waeber, Frazier & Henderson 2013). Unlike maximum likelihood this has an answer for outcomes
that are perfectly separated, which is the usual case: the interval is then about the bracket. ε = 2 % keeps a step that went wrong
for a reason of its own from moving the knee far.

*Breaking point*: the rate that holds with probability 1/2 (e^μ). *Capacity*: the rate that holds with probability 9/10. Both with
their 95 % credible intervals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Outcome = Literal["holds", "breaks", "inconclusive"]
Floats = npt.NDArray[np.float64]

LAPSE = 0.02
CENTRES, WIDTHS = 1001, 24
WIDTH_LEAST, WIDTH_MOST = 0.002, 0.15  # s: from nearly a step to 10 → 90 % within ± 33 % of the rate
MARGIN = 1.5  # how far beyond the rates tried the knee may lie
HOLDING = 0.9
LEVEL = 0.95
DOWN_MAX = 4  # how often the factor is gone down from the first rate where that already breaks
WIDE = 3  # times the tolerance: an interval wider than that wants more confirmations


@dataclasses.dataclass(frozen=True, slots=True)
class Tried:
    """One step: its rate (1/s), what came of it and why."""

    rate: float
    outcome: Outcome
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """An estimate (the median) and its 95 % credible interval, 1/s."""

    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """Relative to the estimate."""
        return (self.high - self.low) / self.value


@dataclasses.dataclass(frozen=True, slots=True)
class Knee:
    """What a search found. ``bound`` says on which side the rates tried left the knee unseen: then there is only that bound."""

    bound: Literal["", "above", "below", "unknown"]
    capacity: Interval | None = None
    breaking_point: Interval | None = None
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class SearchPlan:
    """``first`` … ``most``: rates (1/s). ``tolerance``: the relative width at which a bracket is narrow enough."""

    first: float
    most: float
    factor: float = 1.5
    tolerance: float = 0.05
    confirmations: int = 4
    retries: int = 2  # of a step that was inconclusive
    steps_max: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.first < self.most:
            raise ValueError(f"rates from {self.first:g}/s to {self.most:g}/s: the first must be above 0/s and below the last")
        if not (self.factor > 1 and self.tolerance > 0):
            raise ValueError(f"factor {self.factor:g} must be above 1, tolerance {self.tolerance:g} above 0")


def search(plan: SearchPlan, trial: Callable[[float], Tried], stop: Callable[[], bool] = lambda: False) -> list[Tried]:
    """Try rates until the knee is known or ``steps_max`` is reached. ``trial`` runs one step. All steps, in order."""
    tried: list[Tried] = []
    while len(tried) < plan.steps_max and not stop():
        rate = next_rate(plan, tried)
        if rate is None:
            break
        tried.append(trial(rate))
    return tried


def next_rate(plan: SearchPlan, tried: Sequence[Tried]) -> float | None:
    """The rate of the next step; None when the search is over. A pure function of what was tried."""
    if not tried:
        return plan.first
    if tried[-1].outcome == "inconclusive":
        return tried[-1].rate if _repeats(tried) <= plan.retries else None
    if (doubted := doubtful(tried)) is not None:
        return doubted
    low, high = bracket(tried)
    if high is None:
        return None if low >= plan.most else min(plan.most, low * plan.factor)
    if low == 0.0:
        lower = min(one.rate for one in tried) / plan.factor
        return lower if lower >= plan.first / plan.factor**DOWN_MAX else None
    return _within(plan, tried, low, high)


def _within(plan: SearchPlan, tried: Sequence[Tried], low: float, high: float) -> float | None:
    """Halve the bracket, then confirm where the knee is likeliest."""
    confirmed = _confirmed(plan, tried)
    if high / low > 1 + plan.tolerance and not confirmed:
        return math.sqrt(low * high)
    found = estimate(tried)
    if found.breaking_point is None or found.capacity is None:
        return None
    if len(confirmed) >= plan.confirmations and found.breaking_point.width <= WIDE * plan.tolerance:
        return None
    # One at the breaking point says where the curve is, one at the lower end of the capacity how steep it is.
    return found.breaking_point.value if len(confirmed) % 2 == 0 else math.sqrt(found.capacity.low * found.capacity.value)


def bracket(tried: Sequence[Tried]) -> tuple[float, float | None]:
    """The lowest rate that broke more often than it held, and the highest below it that did not; None and 0 where there is none."""
    counts = _counts(tried)
    doubted = doubtful(tried)
    high = min((rate for rate, (held, broke) in counts.items() if broke > held and rate != doubted), default=None)
    low = max((rate for rate, (held, broke) in counts.items() if held >= max(1, broke) and (high is None or rate < high)), default=0.0)
    return (low if doubted is None else min(low, doubted)), high


def doubtful(tried: Sequence[Tried]) -> float | None:
    """The only rate that broke, while one more try would tell more than a higher one: one unlucky step must not end the rise."""
    broken = [(rate, held, broke) for rate, (held, broke) in _counts(tried).items() if broke and broke >= held]
    if len(broken) != 1:
        return None
    rate, held, broke = broken[0]
    return rate if broke == held or (held, broke) == (0, 1) else None


def _counts(tried: Iterable[Tried]) -> dict[float, tuple[int, int]]:
    """Rate → how often it held and how often it broke."""
    counts: dict[float, tuple[int, int]] = {}
    for one in tried:
        held, broke = counts.get(one.rate, (0, 0))
        counts[one.rate] = (held + (one.outcome == "holds"), broke + (one.outcome == "breaks"))
    return counts


def _confirmed(plan: SearchPlan, tried: Sequence[Tried]) -> list[Tried]:
    """The conclusive steps since the bracket was first narrow: it may widen again when one of them surprises."""
    for place in range(1, len(tried)):
        low, high = bracket(tried[:place])
        if high is not None and low > 0 and high / low <= 1 + plan.tolerance:
            return [one for one in tried[place:] if one.outcome != "inconclusive"]
    return []


def _repeats(tried: Sequence[Tried]) -> int:
    """How often the last rate was inconclusive in a row."""
    count = 0
    for one in reversed(tried):
        if one.outcome != "inconclusive" or one.rate != tried[-1].rate:
            break
        count += 1
    return count


def estimate(tried: Sequence[Tried]) -> Knee:
    """The knee that these steps show; a pure function, so that a judge can repeat it."""
    conclusive = [one for one in tried if one.outcome != "inconclusive"]
    last = tried[-1] if tried else None
    stuck = f"; the step at {last.rate:.4g}/s stayed inconclusive: {last.reason}" if last and last.outcome == "inconclusive" else ""
    if not conclusive:
        return Knee("unknown", reason=f"no step was conclusive{stuck}")
    low, high = bracket(tried)
    if high is None:
        return Knee("above", reason=f"no rate broke for certain, up to {low:.4g}/s{stuck}")
    if low == 0.0:
        return Knee("below", reason=f"no rate held, down to {high:.4g}/s{stuck}")
    centres, widths, weight = _posterior(conclusive)
    holding = centres[:, None] - widths[None, :] * math.log(HOLDING / (1 - HOLDING))
    breaking = np.broadcast_to(centres[:, None], weight.shape)
    return Knee("", _interval(holding, weight), _interval(breaking, weight), reason=stuck.removeprefix("; "))


def _posterior(tried: Sequence[Tried]) -> tuple[Floats, Floats, Floats]:
    """Grid of μ and s, and the weight of each pair (they sum to 1)."""
    logs = np.log([one.rate for one in tried])
    centres = np.linspace(logs.min() - math.log(MARGIN), logs.max() + math.log(MARGIN), CENTRES)
    widths = np.geomspace(WIDTH_LEAST, WIDTH_MOST, WIDTHS)
    likelihood = np.zeros((CENTRES, WIDTHS))
    for log, one in zip(logs, tried, strict=True):
        distance = np.clip((log - centres[:, None]) / widths[None, :], -500, 500)
        holds = LAPSE / 2 + (1 - LAPSE) / (1 + np.exp(distance))
        likelihood += np.log(holds if one.outcome == "holds" else 1 - holds)
    weight = np.exp(likelihood - likelihood.max())
    return centres, widths, np.asarray(weight / weight.sum())


def _interval(logs: Floats, weight: Floats) -> Interval:
    order = np.argsort(logs, axis=None)
    sums = np.cumsum(weight.ravel()[order])
    places = np.minimum(np.searchsorted(sums, [0.5, (1 - LEVEL) / 2, (1 + LEVEL) / 2]), sums.size - 1)
    value, low, high = np.exp(logs.ravel()[order][places]).tolist()
    return Interval(value, low, high)
