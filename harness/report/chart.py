"""The picture of one operation of a trial: all panels on one time axis; faults and phases over all of them; figures under the pointer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from markupsafe import Markup

from harness.report import svg
from harness.report.buckets import Distribution, Floats
from harness.report.numbers import short
from harness.report.panels import LINES, Frame, LanePanel, Panel, Shade, Track, panels
from harness.report.svg import SIZES, WIDE, Scale, Size
from harness.report.timeline import Timeline

TOP = 34  # room for the names of phases
GAP = 28
FOOT = 40


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A moment, in s since the timeline's origin."""

    name: str
    at_s: float


@dataclasses.dataclass(frozen=True, slots=True)
class Beside:
    """What is drawn on the same axis as the latency: windows, moments, a wing's series and lanes, the canary."""

    shades: Sequence[Shade] = ()
    marks: Sequence[Mark] = ()
    tracks: Sequence[Track] = ()
    lanes: Sequence[LanePanel] = ()
    canary_p95_ms: Floats = dataclasses.field(default_factory=lambda: np.array([], dtype=np.float64))


def charts(timeline: Timeline, beside: Beside, title: str) -> Markup:
    """Both drawings; the style sheet shows the one that fits."""
    return Markup("").join(_chart(timeline, beside, size, title) for size in SIZES)


def _chart(timeline: Timeline, beside: Beside, size: Size, title: str) -> Markup:
    frame = Frame(timeline.axis, size)
    stacked, bottom = _stack(panels(timeline, beside.canary_p95_ms, beside.tracks, beside.lanes), size)
    parts = [
        *_shades(beside.shades, frame, bottom),
        *(part for panel, top in stacked for part in panel.draw(frame, top)),
        *_marks(beside.marks, frame, bottom),
        *_time_axis(frame, bottom),
        *(_pointer(timeline, frame, bottom) if size is WIDE else ()),
    ]
    return svg.drawing(size, bottom + FOOT, title, parts)


def _stack(found: Sequence[Panel], size: Size) -> tuple[list[tuple[Panel, float]], float]:
    """Each panel with its top; and the bottom of the last."""
    stacked, top = [], float(TOP)
    for panel in found:
        stacked.append((panel, top))
        top += panel.height(size) + GAP
    return stacked, top - GAP


def _shades(shades: Sequence[Shade], frame: Frame, bottom: float) -> Iterable[str]:
    for shade in shades:
        left, right = frame.x(max(shade.start_s, 0.0)), frame.x(min(shade.end_s, frame.axis.span_s))
        if right <= left:
            continue
        if shade.kind == "phase":
            yield f'<path class="phase" d="M{left:.1f} {TOP - 16} V{TOP - 20} H{right:.1f} V{TOP - 16}"/>'
            if right - left > 7 * len(shade.name) + 90:  # beside the name of the panel below it
                yield svg.text(right - 2, TOP - 24, shade.name, "label", "end")
            elif right - left > 7 * len(shade.name):
                yield svg.text(left + 2, TOP - 24, shade.name, "label")
        else:
            yield svg.rect("fault" if shade.kind == "fault" else "window", left, TOP, right - left, bottom - TOP)


def _marks(marks: Sequence[Mark], frame: Frame, bottom: float) -> Iterable[str]:
    for number, mark in enumerate(mark for mark in marks if 0 <= mark.at_s <= frame.axis.span_s):
        at = frame.x(mark.at_s)
        anchor = "end" if mark.at_s > frame.axis.span_s * 0.7 else "start"
        yield svg.line("mark", at, TOP, at, bottom)
        yield svg.text(at + (-5 if anchor == "end" else 5), TOP + 38 + 15 * (number % 3), mark.name, "mark-name", anchor)


def _time_axis(frame: Frame, bottom: float) -> Iterable[str]:
    raw = frame.axis.span_s / frame.size.ticks
    step = next((width for width in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600) if width >= raw), math.ceil(raw / 3600) * 3600)
    for number in range(int(frame.axis.span_s / step) + 1):
        yield svg.text(frame.x(number * step), bottom + 17, f"{number * step}", "tick", "middle")
    yield svg.text(frame.size.right, bottom + 34, "seconds since the first intended request", "label", "end")


def _pointer(timeline: Timeline, frame: Frame, bottom: float) -> Iterable[str]:
    """An invisible column a bin that tells its figures."""
    axis = timeline.axis
    rows = zip(*timeline.percentiles_ms, timeline.longest_ms, timeline.service_ms[-1], timeline.requests, timeline.errors, strict=True)
    for number, (p50, p90, p99, longest, service, requests, errors) in enumerate(rows):
        start = number * axis.bin_s
        if requests:
            said = ", ".join(f"{name} {svg.milliseconds(float(value))}" for name, value in zip(LINES, (p50, p90, p99), strict=True))
            title = (
                f"{short(start)} to {short(start + axis.bin_s)} s: {said}, longest {svg.milliseconds(float(longest))}; "
                f"service p99 {svg.milliseconds(float(service))}; {requests} requests, {errors} failed"
            )
            yield svg.rect("tip", frame.x(start), TOP, frame.x(start + axis.bin_s) - frame.x(start), bottom - TOP, title)


PLOT = 190


def percentile_plots(response: Distribution, service: Distribution, title: str) -> Markup:
    """Latency by percentile, response and service, the tail stretched: x is 1/(1-q), logarithmic."""
    curves = [(kind, list(found.curve())) for kind, found in (("response", response), ("service", service))]
    if not any(curve for _, curve in curves):
        return Markup("")
    return Markup("").join(_percentile_plot(curves, size, title) for size in SIZES)


def _percentile_plot(curves: Sequence[tuple[str, list[tuple[float, float]]]], size: Size, title: str) -> Markup:
    top, bottom = 40.0, 40.0 + PLOT
    most = max(share for _, curve in curves for share, _ in curve)
    scale = Scale.fitting([[value for _, value in curve] for _, curve in curves], top, bottom)
    span = math.log(most / 2) or 1.0

    def x(share: float) -> float:
        return size.left + math.log(max(share, 2.0) / 2) / span * size.inner

    parts = [svg.text(size.left, 14, "latency by percentile, logarithmic" if scale.log else "latency by percentile", "label")]
    for value in scale.ticks():
        parts.append(svg.line("grid", size.left, scale.y(value), size.right, scale.y(value)))
        parts.append(svg.text(size.left - 8, scale.y(value) + 4, svg.milliseconds(value), "tick", "end"))
    parts += _percentile_axis(x, most, top, bottom, size)
    lane = top - 12
    if any(math.isinf(value) for _, curve in curves for _, value in curve):
        parts += [svg.line("lane", size.left, lane, size.right, lane), svg.text(size.left - 8, lane + 4, "∞", "tick", "end")]
    for kind, curve in reversed(curves):
        parts.append(svg.path([(x(share), lane if math.isinf(value) else scale.y(value)) for share, value in curve], kind))
    return svg.drawing(size, bottom + 24, title, parts)


def _percentile_axis(x: Callable[[float], float], most: float, top: float, bottom: float, size: Size) -> Iterable[str]:
    named = [(2.0, "p50")] + [(10.0**n, f"p{100 - 10.0 ** (2 - n):.{max(0, n - 2)}f}") for n in range(1, 9)]
    last = -math.inf
    for share, name in named:
        at = x(share)
        if share <= most and at - last > 34:
            last = at
            yield svg.line("grid", at, top, at, bottom)
            yield svg.text(at, bottom + 17, name, "tick", "start" if at - size.left < 8 else "end" if size.right - at < 8 else "middle")
