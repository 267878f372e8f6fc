"""At most how many requests a plan brings into a span, known before anything is drawn: what a limit can be proven with."""

from __future__ import annotations

import math

import numpy as np

from harness.core.errors import UsageError
from harness.load.shape.arrivals import offsets
from harness.load.shape.grammar import Constant, Poisson
from harness.load.shape.plan import Arrivals

NS = 1_000_000_000
SIGMAS = 5  # random arrivals may be that many more than their mean


def most_arrivals(parameters: Arrivals, span_s: tuple[float, float] | None, window_s: float | None) -> int | None:
    """Within ``span_s`` (from the start of the step; all of it when None), or in the fullest such window; None: cannot be told."""
    begin, end = _span(parameters, span_s)
    length = end - begin if window_s is None else min(window_s, end - begin)
    shape = parameters.shaped
    if isinstance(shape, Constant):
        return math.floor(shape.rate.per_second * length) + 1  # an edge may fall on an arrival
    if isinstance(shape, Poisson):
        return _slack(shape.rate.per_second * length)
    try:
        due = offsets(shape, parameters.duration, 0, warmup=parameters.warmup)
    except (UsageError, ValueError):
        return None  # a trace is a file of the project; a wrong one is told when it is read
    inside = due[(due >= begin * NS) & (due < end * NS)]
    if window_s is None:
        return _slack(float(len(inside)))
    return _slack(float(np.max(np.searchsorted(inside, inside + round(window_s * NS)) - np.arange(len(inside)), initial=0)))


def enough(parameters: Arrivals, needed: int, span_s: tuple[float, float] | None, window_s: float | None) -> str:
    """What to write for ``needed`` requests there: a rate, and a duration where the limit is on the whole step; "" when nobody can say."""
    shape = parameters.shaped
    if not isinstance(shape, (Constant, Poisson)):
        return ""
    begin, end = _span(parameters, span_s)
    length = end - begin if window_s is None else min(window_s, end - begin)
    if length <= 0:
        return ""
    mean = needed + (SIGMAS * math.sqrt(needed) + SIGMAS**2 if isinstance(shape, Poisson) else 0)
    words = [f"rate: {math.ceil(mean / length)} /s"]
    if span_s is None and window_s is None:
        words.append(f"duration: {math.ceil(mean / shape.rate.per_second)} s")
    return " or ".join(words)


def _span(parameters: Arrivals, span_s: tuple[float, float] | None) -> tuple[float, float]:
    """Begin and end in seconds of the step; nothing outside it."""
    end_of_step = float(parameters.window)
    begin, end = (0.0, end_of_step) if span_s is None else (span_s[0], min(span_s[1], end_of_step))
    return begin, max(begin, end)


def _slack(mean: float) -> int:
    return math.ceil(mean + SIGMAS * math.sqrt(mean))
