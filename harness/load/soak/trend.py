"""The slope of a few points that also jump and remember: level, slope and steps fitted together, an interval that allows for memory."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.load.soak.windows import Floats, Points

STEPS_MAX = 6
REFINEMENTS = 2
EVIDENCE = 3.0  # logarithm of the likelihood ratio between a slope and one more step, from which on the slope is believed
FREE_MIN = 5  # points beyond what is fitted
STEP_T2 = 20.0  # squared t of a step that is believed
STRETCH_MIN = 2  # points on either side of a step
CONFIDENCE = 0.99  # one-sided, each bound
MEMORY_MAX = 0.9
MAD_TO_SD = 1.4826
CLIP = 3.0


@dataclasses.dataclass(frozen=True, slots=True)
class Trend:
    """Slope an hour with its one-sided 99 % bounds, the level at the start, and the steps that were taken out (hour, size)."""

    low: float
    slope: float
    high: float
    level: float
    steps: tuple[tuple[float, float], ...]
    memory: float  # correlation of neighbouring residuals
    by_steps: bool  # one more step and no slope would explain the series as well: it may not rise at all


def trend(points: Points, *, multiplied: bool = False) -> Trend:
    """Fit. The same points give the same trend; scaling values scales it, shifting them shifts the level only.

    ``multiplied``: steps are factors (of latencies, which must be above 0) and not sums; scaling still scales.
    """
    hours, middle = points.hours - points.hours.mean(), float(np.median(points.values))
    values = points.values - middle
    places = _factor_steps(hours, points.values) if multiplied else _steps(hours, values)
    if multiplied and places:
        values = _levelled(hours, points.values, places) - middle
    design = np.stack([np.ones(len(hours)), hours, *(_column(len(hours), place) for place in places)], axis=1)
    coefficients, residuals = _robust_fit(design, values)
    error, memory = _slope_error(design, residuals)
    reach = float(stats.t.ppf(CONFIDENCE, max(len(hours) - design.shape[1], 1))) * error
    slope = float(coefficients[1])
    level = float(coefficients[0] + middle + slope * hours[0])
    steps = tuple(sorted(zip(points.hours[places].tolist(), _sizes(points.values, places), strict=True)))
    by_steps = _explained_by_steps(points.values if multiplied else values, residuals, len(places), memory, multiplied=multiplied)
    return Trend(slope - reach, slope, slope + reach, level, steps, memory, by_steps)


def _explained_by_steps(values: Floats, residuals: Floats, steps: int, memory: float, *, multiplied: bool) -> bool:
    """Whether as many parameters without a slope (one more step) do about as well: a slope is then not what must be the matter."""
    given = np.log(values) if multiplied else values
    base = [np.ones(len(given))]
    places: list[int] = []
    for _ in range(steps + 1):
        place = _best_step(base, places, given, 0.0)
        if place is None:
            break
        places.append(place)
    columns = np.stack([*base, *(_column(len(given), place) for place in places)], axis=1)
    _, other = _robust_fit(columns, given)
    scale = float(np.median(values)) if multiplied else 1.0
    ratio = float((other**2).sum()) * scale**2 / max(float((residuals**2).sum()), 1e-18)
    counted = len(given) * (1 - memory) / (1 + memory)
    return counted / 2 * math.log(max(ratio, 1e-9)) < EVIDENCE


def _factor_steps(hours: Floats, values: Floats) -> list[int]:
    """Steps of logarithms, after the straight line is divided out: the logarithm of a line is no line, and must not pass for steps."""
    places: list[int] = []
    levelled = values
    for _ in range(REFINEMENTS):
        line, _ = _robust_fit(np.stack([np.ones(len(hours)), hours], axis=1), levelled)
        drifted = np.maximum(line[0] + line[1] * hours, float(np.min(values)) / 2)
        places = _steps(hours, np.log(values / drifted))
        levelled = _levelled(hours, values, places) if places else values
    return places


def _levelled(hours: Floats, values: Floats, places: list[int]) -> Floats:
    """Values with the factors of their steps divided out: all at the level before the first."""
    columns = [_column(len(hours), place) for place in places]
    coefficients, _ = _robust_fit(np.stack([np.ones(len(hours)), hours, *columns], axis=1), np.log(values))
    return np.asarray(values / np.exp(np.stack(columns, axis=1) @ coefficients[2:]))


def _sizes(values: Floats, places: list[int]) -> list[float]:
    """How far the medians of the few points around each step lie apart: for people."""
    return [float(np.median(values[at : at + 4]) - np.median(values[max(at - 4, 0) : at])) for at in places]


def _steps(hours: Floats, values: Floats) -> list[int]:
    """Where the series jumps: the best place is added while it is believed; then each is moved to where it is best beside the others."""
    base = [np.ones(len(hours)), hours]
    noise = _local_noise(values)
    places: list[int] = []
    for _ in range(STEPS_MAX):
        place = _best_step(base, places, values, noise)
        if place is None:
            break
        places.append(place)
    for _ in range(REFINEMENTS):
        for place in tuple(places):
            places.remove(place)
            better = _best_step(base, places, values, noise)
            if better is not None:
                places.append(better)
    return places


def _local_noise(values: Floats) -> float:
    """Variance of a point from differences of neighbours, of which few steps touch few."""
    differences = np.diff(values)
    return (MAD_TO_SD * float(np.median(np.abs(differences - np.median(differences))))) ** 2 / 2


def _column(count: int, place: int) -> Floats:
    return (np.arange(count) >= place).astype(np.float64)


def _best_step(base: list[Floats], taken: list[int], values: Floats, noise: float) -> int | None:
    """The place whose step explains most beside what is taken already, if that is more than noise would."""
    count = len(values)
    basis, _ = np.linalg.qr(np.stack([*base, *(_column(count, place) for place in taken)], axis=1))
    residuals = values - basis @ (basis.T @ values)
    free = [at for at in range(STRETCH_MIN, count - STRETCH_MIN + 1) if all(abs(at - other) >= STRETCH_MIN for other in taken)]
    if not free or count - basis.shape[1] < FREE_MIN:
        return None
    places = np.array(free)
    # A step's column is all ones from its place on, so its products are sums of tails: no matrix of candidates is needed.
    overlaps = np.cumsum(basis[::-1], axis=0)[::-1][places]
    lengths = np.maximum((count - places) - (overlaps**2).sum(axis=1), 1e-9)
    explained = np.cumsum(residuals[::-1])[::-1][places] ** 2 / lengths
    best = int(np.argmax(explained))
    rest = float((residuals**2).sum() - explained[best]) / (count - basis.shape[1] - 1)
    return int(places[best]) if explained[best] > STEP_T2 * max(min(rest, noise), 1e-18) else None


def _robust_fit(design: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Least squares with far residuals clipped; coefficients and the clipped residuals."""
    projector = np.linalg.pinv(design)
    coefficients = projector @ values
    for _ in range(4):
        residuals = values - design @ coefficients
        bound = CLIP * max(MAD_TO_SD * float(np.median(np.abs(residuals))), 0.3 * float(np.std(residuals)))
        coefficients = coefficients + projector @ np.clip(residuals, -bound, bound)
    residuals = values - design @ coefficients
    return coefficients, np.clip(residuals, -bound, bound)


def _slope_error(design: Floats, residuals: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Standard error of the slope, widened for residuals that remember: an AR(1) of memory m counts as (1 - m)/(1 + m) as many points."""
    count, columns = design.shape
    total = float((residuals**2).sum())
    if total <= 0:
        return 0.0, 0.0
    raw = float((residuals[1:] * residuals[:-1]).sum()) / total
    memory = min(max(raw + (1 + 2 * raw) * columns / (2 * count), 0.0), MEMORY_MAX)  # fitted residuals remember less than the noise did
    variance = total / (count - columns) * float(np.linalg.inv(design.T @ design)[1, 1])
    return math.sqrt(variance * (1 + memory) / (1 - memory)), memory
