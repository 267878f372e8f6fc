"""The contrast of two sides measured in turn: how far apart are they, and how sure is that. Pure functions of arrays.

The 2k measurements of k rounds stand in the order in which they were made: A B, B A, A B, B A, … Their logarithms are fitted by a
level, a straight drift of the machine, and the difference of the sides; far outliers are clipped (Huber's proposal, 3 robust
standard deviations). What ABBA buys: the difference of the sides oscillates with a period of four measurements, and there an AR(1)
noise of either sign has less than its average power, (1 - φ²)/(1 + φ²) of it; so memory of the machine makes this test careful, not rash.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CLIP = 3.0  # robust standard deviations: leaves Gaussian noise as good as untouched
STEPS = 8
MAD_TO_SD = 1.4826
FLOOR = 0.05  # the robust deviation is at least this share of the ordinary one: half the values may be equal
ROUNDS_MIN = 3  # below it the fit has no residual worth the name


def sides(rounds: int, *, first: str = "A") -> npt.NDArray[np.int64]:
    """0 for A, 1 for B, in the order of measurement; shape (2 * rounds,)."""
    pairs = np.array([[0, 1], [1, 0]]) if first == "A" else np.array([[1, 0], [0, 1]])
    return np.concatenate([pairs[number % 2] for number in range(rounds)]) if rounds else np.zeros(0, dtype=np.int64)


@functools.cache
def _design(order: tuple[int, ...]) -> tuple[Floats, Floats, float]:
    """Columns level, difference (B - A), drift; the projector onto their coefficients; the difference's variance factor."""
    count = len(order)
    columns = np.stack([np.ones(count), np.array(order) - 0.5, np.arange(count) - (count - 1) / 2], axis=1)
    return columns, np.linalg.pinv(columns), float(np.linalg.inv(columns.T @ columns)[1, 1])


def _scale(residuals: Floats, free: int) -> Floats:
    """A robust standard deviation a row, shape (rows, 1)."""
    ordinary = np.sqrt((residuals**2).sum(axis=1) / free)
    robust = MAD_TO_SD * np.median(np.abs(residuals), axis=1) * np.sqrt(residuals.shape[1] / free)
    deviations: Floats = np.maximum(robust, FLOOR * ordinary)[:, None]
    return deviations


def fit(logs: Floats, order: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Difference B - A, its standard error, and the standard deviation of one measurement, a row each.

    ``logs``: natural logarithms, shape (rows, measurements) in the order of measurement; ``order``: the side of each, 0 or 1.
    """
    columns, projector, factor = _design(tuple(int(side) for side in order))
    free = logs.shape[1] - columns.shape[1]
    level = logs.mean(axis=1, keepdims=True)  # numerically: the logarithms of nanoseconds are large beside 1 %
    values = logs - level
    coefficients = values @ projector.T
    for _ in range(STEPS):
        residuals = values - coefficients @ columns.T
        bound = CLIP * _scale(residuals, free)
        coefficients = coefficients + np.clip(residuals, -bound, bound) @ projector.T
    residuals = values - coefficients @ columns.T
    bound = CLIP * _scale(residuals, free)
    inside = np.maximum((np.abs(residuals) <= bound).mean(axis=1), 0.5)
    noise = np.sqrt((np.clip(residuals, -bound, bound) ** 2).sum(axis=1) / free) / inside
    return coefficients[:, 1], noise * np.sqrt(factor), noise
