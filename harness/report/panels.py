"""The panels of a trial's picture: they lie below each other on one time axis, so that a fault is seen in all of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np

from harness.report import svg
from harness.report.buckets import Floats, Ints
from harness.report.numbers import quantity, short
from harness.report.svg import Point, Scale, Size
from harness.report.timeline import Axis, Timeline

LINES = ("p50", "p90", "p99")
LANE = 24  # above the scale: where lines go that have no answer
STRIP = 44
ROW = 17  # of a lane of windows
LEAST_RATE = 0.001


@dataclasses.dataclass(frozen=True, slots=True)
class Shade:
    """A stretch of time, in s since the axis' origin; ``kind`` is fault, phase, recovery or a wing's own."""

    kind: str
    name: str
    start_s: float
    end_s: float
    detail: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Track:
    """A series of a wing that belongs to the trial's time axis: recall, freshness, queue length."""

    name: str
    unit: str
    times_s: tuple[float, ...]
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Frame:
    """The common axis of all panels."""

    axis: Axis
    size: Size

    def x(self, at_s: float) -> float:
        share = at_s / max(self.axis.span_s, 1e-9)
        return self.size.left + min(max(share, 0.0), 1.0) * self.size.inner

    def points(self, values: Iterable[float], y: Callable[[float], float], infinite: float) -> list[Point | None]:
        """A value a bin; ``infinite`` is the height of what has no answer."""
        return [
            None if math.isnan(value) else (self.x(at), infinite if math.isinf(value) else y(value))
            for at, value in zip(self.axis.times_s.tolist(), (float(value) for value in values), strict=True)
        ]


class Panel(Protocol):
    """One panel: its height below its name, and what it draws there."""

    def height(self, size: Size, /) -> float: ...
    def draw(self, frame: Frame, top: float) -> Iterable[str]: ...


def _name(frame: Frame, top: float, name: str, detail: str = "") -> Iterable[str]:
    yield svg.text(frame.size.left, top - 6, f"{name}, {detail}" if detail and frame.size is svg.WIDE else name, "label")


def _grid(frame: Frame, scale: Scale, words: Callable[[float], str]) -> Iterable[str]:
    for value in scale.ticks():
        y = scale.y(value)
        yield svg.line("grid", frame.size.left, y, frame.size.right, y)
        yield svg.text(frame.size.left - 8, y + 4, words(value), "tick", "end")


def _base(frame: Frame, top: float, most: str, height: float = STRIP) -> Iterable[str]:
    y = top + height
    yield svg.line("axis", frame.size.left, y, frame.size.right, y)
    yield svg.text(frame.size.left - 8, y, "0", "tick", "end")
    yield svg.text(frame.size.left - 8, top + 9, most, "tick", "end")


@dataclasses.dataclass(frozen=True, slots=True)
class LatencyPanel:
    """Response time: bands between p50, p90 and p99 of each bin, the longest as dots."""

    timeline: Timeline

    def height(self, size: Size, /) -> float:
        return size.plot + LANE

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        found = self.timeline
        low, high = top + LANE, top + LANE + frame.size.plot
        scale = Scale.fitting((*found.percentiles_ms, found.longest_ms), low, high)
        yield from _name(frame, top, "response time", "logarithmic" if scale.log else "linear")
        if not any(bool(np.isfinite(column).any()) for column in found.percentiles_ms):
            yield svg.text(frame.size.left + frame.size.inner / 2, (low + high) / 2, "no request was answered", "tick", "middle")
        else:
            yield from _grid(frame, scale, svg.milliseconds)
        lane = top + LANE / 3
        if any(bool(np.isposinf(column).any()) for column in (*found.percentiles_ms, found.longest_ms)):
            yield svg.line("lane", frame.size.left, lane, frame.size.right, lane)
            yield svg.text(frame.size.left - 8, lane + 4, "∞", "tick", "end")
        p50, p90, p99 = (frame.points(column, scale.y, lane) for column in found.percentiles_ms)
        yield svg.band(p90, p50, "band inner")
        yield svg.band(p99, p90, "band outer")
        longest = [point for point in frame.points(found.longest_ms, scale.y, lane) if point is not None]
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in longest)
        yield f'<path class="longest" d="{dots}"/>'
        for points, kind in ((p99, "p99"), (p90, "p90"), (p50, "p50")):
            yield svg.path(points, kind)


@dataclasses.dataclass(frozen=True, slots=True)
class ServicePanel:
    """Response against service time: where they part, requests waited before they were sent."""

    timeline: Timeline

    def height(self, _size: Size, /) -> float:
        return STRIP * 1.6

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        found, height = self.timeline, self.height(frame.size)
        response, service = found.percentiles_ms[-1], found.service_ms[-1]
        yield from _name(frame, top, "p99 of response and service time")
        scale = Scale.fitting((response, service), top, top + height)
        if scale.log:
            yield from _grid(frame, scale, svg.milliseconds)
        else:
            yield from _base(frame, top, svg.milliseconds(scale.high), height)
        yield svg.path(frame.points(response, scale.y, top), "response")
        yield svg.path(frame.points(service, scale.y, top), "service")


@dataclasses.dataclass(frozen=True, slots=True)
class RatePanel:
    """Offered and achieved: what was intended, sent, answered, per second."""

    timeline: Timeline

    def height(self, _size: Size, /) -> float:
        return STRIP * 1.2

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        found, height = self.timeline, self.height(frame.size)
        offered, sent, answered = (self._rates(column) for column in (found.requests, found.sent, found.answered))
        most = svg.nice_up(max(LEAST_RATE, *(float(column.max(initial=0)) for column in (offered, sent, answered))))
        scale = Scale(0.0, most, top, top + height, log=False)
        yield from _name(frame, top, "requests/s", "offered, sent, answered")
        yield from _base(frame, top, short(most), height)
        ends = frame.points(answered, scale.y, top)
        yield svg.band(ends, frame.points(np.zeros_like(answered), scale.y, top), "answered")
        yield svg.path(frame.points(offered, scale.y, top), "offered")
        if bool((np.abs(offered - sent) > 0.01 * most).any()):
            yield svg.path(frame.points(sent, scale.y, top), "sent")

    def _rates(self, counts: Ints) -> Floats:
        """Per second. The last bin may be cut short by the end of the plan: it is drawn as it is."""
        rates: Floats = counts / self.timeline.axis.bin_s
        return rates


@dataclasses.dataclass(frozen=True, slots=True)
class ErrorsPanel:
    """Requests without a good answer, by bin."""

    timeline: Timeline

    def height(self, _size: Size, /) -> float:
        return STRIP

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        errors, axis = self.timeline.errors, frame.axis
        most = int(errors.max(initial=0))
        yield from _name(frame, top, "failed requests")
        yield from _base(frame, top, str(most) if most else "")
        if most == 0:
            yield svg.text(frame.size.left + 8, top + STRIP / 2 + 4, "none", "tick")
            return
        width = max(1.5, frame.x(axis.bin_s) - frame.x(0) - 1)
        for at, number in zip(axis.times_s.tolist(), errors.tolist(), strict=True):
            if number:
                height = max(2.0, number / most * STRIP)
                yield svg.rect("error", frame.x(at - axis.bin_s / 2), top + STRIP - height, width, height)


@dataclasses.dataclass(frozen=True, slots=True)
class CanaryPanel:
    """How wrong this machine made the clock of the load itself."""

    errors_ms: Floats

    def height(self, _size: Size, /) -> float:
        return STRIP

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        yield from _name(frame, top, "canary error, p95")
        values = [float(value) for value in self.errors_ms if math.isfinite(value)]
        if not values:
            yield svg.text(frame.size.left + 8, top + STRIP / 2 + 4, "no canary was answered", "tick")
            return
        high = svg.nice_up(max(1.0, *values))
        yield from _base(frame, top, svg.milliseconds(high))
        yield svg.path(frame.points(self.errors_ms, Scale(0.0, high, top, top + STRIP, log=False).y, top), "canary")


@dataclasses.dataclass(frozen=True, slots=True)
class TrackPanel:
    """A wing's series on the trial's axis; a share is drawn up to 100 %."""

    track: Track

    def height(self, _size: Size, /) -> float:
        return STRIP * 1.2

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        track, bottom = self.track, top + self.height(frame.size)
        finite = [value for value in track.values if math.isfinite(value)]
        share = track.unit == "%" and bool(finite) and min(finite) >= 0 and max(finite) <= 100
        high = 100.0 if share else svg.nice_up(max(1e-9, *finite)) if finite and max(finite) > 0 else 1.0
        low = min(0.0, *finite) if finite else 0.0
        yield from _name(frame, top, f"{track.name}, {track.unit}" if track.unit not in {"", "1", "B"} else track.name)
        yield from _base(frame, top, quantity(high, track.unit) if track.unit in {"s", "B"} else short(high), bottom - top)
        scale = Scale(low, high, top, bottom, log=False)
        points = [
            (frame.x(at), scale.y(value)) if math.isfinite(value) and 0 <= at <= frame.axis.span_s else None
            for at, value in zip(track.times_s, track.values, strict=False)
        ]
        yield svg.path(points, "track")


@dataclasses.dataclass(frozen=True, slots=True)
class LanePanel:
    """Windows of one kind that a wing emitted: a bar each, named where there is room; overlapping ones go to the next row."""

    kind: str
    shades: tuple[Shade, ...]

    def height(self, _size: Size, /) -> float:
        return ROW * max(1, len(self._rows()))

    def _rows(self) -> list[list[Shade]]:
        rows: list[list[Shade]] = []
        for shade in sorted(self.shades, key=lambda shade: shade.start_s):
            row = next((row for row in rows if row[-1].end_s <= shade.start_s), None)
            if row is not None:
                row.append(shade)
            elif len(rows) < 4:
                rows.append([shade])
        return rows

    def draw(self, frame: Frame, top: float) -> Iterable[str]:
        yield from _name(frame, top, self.kind)
        for number, row in enumerate(self._rows()):
            y = top + number * ROW
            for shade, following in zip(row, [*row[1:], None], strict=True):
                left, right = frame.x(shade.start_s), max(frame.x(shade.end_s), frame.x(shade.start_s) + 2)
                yield svg.rect("span", left, y + 2, right - left, ROW - 4, f"{shade.name}: {_stretch(shade)}")
                room = (frame.size.right if following is None else frame.x(following.start_s)) - right
                at = left + 4 if right - left > _wide(shade.name) else right + 4 if room > _wide(shade.name) else None
                if at is not None:
                    yield svg.text(at, y + ROW - 5, shade.name, "tick")


def _stretch(shade: Shade) -> str:
    return f"{short(shade.start_s)} to {short(shade.end_s)} s" + (f"; {shade.detail}" if shade.detail else "")


def _wide(words: str) -> float:
    """About how many pixels a small text takes."""
    return 6.5 * len(words) + 6


def panels(timeline: Timeline, canary_p95_ms: Floats, tracks: Sequence[Track], lanes: Sequence[LanePanel]) -> list[Panel]:
    """The panels of one operation, from the top."""
    found: list[Panel] = [LatencyPanel(timeline), *(TrackPanel(track) for track in tracks), ErrorsPanel(timeline)]
    found += [ServicePanel(timeline), RatePanel(timeline), *lanes]
    return [*found, CanaryPanel(canary_p95_ms)] if canary_p95_ms.size else found
