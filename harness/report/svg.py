"""What every drawing is made of: sizes, scales, ticks, texts, broken lines, bands. Every text goes through ``text``."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence

from markupsafe import Markup, escape

from harness.core.text import one_line
from harness.report.numbers import short

LOG_FROM_RATIO = 30.0
Point = tuple[float, float]


@dataclasses.dataclass(frozen=True, slots=True)
class Size:
    """A drawing for wide or for narrow pages: user units are CSS pixels."""

    name: str
    width: int
    left: int
    plot: int  # height of the main panel
    ticks: int

    @property
    def inner(self) -> int:
        return self.width - self.left - 12

    @property
    def right(self) -> int:
        return self.left + self.inner


WIDE = Size("wide", 1040, 64, 220, 10)
NARROW = Size("narrow", 344, 52, 170, 4)
SIZES = (WIDE, NARROW)


@dataclasses.dataclass(frozen=True, slots=True)
class Scale:
    """Values to pixels, upwards; linear, or logarithmic where the values span more than ``LOG_FROM_RATIO``."""

    low: float
    high: float
    top: float
    bottom: float
    log: bool

    @classmethod
    def fitting(cls, columns: Iterable[Iterable[float]], top: float, bottom: float, *, least: float = 0.05) -> Scale:
        """The scale of these values, infinite and missing ones set aside; ``least``: nothing smaller needs to be told apart."""
        values = [float(value) for column in columns for value in column if math.isfinite(value)]
        high, low = max(values, default=1.0), max(min(values, default=1.0), least)
        if high / low > LOG_FROM_RATIO:
            return cls(10 ** math.floor(math.log10(low)), nice_up(high * 1.05), top, bottom, log=True)
        return cls(0.0, nice_up(max(high * 1.08, 1e-3)), top, bottom, log=False)

    def y(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return float(self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top))

    def ticks(self) -> list[float]:
        return log_ticks(self.low, self.high) if self.log else linear_ticks(self.low, self.high)


def nice_up(value: float) -> float:
    """The next round number."""
    power: float = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.999)


def linear_ticks(low: float, high: float) -> list[float]:
    raw = (high - low) / 4
    power: float = 10 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if len(decades) > 4 else (1, 3)
    return [factor * 10**power for power in decades for factor in factors if low <= factor * 10**power <= high]


def milliseconds(value: float) -> str:
    """A latency for an axis."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "–"
    return f"{short(value / 1000)} s" if value >= 1000 else f"{short(value)} ms"


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(one_line(words, 60))}</text>'


def line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def rect(kind: str, x: float, y: float, width: float, height: float, title: str = "") -> str:
    """A rectangle; its title is what a pointer resting on it shows."""
    inside = f"<title>{escape(one_line(title, 300))}</title>" if title else ""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}">{inside}</rect>'


def dot(kind: str, x: float, y: float, radius: float, title: str) -> str:
    """A point that tells its figure."""
    return f'<circle class="{kind} dot" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"><title>{escape(one_line(title, 300))}</title></circle>'


def path(points: Sequence[Point | None], kind: str) -> str:
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


def band(upper: Sequence[Point | None], lower: Sequence[Point | None], kind: str) -> str:
    """The area between two lines, broken where either is."""
    shapes = []
    for run in _runs(upper, lower):
        there = [f"{x:.1f} {y:.1f}" for (x, y), _ in run]
        back = [f"{x:.1f} {y:.1f}" for _, (x, y) in reversed(run)]
        shapes.append(f"M{'L'.join((*there, *back))}Z")
    return f'<path class="{kind}" d="{"".join(shapes)}"/>' if shapes else ""


def _runs(upper: Sequence[Point | None], lower: Sequence[Point | None]) -> Iterator[list[tuple[Point, Point]]]:
    run: list[tuple[Point, Point]] = []
    for high, low in zip(upper, lower, strict=True):
        if high is not None and low is not None:
            run.append((high, low))
        elif run:
            yield run
            run = []
    if run:
        yield run


def drawing(size: Size, height: float, label: str, parts: Iterable[str], kind: str = "chart") -> Markup:
    """The whole picture with its name for those who do not see it."""
    words = escape(one_line(label))
    opening = (
        f'<svg class="{kind} {size.name}" viewBox="0 0 {size.width} {height:.0f}" role="img" aria-label="{words}"><title>{words}</title>'
    )
    return Markup(opening + "".join(parts) + "</svg>")  # noqa: S704 - every text in the parts went through text or rect


def sparkline(times: Sequence[float], values: Sequence[float]) -> Markup:
    """A small line for a generic series."""
    pairs = [(at, value) for at, value in zip(times, values, strict=False) if math.isfinite(value)][:5000]
    if len(pairs) < 2:
        return Markup("")
    low, high = min(value for _, value in pairs), max(value for _, value in pairs)
    first, last = pairs[0][0], pairs[-1][0]
    points = [((at - first) / max(last - first, 1e-9) * 316 + 2, 50 - (value - low) / max(high - low, 1e-12) * 44) for at, value in pairs]
    return Markup('<svg class="spark" viewBox="0 0 320 54" role="img" aria-label="course over time">{}</svg>').format(
        Markup(path(points, "p90"))  # noqa: S704 - numbers only
    )
