"""Pictures of comparisons and trends: intervals beside the gate, the rounds of a sequential test, a metric over runs."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence

from markupsafe import Markup

from harness.journal.events import ComparedFigure, ComparedRound, ComparisonMade, Estimate, TrendChanged, TrendMade
from harness.report import svg
from harness.report.numbers import quantity
from harness.report.svg import SIZES, WIDE, Point, Scale, Size

ROW = 26
SPAN_MIN = 0.02  # a change scale is at least ± 2 %
SPAN_MAX = 1.0
DOTS_MAX = 400


def percent(share: float | None, *, sign: bool = True) -> str:
    """A share for people."""
    if share is None or not math.isfinite(share):
        return "–"
    if abs(share) < 0.0005:
        return "0.0 %"
    return f"{100 * share:{'+' if sign else ''}.1f} %".replace("-", "−")


def bounded(ratio: Estimate | None) -> bool:
    """Whether an interval says anything: a single request's figure has none."""
    return ratio is not None and ratio.value is not None and ratio.high is not None and (ratio.low or 0.0) > 0


def intervals(made: ComparisonMade, figures: Sequence[ComparedFigure]) -> Markup:
    """B over A minus 1 of each figure with its interval; the shaded part is beyond the gate on either side."""
    drawn = [(figure.figure, figure.ratio) for figure in figures if figure.ratio is not None and bounded(figure.ratio)]
    if not drawn:
        return Markup("")
    label = "Change from A to B of each figure, with its interval, beside the gate"
    return Markup("").join(_intervals(made, drawn, size, label) for size in SIZES)


def _intervals(made: ComparisonMade, drawn: Sequence[tuple[str, Estimate]], size: Size, label: str) -> Markup:
    shares = [value - 1 for _, ratio in drawn for value in (ratio.low, ratio.value, ratio.high) if value is not None]
    most = _span([*shares, 1.5 * made.gate])
    left, right = size.left + (16 if size is WIDE else 34), size.right
    bottom = 20 + ROW * len(drawn)

    def x(share: float) -> float:
        return left + (min(max(share, -most), most) + most) / (2 * most) * (right - left)

    parts = [
        svg.rect("fault", x(made.gate), 10, right - x(made.gate), bottom - 10),
        svg.rect("fault", left, 10, x(-made.gate) - left, bottom - 10),
    ]
    parts += _change_axis(x, most, 10, bottom)
    for number, (name, ratio) in enumerate(drawn):
        y = 20 + ROW * number + ROW / 2 - 4
        low, value, high = ((bound or 1.0) - 1 for bound in (ratio.low, ratio.value, ratio.high))
        said = f"{name}: {percent(value)} ({percent(low)} to {percent(high)})"
        parts.append(svg.text(left - 10, y + 4, name, "tick", "end"))
        parts.append(svg.line("interval", x(low), y, x(high), y))
        parts.append(svg.dot("estimate", x(value), y, 4.5, said))
    return svg.drawing(size, bottom + 26, label, parts)


def _span(shares: Sequence[float]) -> float:
    return min(SPAN_MAX, max(SPAN_MIN, *(1.15 * abs(share) for share in shares)))


def _change_axis(x: Callable[[float], float], most: float, top: float, bottom: float) -> Iterable[str]:
    for share in svg.linear_ticks(-most, most):
        yield svg.line("axis" if abs(share) < 1e-12 else "grid", x(share), top, x(share), bottom)
        anchor = "end" if share > 0.9 * most else "start" if share < -0.9 * most else "middle"
        yield svg.text(x(share), bottom + 17, percent(share), "tick", anchor)


def rounds(made: ComparisonMade, course: Sequence[ComparedRound]) -> Markup:
    """Each round's measurements of both sides, and below them what was known of the change after it."""
    if not course:
        return Markup("")
    label = f"{made.metric} of A and B round by round, and the estimated change after each round"
    return Markup("").join(_rounds(made, course, size, label) for size in SIZES)


def _rounds(made: ComparisonMade, course: Sequence[ComparedRound], size: Size, label: str) -> Markup:
    top, bottom = 26.0, 26.0 + size.plot * 0.7
    low_top, low_bottom = bottom + 40, bottom + 40 + size.plot * 0.6
    values = [value for one in course for value in (one.a, one.b)]
    scale = _tight(values, top, bottom)

    def x(number: float) -> float:
        return size.left + (number - 0.5) / max(len(course), 1) * size.inner

    parts = [svg.text(size.left, 12, f"{made.metric}, each round", "label")]
    for value in scale.ticks():
        parts += _tick_line(scale.y(value), quantity(value, made.unit), size)
    for kind, side in (("side-a", [one.a for one in course]), ("side-b", [one.b for one in course])):
        points: list[Point | None] = [(x(one.number), scale.y(value)) for one, value in zip(course, side, strict=True)]
        parts.append(svg.path(points, kind))
        for one, value in zip(course, side, strict=True):
            name = kind[-1].upper()
            parts.append(svg.dot(kind, x(one.number), scale.y(value), 3.5, f"round {one.number}, {name}: {quantity(value, made.unit)}"))
    parts += _funnel(made, course, size, x, (low_top, low_bottom))
    step = max(1, math.ceil(len(course) / size.ticks))
    parts += [svg.text(x(one.number), low_bottom + 17, str(one.number), "tick", "middle") for one in course if (one.number - 1) % step == 0]
    parts.append(svg.text(size.right, low_bottom + 34, "round", "label", "end"))
    return svg.drawing(size, low_bottom + 40, label, parts)


def _funnel(
    made: ComparisonMade, course: Sequence[ComparedRound], size: Size, x: Callable[[float], float], place: tuple[float, float]
) -> Iterable[str]:
    top, bottom = place
    known = [value for one in course for value in (one.change.low, one.change.value, one.change.high) if value is not None]
    most = _span([*known, 1.5 * made.gate])
    scale = Scale(-most, most, top, bottom, log=False)
    yield svg.text(size.left, top - 10, "change after each round; more is worse", "label")
    yield svg.rect("fault", size.left, top, size.inner, scale.y(made.gate) - top)
    for share in scale.ticks():
        yield from _tick_line(scale.y(share), percent(share), size)
    for one in course:
        low, high = (-most if one.change.low is None else one.change.low), (most if one.change.high is None else one.change.high)
        yield svg.line("interval", x(one.number), scale.y(low), x(one.number), scale.y(high))
        if one.change.value is not None:
            bounds = f"{percent(one.change.low)} to {percent(one.change.high)}"
            said = f"after round {one.number}: {percent(one.change.value)} ({bounds}), {one.answer}"
            yield svg.dot("estimate", x(one.number), scale.y(one.change.value), 4, said)


def _tick_line(y: float, words: str, size: Size) -> Iterable[str]:
    yield svg.line("grid", size.left, y, size.right, y)
    yield svg.text(size.left - 8, y + 4, words, "tick", "end")


def _tight(values: Sequence[float], top: float, bottom: float) -> Scale:
    """A scale around the values, not from zero: differences of some per cent are to be seen."""
    low, high = min(values), max(values)
    room = max((high - low) * 0.15, abs(high) * 0.01, 1e-12)
    return Scale(low - room, high + room, top, bottom, log=False)


def trend(made: TrendMade, changes: Sequence[TrendChanged]) -> Markup:
    """A metric over runs: every run a dot, the level between change points a line, each change named."""
    if not made.values:
        return Markup("")
    return Markup("").join(_trend(made, changes, size, f"{made.metric} over {len(made.values)} runs") for size in SIZES)


def _trend(made: TrendMade, changes: Sequence[TrendChanged], size: Size, label: str) -> Markup:
    top, bottom = 30.0, 30.0 + size.plot
    scale = _tight(made.values, top, bottom)
    count = len(made.values)

    def x(number: float) -> float:
        return size.left + (number + 0.5) / count * size.inner

    parts = [svg.text(size.left, 14, "each run, the oldest first", "label")]
    for value in scale.ticks():
        parts += _tick_line(scale.y(value), quantity(value, made.unit), size)
    parts.append(svg.path([(x(number), scale.y(value)) for number, value in enumerate(made.values)], "faded"))
    step = max(1, math.ceil(count / DOTS_MAX))
    for number in range(0, count, step):
        said = f"{made.runs[number]}, {made.started[number]}: {quantity(made.values[number], made.unit)}"
        parts.append(svg.dot("side-a", x(number), scale.y(made.values[number]), 3, said))
    for first, last, level in _levels(made, changes):
        parts.append(svg.line("level", x(first - 0.4), scale.y(level), x(last + 0.4), scale.y(level)))
    for number, change in enumerate(sorted(changes, key=lambda change: change.index)):
        at = x(change.index - 0.5)
        parts.append(svg.line("mark", at, top, at, bottom))
        anchor = "end" if at > size.left + size.inner * 0.7 else "start"
        parts.append(
            svg.text(at + (-5 if anchor == "end" else 5), top + 12 + 15 * (number % 3), percent(change.change), "mark-name", anchor)
        )
    ends = [(0, "start"), (count - 1, "end")] if count > 1 else [(0, "start")]
    parts += [
        svg.text(x(number), bottom + 17, made.started[number][: 16 if size is WIDE else 10], "tick", anchor) for number, anchor in ends
    ]
    return svg.drawing(size, bottom + 26, label, parts)


def _levels(made: TrendMade, changes: Sequence[TrendChanged]) -> Iterable[tuple[int, int, float]]:
    """First run, last run, mean of each stretch between change points."""
    bounds = [0, *sorted(change.index for change in changes), len(made.values)]
    for first, end in itertools.pairwise(bounds):
        if end > first:
            yield first, end - 1, math.fsum(made.values[first:end]) / (end - first)
