"""From a shape and a seed to offsets: a pure function, the same bytes for the same arguments.

A shape is laid out as at most three streams: a rate whose arrivals are evenly spread, a rate whose arrivals are a Poisson process
(sums of independent ones are one again), and given times. Poisson arrivals come by the time change: where the integral of the
rate reaches the partial sums of unit exponentials (Çınlar 1975), exact for any rate.
"""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

from harness.core.seeds import Seeds
from harness.core.units import Duration
from harness.load.shape import grammar
from harness.load.shape.grammar import HOURS, Shape, check_window, part_lengths
from harness.load.shape.pieces import (
    NS,
    Floats,
    Offsets,
    Piece,
    Pieces,
    Wave,
    at_amounts,
    check_count,
    even,
    first_rate,
    length,
    rates,
    summed,
    total,
    window,
)
from harness.load.shape.trace import trace_offsets

MAX_PIECES = 100_000


@dataclasses.dataclass(frozen=True, slots=True)
class Laid:
    """The streams of a shape over one window; each of the two rates covers all of it."""

    regular: Pieces
    random: Pieces
    given: tuple[Offsets, ...] = ()

    def shifted(self, before: Fraction, after: Fraction) -> Laid:
        """With silence around it."""
        head, tail = _idle(before), _idle(after)
        moved = tuple(times + round(before * NS) for times in self.given)
        return Laid((*head, *self.regular, *tail), (*head, *self.random, *tail), moved)

    def scaled(self, weight: float) -> Laid:
        if weight != 1.0 and self.given:
            raise ValueError("a trace has no rate that a weight could change: use `speed`")
        return Laid(_times(self.regular, weight), _times(self.random, weight), self.given)


def offsets(shape: Shape, duration: Duration, seed: int, *, warmup: Duration | None = None, project: Path | None = None) -> Offsets:
    """Sorted offsets (ns, int64) in [0, warmup + duration).

    The shape begins at the end of the warm-up, which holds its first rate (a trace's mean rate) with the same kind of
    arrivals. Raises ``ValueError`` for a window that is empty or too short for the shape, ``UsageError`` for a trace that cannot be
    read and for more than 50 million arrivals.
    """
    seconds, warm = duration.base, Fraction(0) if warmup is None else warmup.base
    if seconds <= 0:
        raise ValueError(f"a window of {float(seconds):g} s: it must be longer than 0 s")
    check_window(shape, seconds)
    laid = lay(shape, seconds, Seeds(seed), "shape", project or Path())
    if warm:
        laid = _warmed(laid, warm)
    streams = [even(laid.regular), _poisson(laid.random, Seeds(seed).derive("arrivals")), *laid.given]
    end_ns = math.ceil((warm + seconds) * NS)
    merged = np.sort(np.concatenate(streams), kind="stable")
    check_count(len(merged))
    return merged[: np.searchsorted(merged, end_ns)]


def planned_rates(shape: Shape, duration: Duration, seed: int, seconds: Floats) -> Floats:
    """The rate (1/s) that the plan of that seed follows at times (s) of the window; traces have none."""
    laid = lay(shape, duration.base, Seeds(seed), "shape", Path())
    return rates(laid.regular, seconds) + rates(laid.random, seconds)


def planned_count(shape: Shape, duration: Duration, seed: int) -> float:
    """The integral of that rate over the window: how many arrivals are expected."""
    laid = lay(shape, duration.base, Seeds(seed), "shape", Path())
    return float(total(laid.regular) + total(laid.random))


def lay(shape: Shape, seconds: Fraction, seeds: Seeds, name: str, project: Path) -> Laid:
    """The streams of a shape; ``name`` tells apart the random draws of its parts."""
    match shape:
        case grammar.Sequence():
            return _sequence(shape, seconds, seeds, name, project)
        case grammar.Sum():
            parts = [lay(part.shape, seconds, seeds, f"{name}.{n}", project).scaled(part.weight) for n, part in enumerate(shape.parts)]
            return _together(parts)
        case grammar.Trace():
            return Laid(_idle(seconds), _idle(seconds), (_inside(trace_offsets(shape, project), seconds),))
        case grammar.Bursts():
            return Laid(_idle(seconds), _bursts(shape, seconds, seeds.derive(name)))
        case grammar.Poisson():
            return Laid(_idle(seconds), (Piece(seconds, shape.rate.base),))
        case _:
            pieces = window(_rate(shape, seconds), Fraction(0), seconds)
            return Laid(pieces, _idle(seconds)) if shape.arrivals == "even" else Laid(_idle(seconds), pieces)


def _sequence(shape: grammar.Sequence, seconds: Fraction, seeds: Seeds, name: str, project: Path) -> Laid:
    found, before = [], Fraction(0)
    for number, (part, share) in enumerate(zip(shape.parts, part_lengths(shape, seconds), strict=True)):
        laid = lay(part.shape, share, seeds, f"{name}.{number}", project)
        found.append(laid.shifted(before, seconds - before - share))
        before += share
    return _together(found)


def _together(parts: list[Laid]) -> Laid:
    given = tuple(times for part in parts for times in part.given)
    return Laid(summed([part.regular for part in parts]), summed([part.random for part in parts]), given)


def _rate(shape: grammar.Constant | grammar.Ramp | grammar.Steps | grammar.Spike | grammar.Diurnal, seconds: Fraction) -> Pieces:
    """The rate of a shape that has no chance in it, over at least the window."""
    match shape:
        case grammar.Constant():
            return (Piece(seconds, shape.rate.base),)
        case grammar.Ramp():
            over = seconds if shape.over is None else shape.over.base
            return (_line(over, shape.start.base, shape.to.base), Piece(seconds, shape.to.base))
        case grammar.Steps():
            each = seconds / len(shape.rates) if shape.each is None else shape.each.base
            return (*(Piece(each, rate.base) for rate in shape.rates), Piece(seconds, shape.rates[-1].base))
        case grammar.Spike():
            base, peak = shape.base.base, shape.peak.base
            rise, fall = _ramp(shape.rise.base, base, peak), _ramp(shape.fall.base, peak, base)
            return (Piece(shape.at.base, base), *rise, Piece(shape.lasting.base, peak), *fall, Piece(seconds, base))
        case grammar.Diurnal():
            return _diurnal(shape, seconds)


def _line(seconds: Fraction, start: Fraction, end: Fraction) -> Piece:
    return Piece(seconds, start, (end - start) / seconds)


def _ramp(seconds: Fraction, start: Fraction, end: Fraction) -> Pieces:
    return (_line(seconds, start, end),) if seconds else ()


def _diurnal(shape: grammar.Diurnal, seconds: Fraction) -> Pieces:
    """Half cosines from the extreme before the first hour to the window's end."""
    hour = shape.day.base / HOURS
    falling = (_exact(shape.trough_hour) - _exact(shape.peak_hour)) % HOURS * hour
    rising = HOURS * hour - falling
    base = shape.base.base
    half = base * (_exact(shape.multiplier) - 1) / 2
    since_peak = (_exact(shape.start_hour) - _exact(shape.peak_hour)) % HOURS * hour
    if (seconds / shape.day.base) * 2 > MAX_PIECES:
        raise ValueError(f"{float(seconds / shape.day.base):.3g} days in one window")
    halves: list[Piece] = []
    while length(halves) < since_peak + seconds if len(halves) < 4 else len(halves) * shape.day.base / 2 < since_peak + seconds:
        for share, phase in ((falling, 0.0), (rising, math.pi)):
            halves.append(Piece(share, base + half, waves=(Wave(float(half), math.pi / float(share), phase),)))
    return window(halves, since_peak, since_peak + seconds)


def _bursts(shape: grammar.Bursts, seconds: Fraction, seed: int) -> Pieces:
    """Calm and burst in turn, to the nanosecond; begins calm."""
    generator = np.random.Generator(np.random.PCG64(seed))
    calm_s, burst_s = float(1 / shape.per.base), shape.lasting.seconds
    if float(seconds) / (calm_s + burst_s) > MAX_PIECES:
        raise ValueError(f"about {float(seconds) / (calm_s + burst_s):.3g} bursts in one window")
    high = shape.base.base * _exact(shape.multiplier)
    pieces: list[Piece] = []
    at = Fraction(0)
    while at < seconds:
        lasting = burst_s if shape.lengths == "fixed" else generator.exponential(burst_s)
        for rate, share in ((shape.base.base, generator.exponential(calm_s)), (high, lasting)):
            pieces.append(Piece(Fraction(max(1, round(share * NS)), NS), rate))
            at += pieces[-1].seconds
    return window(pieces, Fraction(0), seconds)


def _poisson(pieces: Pieces, seed: int) -> Offsets:
    expected = float(total(pieces))
    check_count(expected)
    generator = np.random.Generator(np.random.PCG64(seed))
    parts, reached = [], 0.0
    while reached < expected:
        more = round(expected - reached + 6 * math.sqrt(expected - reached)) + 16
        sums = reached + np.cumsum(generator.exponential(size=more))
        parts.append(sums)
        reached = float(sums[-1])
    return at_amounts(pieces, np.concatenate(parts)) if parts else np.empty(0, dtype=np.int64)


def _warmed(laid: Laid, warm: Fraction) -> Laid:
    """The first rate of each stream before it; given times move behind a warm-up at their mean rate."""
    mean = sum((Fraction(len(times)) for times in laid.given), Fraction(0)) / length(laid.regular)
    regular = Piece(warm, first_rate(laid.regular) + mean)
    moved = tuple(times + round(warm * NS) for times in laid.given)
    return Laid((regular, *laid.regular), (Piece(warm, first_rate(laid.random)), *laid.random), moved)


def _times(pieces: Pieces, weight: float) -> Pieces:
    factor = _exact(weight)
    return tuple(
        Piece(
            piece.seconds,
            piece.start * factor,
            piece.slope * factor,
            tuple(Wave(wave.size * weight, wave.speed, wave.phase) for wave in piece.waves),
        )
        for piece in pieces
    )


def _idle(seconds: Fraction) -> Pieces:
    return (Piece(seconds, Fraction(0)),) if seconds else ()


def _inside(times: Offsets, seconds: Fraction) -> Offsets:
    return times[: np.searchsorted(times, math.ceil(seconds * NS))]


def _exact(number: float) -> Fraction:
    """0.1 as one tenth: what a person wrote, not its nearest binary neighbour."""
    return Fraction(Decimal(repr(number)))
