"""The random-effects model of DerSimonian and Laird in plain arithmetic that equal, tiny and huge inputs do not upset.

Estimates are taken relative to the most precise one, and errors relative to its error: equal estimates differ by exactly
zero, so that Q is zero and not a rounding error of either sign, and no square over- or underflows before it is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec


class Combined(msgspec.Struct, frozen=True):
    """The combined estimate with its standard error, on the scale of the inputs; ``i2`` in percent, 0 up to 100."""

    mean: float
    error: float
    q: float
    i2: float
    tau2: float


def combine_points(points: Sequence[tuple[float, float]]) -> Combined:
    """Combines (estimate, standard error) pairs.

    Mean, error, Q and tau² are infinite where no floating-point number holds them; ``i2`` is always a number.
    Raises ``ValueError`` for fewer than two points, an estimate that is no number, or an error that is not above zero.
    """
    if len(points) < 2 or not all(math.isfinite(y) and math.isfinite(error) and error > 0 for y, error in points):
        raise ValueError("at least two finite estimates with standard errors above zero are needed")
    reference, unit = min(points, key=lambda point: (point[1], point[0]))
    offsets = [(y - reference) / unit for y, _ in points]
    inverses = [unit / error for _, error in points]  # 1 and below
    q, i2 = _heterogeneity(offsets, inverses)
    tau2 = _between(q, inverses)
    if not (math.isfinite(q) and math.isfinite(tau2)):
        return Combined(math.inf, math.inf, q, i2, math.inf)
    weights = [_weight(inverse, tau2) for inverse in inverses]
    total = math.fsum(weights)
    mean = _sum(w * x for w, x in zip(weights, offsets, strict=True)) / total
    return Combined(reference + mean * unit, unit / math.sqrt(total), q, i2, tau2 * unit * unit)


def _heterogeneity(offsets: Sequence[float], inverses: Sequence[float]) -> tuple[float, float]:
    """Cochran's Q, and I² in percent: 0 where Q does not exceed its degrees of freedom."""
    weights = [_weight(inverse, 0.0) for inverse in inverses]
    fixed = _sum(w * x for w, x in zip(weights, offsets, strict=True) if w) / math.fsum(weights)
    q = _sum(w * (x - fixed) * (x - fixed) for w, x in zip(weights, offsets, strict=True) if w) if math.isfinite(fixed) else math.inf
    df = len(offsets) - 1
    return q, 100.0 * (1.0 - df / q) if q > df else 0.0


def _between(q: float, inverses: Sequence[float]) -> float:
    """tau² by the method of moments, cut off at zero, in units of the smallest squared error."""
    weights = [_weight(inverse, 0.0) for inverse in inverses]
    excess = q - (len(weights) - 1)
    if excess <= 0:
        return 0.0
    # The usual sum(w) - sum(w²) / sum(w), without its cancellation where one study outweighs all others.
    pairs = math.fsum(one * other for i, one in enumerate(weights) for other in weights[i + 1 :])
    return excess * math.fsum(weights) / (2 * pairs) if pairs > 0 else math.inf


def _weight(inverse: float, tau2: float) -> float:
    return inverse * inverse / (1.0 + tau2 * inverse * inverse)


def _sum(values: Iterable[float]) -> float:
    """The exact sum, infinite where it or one of its parts is."""
    listed = list(values)
    try:
        return math.fsum(listed) if all(map(math.isfinite, listed)) else math.inf
    except OverflowError:
        return math.inf
