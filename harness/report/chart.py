"""Draws a timeline as inline SVG: latency lines, errors, the canary's error; faults shaded. Every text goes through ``_text``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from markupsafe import Markup, escape

from harness.core.text import one_line
from harness.report.numbers import short
from harness.report.timeline import Floats, Timeline

LINES = ("p50", "p95", "p99")
LOG_FROM_RATIO = 30.0


@dataclasses.dataclass(frozen=True, slots=True)
class Shade:
    """A stretch of time, in s since the timeline's origin; ``kind`` is fault, recovery or phase."""

    kind: str
    name: str
    start_s: float
    end_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A moment, in s since the timeline's origin."""

    name: str
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A drawing for wide or for narrow pages: user units are CSS pixels."""

    name: str
    width: int
    left: int
    plot: int  # height of the latency plot
    ticks: int

    @property
    def inner(self) -> int:
        return self.width - self.left - 12


WIDE = Size("wide", 1040, 64, 210, 10)
NARROW = Size("narrow", 344, 52, 170, 4)
TOP = 34  # room for the names of windows
LANE = 24  # where lines go that have no answer
STRIP = 44
GAP = 26


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """Milliseconds to pixels; linear, or logarithmic where the values span more than ``LOG_FROM_RATIO``."""

    low: float
    high: float
    top: float
    bottom: float
    log: bool

    def y(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return float(self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top))

    def ticks(self) -> list[float]:
        return _log_ticks(self.low, self.high) if self.log else _linear_ticks(self.high)


def charts(timeline: Timeline, shades: Sequence[Shade], marks: Sequence[Mark], title: str) -> Markup:
    """Both drawings; the style sheet shows the one that fits."""
    return Markup("").join(_chart(timeline, shades, marks, size, title) for size in (WIDE, NARROW))


def _chart(timeline: Timeline, shades: Sequence[Shade], marks: Sequence[Mark], size: Size, title: str) -> Markup:
    x = _x(timeline, size)
    scale = _scale(timeline.percentiles_ms, TOP + LANE, TOP + LANE + size.plot)
    errors_top = scale.bottom + GAP
    canary_top = errors_top + STRIP + GAP
    height = canary_top + STRIP + 40 if timeline.canary_p95_ms.size else errors_top + STRIP + 40
    bottom = height - 40
    parts = [
        *_shades(shades, timeline, x, bottom),
        *_grid(timeline, scale, size),
        *_lane(timeline, size),
        *_lines(timeline, x, scale),
        *_errors(timeline, x, size, errors_top),
        *(_canary(timeline, x, size, canary_top) if timeline.canary_p95_ms.size else ()),
        *_marks(marks, timeline, x, bottom),
        *_time_axis(timeline, x, size, bottom),
    ]
    label = escape(one_line(title))
    opening = f'<svg class="chart {size.name}" viewBox="0 0 {size.width} {height:.0f}" role="img" aria-label="{label}">'
    return Markup(opening + "".join(parts) + "</svg>")  # noqa: S704 - every text in the parts went through _text


def _x(timeline: Timeline, size: Size) -> Callable[[float], float]:
    span = max(timeline.span_s, 1e-9)

    def place(at_s: float) -> float:
        return size.left + min(max(at_s / span, 0.0), 1.0) * size.inner

    return place


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(one_line(words, 60))}</text>'


def _scale(columns: Iterable[Floats], top: float, bottom: float) -> Scale:
    values = [float(value) for column in columns for value in column if math.isfinite(value)]
    high, low = max(values, default=1.0), max(min(values, default=1.0), 0.05)
    if high / low > LOG_FROM_RATIO:
        return Scale(10 ** math.floor(math.log10(low)), _nice_up(high * 1.05), top, bottom, log=True)
    return Scale(0.0, _nice_up(max(high * 1.08, 1e-3)), top, bottom, log=False)


def _nice_up(value: float) -> float:
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def _linear_ticks(high: float) -> list[float]:
    raw = high / 4
    power: float = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    return [step * number for number in range(int(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 4 else (1, 3)
    return [factor * 10**power for power in decades for factor in factors if low <= factor * 10**power <= high]


def _milliseconds(value: float) -> str:
    return f"{short(value / 1000)} s" if value >= 1000 else f"{short(value)} ms"


def _grid(timeline: Timeline, scale: Scale, size: Size) -> Iterable[str]:
    if not any(bool(np.isfinite(column).any()) for column in timeline.percentiles_ms):
        yield _text(size.left + size.inner / 2, (scale.top + scale.bottom) / 2, "no request was answered", "tick", "middle")
        return
    for value in scale.ticks():
        y = scale.y(value)
        yield f'<line class="grid" x1="{size.left}" x2="{size.left + size.inner}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(size.left - 8, y + 4, _milliseconds(value), "tick", "end")


def _lane(timeline: Timeline, size: Size) -> Iterable[str]:
    """The band above the scale, where a percentile lies that has no answer."""
    if any(bool((column == math.inf).any()) for column in timeline.percentiles_ms):
        y = TOP + LANE / 3
        yield f'<line class="lane" x1="{size.left}" x2="{size.left + size.inner}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(size.left - 8, y + 4, "∞", "tick", "end")


def _lines(timeline: Timeline, x: Callable[[float], float], scale: Scale) -> Iterable[str]:
    for name, column in reversed(list(zip(LINES, timeline.percentiles_ms, strict=True))):
        points = [
            None if math.isnan(value) else (x(at), TOP + LANE / 3 if math.isinf(value) else scale.y(value))
            for at, value in zip(timeline.times_s, column, strict=True)
        ]
        yield _path(points, name)


def _path(points: Sequence[tuple[float, float] | None], kind: str) -> str:
    """A broken line; a lone point becomes a dot."""
    commands, before, alone = [], None, []
    for number, point in enumerate(points):
        if point is not None:
            commands.append(f"{'M' if before is None else 'L'}{point[0]:.1f} {point[1]:.1f}")
            after = points[number + 1] if number + 1 < len(points) else None
            if before is None and after is None:
                alone.append(f'<circle class="{kind} dot" cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2"/>')
        before = point
    return f'<path class="line {kind}" d="{"".join(commands)}"/>' + "".join(alone)


def _errors(timeline: Timeline, x: Callable[[float], float], size: Size, top: float) -> Iterable[str]:
    yield from _strip(size, top, "errors" if size is NARROW else "failed requests")
    most = int(timeline.errors.max(initial=0))
    if most == 0:
        yield _text(size.left + 8, top + STRIP / 2 + 4, "none", "tick")
        return
    yield _text(size.left - 8, top + 9, str(most), "tick", "end")
    width = max(1.5, x(timeline.bin_s) - x(0) - 1)
    for at, number in zip(timeline.times_s, timeline.errors, strict=True):
        if number:
            height = max(2.0, float(number) / most * STRIP)
            left = x(float(at) - timeline.bin_s / 2)
            yield f'<rect class="error" x="{left:.1f}" y="{top + STRIP - height:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _canary(timeline: Timeline, x: Callable[[float], float], size: Size, top: float) -> Iterable[str]:
    yield from _strip(size, top, "canary error, p95")
    values = [float(value) for value in timeline.canary_p95_ms if math.isfinite(value)]
    if not values:
        yield _text(size.left + 8, top + STRIP / 2 + 4, "no canary was answered", "tick")
        return
    high = _nice_up(max(1.0, *values))
    scale = Scale(0.0, high, top, top + STRIP, log=False)
    yield _text(size.left - 8, top + 9, _milliseconds(high), "tick", "end")
    points = [
        None if math.isnan(value) else (x(at), top if math.isinf(value) else scale.y(float(value)))
        for at, value in zip(timeline.times_s, timeline.canary_p95_ms, strict=True)
    ]
    yield _path(points, "canary")


def _strip(size: Size, top: float, name: str) -> Iterable[str]:
    y = top + STRIP
    yield f'<line class="axis" x1="{size.left}" x2="{size.left + size.inner}" y1="{y:.1f}" y2="{y:.1f}"/>'
    yield _text(size.left, top - 6, name, "label")
    yield _text(size.left - 8, y, "0", "tick", "end")


def _shades(shades: Sequence[Shade], timeline: Timeline, x: Callable[[float], float], bottom: float) -> Iterable[str]:
    for shade in shades:
        left, right = x(max(shade.start_s, 0.0)), x(min(shade.end_s, timeline.span_s))
        if right <= left:
            continue
        if shade.kind == "phase":
            yield f'<path class="phase" d="M{left:.1f} {TOP - 4} V{TOP - 8} H{right:.1f} V{TOP - 4}"/>'
            if right - left > 7 * len(shade.name):
                yield _text(left + 2, TOP - 13, shade.name, "label")
        else:
            kind = "fault" if shade.kind == "fault" else "window"
            yield f'<rect class="{kind}" x="{left:.1f}" y="{TOP}" width="{right - left:.1f}" height="{bottom - TOP:.1f}"/>'


def _marks(marks: Sequence[Mark], timeline: Timeline, x: Callable[[float], float], bottom: float) -> Iterable[str]:
    for number, mark in enumerate(mark for mark in marks if 0 <= mark.at_s <= timeline.span_s):
        at = x(mark.at_s)
        anchor = "end" if mark.at_s > timeline.span_s * 0.7 else "start"
        y = TOP + LANE + 14 + 15 * (number % 3)
        yield f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{bottom:.1f}"/>'
        yield _text(at + (-5 if anchor == "end" else 5), y, mark.name, "mark-name", anchor)


def _time_axis(timeline: Timeline, x: Callable[[float], float], size: Size, bottom: float) -> Iterable[str]:
    raw = timeline.span_s / size.ticks
    step = next((width for width in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if width >= raw), math.ceil(raw / 3600) * 3600)
    for number in range(int(timeline.span_s / step) + 1):
        yield _text(x(number * step), bottom + 17, f"{number * step}", "tick", "middle")
    yield _text(size.left + size.inner, bottom + 34, "seconds since the first intended request", "label", "end")


def sparkline(times: Sequence[float], values: Sequence[float]) -> Markup:
    """A small line for a generic series."""
    pairs = [(at, value) for at, value in zip(times, values, strict=False) if math.isfinite(value)][:5000]
    if len(pairs) < 2:
        return Markup("")
    low, high = min(value for _, value in pairs), max(value for _, value in pairs)
    first, last = pairs[0][0], pairs[-1][0]
    points = [((at - first) / max(last - first, 1e-9) * 316 + 2, 50 - (value - low) / max(high - low, 1e-12) * 44) for at, value in pairs]
    return Markup('<svg class="spark" viewBox="0 0 320 54" role="img" aria-label="course over time">{}</svg>').format(
        Markup(_path(points, "p95"))  # noqa: S704 - numbers only
    )
