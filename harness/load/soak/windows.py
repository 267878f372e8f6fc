"""A long series as few robust points: the lower envelope of what a garbage collector saws, or the middle of what only scatters."""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pick = Literal["lowest", "middle"]
WINDOWS = 48
WINDOWS_MIN = 12
POINTS_MIN = 3  # a window
CYCLES = 1.5  # collections a window holds at least
DROP = 6.0  # robust deviations that a fall between neighbours is a collection
COLLECTIONS_MIN = 8
MAD_TO_SD = 1.4826


class TooShort(ValueError):
    """A series with too few points for any answer."""


@dataclasses.dataclass(frozen=True, slots=True)
class Points:
    """One value a window: hours since the first sample, and the value; shape (windows,)."""

    hours: Floats
    values: Floats


def falls(values: Floats) -> npt.NDArray[np.int64]:
    """Where the series is right after a fall far outside the scatter of all its differences: after collections, as far as one sees."""
    differences = np.diff(values)
    middle = float(np.median(differences))
    scatter = MAD_TO_SD * float(np.median(np.abs(differences - middle)))
    return np.flatnonzero(differences < min(middle - DROP * scatter, 0.0)) + 1


def windowed(hours: Floats, values: Floats, pick: Pick) -> Points:
    """At most 48 points: of each window the lowest or the middle value. Raises ``TooShort`` below twelve windows of three samples.

    Where a collector is seen at work, a window holds a whole cycle at least; the lowest are then taken from right after collections.
    """
    if len(hours) < WINDOWS_MIN * POINTS_MIN:
        raise TooShort(f"{len(hours)} samples; at least {WINDOWS_MIN * POINTS_MIN} are needed")
    order = np.argsort(hours, kind="stable")
    hours, values = hours[order], values[order]
    after = falls(values)
    seen = len(after) >= COLLECTIONS_MIN
    if pick == "lowest":
        if len(after) >= WINDOWS_MIN:
            hours, values = hours[after], values[after]
        return _lowest(hours, values, min(WINDOWS, max(len(hours) // (1 if seen else POINTS_MIN), 1)))
    most = min(WINDOWS, len(values) // POINTS_MIN)
    return _middle(hours, values, max(WINDOWS_MIN, min(most, math.floor(len(after) / CYCLES))) if seen else most)


def _lowest(hours: Floats, values: Floats, count: int) -> Points:
    """The smallest value of each window, at the time it was seen."""
    found = [(float(time[np.argmin(part)]), float(part.min())) for time, part in _parts(hours, values, count)]
    return Points(np.array([time for time, _ in found]), np.array([value for _, value in found]))


def _middle(hours: Floats, values: Floats, count: int) -> Points:
    found = [(float(time.mean()), float(np.median(part))) for time, part in _parts(hours, values, count)]
    return Points(np.array([time for time, _ in found]), np.array([value for _, value in found]))


def _parts(hours: Floats, values: Floats, count: int) -> list[tuple[Floats, Floats]]:
    return list(zip(np.array_split(hours, count), np.array_split(values, count), strict=True))
