"""Shapes as a scenario writes them: ``shape: {kind: ramp, from: 5/s, to: 50/s}``. What is wrong is refused with its place.

Every shape but ``bursts``, ``poisson`` and ``trace`` is a rate over time; ``arrivals: poisson`` makes the arrivals of such a rate
random (a Poisson process with that rate) instead of evenly spread. A shape covers the whole window: the step's ``duration``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import msgspec

from harness.core.units import Duration, Rate

Arrivals = Literal["even", "poisson"]
Hour = Annotated[float, msgspec.Meta(ge=0, lt=24)]
MAX_PARTS = 200
HOURS = 24


class _Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all shapes share: the key ``kind``."""


class Constant(_Shape, frozen=True, tag="constant"):
    """The same rate throughout."""

    rate: Rate
    arrivals: Arrivals = "even"

    def __post_init__(self) -> None:
        _above_zero(self.rate, "rate")


class Poisson(_Shape, frozen=True, tag="poisson"):
    """Independent arrivals: exponential gaps of mean 1/rate."""

    rate: Rate

    def __post_init__(self) -> None:
        _above_zero(self.rate, "rate")


class Ramp(_Shape, frozen=True, tag="ramp"):
    """Linear ``from`` → ``to`` within ``over`` (the whole window when not given); ``to`` is held afterwards."""

    start: Rate = msgspec.field(name="from")
    to: Rate
    over: Duration | None = None
    arrivals: Arrivals = "even"

    def __post_init__(self) -> None:
        if self.start.base == self.to.base == 0:
            raise ValueError("a ramp from 0/s to 0/s sends nothing")
        if self.over is not None and self.over.base <= 0:
            raise ValueError("`over` must be longer than 0 s")


class Steps(_Shape, frozen=True, tag="steps"):
    """One rate after the other, ``each`` so long (the window divided equally when not given); the last one is held."""

    rates: Annotated[tuple[Rate, ...], msgspec.Meta(min_length=1, max_length=MAX_PARTS)]
    each: Duration | None = None
    arrivals: Arrivals = "even"

    def __post_init__(self) -> None:
        if not any(rate.base for rate in self.rates):
            raise ValueError("no step has a rate above 0/s")
        if self.each is not None and self.each.base <= 0:
            raise ValueError("`each` must be longer than 0 s")


class Spike(_Shape, frozen=True, tag="spike"):
    """``base``, then up to ``peak`` within ``rise`` from ``at`` on, held ``for`` so long, down again within ``fall``."""

    base: Rate
    peak: Rate
    at: Duration
    lasting: Duration = msgspec.field(name="for")
    rise: Duration = Duration.parse("0 s")
    fall: Duration = Duration.parse("0 s")
    arrivals: Arrivals = "even"

    def __post_init__(self) -> None:
        if self.peak.base <= self.base.base:
            raise ValueError(f"the peak {self.peak} is not above the base {self.base}")


class Bursts(_Shape, frozen=True, tag="bursts"):
    """Markov-modulated Poisson arrivals: ``base``, and ``base × multiplier`` during bursts.

    Outside a burst the next one begins after an exponential time of mean 1/``per`` (bursts a time: 0.5/min); it lasts ``lasting``
    on average, exponentially, or exactly with ``lengths: fixed``. This is the limit of drawing λ·dt each tick *and* keeping the
    burst's remaining time as state. The source drew with λ·(elapsed time) instead, a "probability" that exceeds 1.
    """

    base: Rate
    multiplier: Annotated[float, msgspec.Meta(gt=1, le=10_000)]
    per: Rate
    lasting: Duration
    lengths: Literal["exponential", "fixed"] = "exponential"

    def __post_init__(self) -> None:
        _above_zero(self.base, "base")
        _above_zero(self.per, "per")
        if self.lasting.base <= 0:
            raise ValueError("`lasting` must be longer than 0 s")


class Diurnal(_Shape, frozen=True, tag="diurnal"):
    """A day: lowest (``base``) at ``trough_hour``, highest (``base × multiplier``) at ``peak_hour``, half cosines between.

    The source has base·(1 + (m - 1)·cos((hour - peak)·π/12)): with m = 3 that is negative for eight hours of the night
    (-500/s of 500/s), and its ``trough_hour`` occurs nowhere: the lowest point is always 12 h after the peak. Clamping at 0 would
    give a silent night and a mean that nobody asked for. Here the cosine is raised, so that the rate stays between base and
    base·m, and each half is stretched from extreme to extreme, so that both hours mean what they say:
    base·(1 + (m - 1)·(1 + cos θ)/2), θ running 0 → π from peak to trough and π → 2π from trough to peak.

    ``day`` may be shorter than 24 h: hours are then 24ths of it. ``start_hour`` is the hour of the first arrival.
    """

    base: Rate
    multiplier: Annotated[float, msgspec.Meta(ge=1, le=10_000)]
    peak_hour: Hour
    trough_hour: Hour
    day: Duration = Duration.parse("24 h")
    start_hour: Hour = 0.0
    arrivals: Arrivals = "even"

    def __post_init__(self) -> None:
        _above_zero(self.base, "base")
        if self.peak_hour == self.trough_hour:
            raise ValueError(f"peak_hour and trough_hour are both {self.peak_hour:g}")
        if self.day.base <= 0:
            raise ValueError("`day` must be longer than 0 s")


class Trace(_Shape, frozen=True, tag="trace"):
    """Arrivals as they once were: the timestamps of a file, or the requests of an earlier run.

    ``file`` (relative to the project): CSV with a heading, or JSON Lines; ``column`` names the timestamps (the first column, or the
    member ``timestamp``, when not given). A name that ends in _ns, _us, _ms says its unit, others are seconds; ISO 8601 is
    read too. ``run``: a run folder, with ``trial`` and, where it had several, ``step``. ``speed`` 2 replays twice as fast.
    """

    file: str = ""
    column: str = ""
    run: str = ""
    trial: str = ""
    step: str = ""
    speed: Annotated[float, msgspec.Meta(gt=0, le=1_000_000)] = 1.0

    def __post_init__(self) -> None:
        if bool(self.file) == bool(self.run):
            raise ValueError("a trace wants exactly one of `file` and `run`")
        if self.run and not self.trial:
            raise ValueError("`run` wants the `trial` whose requests are replayed")


class SequencePart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shape for so long; only the last may leave ``for`` out and take what is left."""

    shape: Shape
    lasting: Duration | None = msgspec.field(name="for", default=None)


class Sequence(_Shape, frozen=True, tag="sequence"):
    """One shape after the other. Evenly spread parts share one count: no fraction of an arrival is lost between them."""

    parts: Annotated[tuple[SequencePart, ...], msgspec.Meta(min_length=1, max_length=MAX_PARTS)]

    def __post_init__(self) -> None:
        if any(part.lasting is None for part in self.parts[:-1]):
            raise ValueError("only the last part may leave `for` out")
        if any(part.lasting is not None and part.lasting.base <= 0 for part in self.parts):
            raise ValueError("`for` must be longer than 0 s")


class SumPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A shape whose rate counts ``weight`` times."""

    shape: Shape
    weight: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 1.0


class Sum(_Shape, frozen=True, tag="sum"):
    """Several shapes at once: their rates add up, each times its weight."""

    parts: Annotated[tuple[SumPart, ...], msgspec.Meta(min_length=1, max_length=MAX_PARTS)]


Shape = Constant | Poisson | Ramp | Steps | Spike | Bursts | Diurnal | Trace | Sequence | Sum


def check_window(shape: Shape, seconds: Fraction) -> None:
    """Raise ``ValueError`` for a shape that a window of that length would cut off: what was asked for would not be sent."""
    if needed := _needed(shape, seconds):
        raise ValueError(f"{shape.__struct_config__.tag} needs {float(needed):g} s, the window has {float(seconds):g} s")


def _needed(shape: Shape, seconds: Fraction) -> Fraction | None:
    match shape:
        case Ramp(over=Duration() as over):
            needed = over.base
        case Steps(each=Duration() as each):
            needed = each.base * len(shape.rates)
        case Spike():
            needed = shape.at.base + shape.rise.base + shape.lasting.base + shape.fall.base
        case Sequence():
            return _needed_by_parts(shape, seconds)
        case Sum():
            for part in shape.parts:
                check_window(part.shape, seconds)
            return None
        case _:
            return None
    return needed if needed > seconds else None


def _needed_by_parts(shape: Sequence, seconds: Fraction) -> Fraction | None:
    lengths = part_lengths(shape, seconds)
    if sum(lengths) != seconds or min(lengths) <= 0:
        return sum((part.lasting.base for part in shape.parts if part.lasting is not None), Fraction(0))
    for part, share in zip(shape.parts, lengths, strict=True):
        check_window(part.shape, share)
    return None


def part_lengths(shape: Sequence, seconds: Fraction) -> list[Fraction]:
    """Seconds of each part; the open last one takes what is left."""
    given = [part.lasting.base for part in shape.parts if part.lasting is not None]
    return given if len(given) == len(shape.parts) else [*given, seconds - sum(given, Fraction(0))]


def _above_zero(rate: Rate, name: str) -> None:
    if rate.base <= 0:
        raise ValueError(f"`{name}` must be above 0/s")
