"""Change points of a series: ``ruptures`` proposes where (PELT, exact), a t-test corrected for the number of places decides.

The proposal minimises squared deviations with a penalty of 2·σ²·log n a step, σ from the differences of neighbours, so that a step does
not pass for noise. Each proposed step is then tested against the stretches on both its sides; the weakest one goes first, until
all that remain are significant. Deterministic: no permutation, no seed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import ruptures
from scipy import stats

Floats = npt.NDArray[np.float64]
STRETCH_MIN = 3  # one odd run is no change
POINTS_MIN = 2 * STRETCH_MIN
POINTS_MAX = 5_000
SIGNIFICANCE = 0.01  # that any step is found in a series without one, corrected for all its places
MAD_TO_SD = 1.4826


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """From ``index`` on the level is ``after``. ``p_value`` is corrected for the number of places."""

    index: int
    before: float
    after: float
    p_value: float


def change_points(values: Sequence[float] | Floats, significance: float = SIGNIFICANCE) -> tuple[Step, ...]:
    """The lasting steps of a series of finite numbers, in order. Fewer than six values have none."""
    series = np.asarray(values, dtype=np.float64)
    if not np.isfinite(series).all():
        raise ValueError("a change point needs finite values")
    if len(series) < POINTS_MIN or np.ptp(series) == 0:
        return ()
    kept = _proposed(series[-POINTS_MAX:])
    offset = max(0, len(series) - POINTS_MAX)
    return tuple(dataclasses.replace(step, index=step.index + offset) for step in _pruned(series[offset:], kept, significance))


def _noise(series: Floats) -> float:
    """Standard deviation from differences of neighbours: a step touches one of them only."""
    differences = np.diff(series)
    robust = MAD_TO_SD * float(np.median(np.abs(differences - np.median(differences)))) / math.sqrt(2)
    return robust or float(np.std(differences)) / math.sqrt(2) or float(np.std(series))


def _proposed(series: Floats) -> list[int]:
    noise = _noise(series)
    search = ruptures.Pelt(model="l2", min_size=STRETCH_MIN, jump=1).fit(((series - series.mean()) / noise).reshape(-1, 1))
    found: list[int] = search.predict(pen=2 * math.log(len(series)))
    return [int(place) for place in found[:-1]]


def _pruned(series: Floats, places: list[int], significance: float) -> list[Step]:
    while True:
        steps = _tested(series, places)
        worst = max(steps, key=lambda step: step.p_value, default=None)
        if worst is None or worst.p_value <= significance:
            return steps
        places = [place for place in places if place != worst.index]


def _tested(series: Floats, places: list[int]) -> list[Step]:
    bounds = [0, *places, len(series)]
    return [
        _step(series[bounds[at - 1] : bounds[at]], series[bounds[at] : bounds[at + 1]], bounds[at], len(series))
        for at in range(1, len(bounds) - 1)
    ]


def _step(before: Floats, after: Floats, index: int, places: int) -> Step:
    with np.errstate(divide="ignore", invalid="ignore"):
        p_value = float(stats.ttest_ind(before, after, equal_var=True).pvalue) if np.ptp(before) or np.ptp(after) else 0.0
    return Step(index, float(before.mean()), float(after.mean()), min(1.0, p_value * places))
