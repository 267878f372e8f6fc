"""A rate of arrivals as a sequence of pieces, its exact integral, and where that integral reaches each whole number.

On a piece of length T the rate is ``start + slope·t + Σ size·cos(speed·t + phase)`` for 0 <= t < T: a family closed under sums and
cuts, whose integral has a closed form. Lengths, starts and slopes are fractions, so integrals of pieces without waves are exact
and nothing drifts, however long the plan is. Arrival k is where the integral from the very start reaches k: the count is
the integral, rounded up.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from harness.core.errors import UsageError

NS = 1_000_000_000
MAX_ARRIVALS = 50_000_000
GRID = 4096  # points of the table from which Newton's method starts
NEWTON_ROUNDS = 60
NEWTON_NS = 0.25
CHUNK = 1_000_000  # solved at a time: bounds the memory beside the result

Offsets = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Wave:
    """``size`` (1/s) · cos(``speed`` (rad/s) · t + ``phase``)."""

    size: float
    speed: float
    phase: float

    def rate(self, seconds: Floats) -> Floats:
        return self.size * np.cos(self.speed * seconds + self.phase)

    def integral(self, seconds: Floats) -> Floats:
        return self.size / self.speed * (np.sin(self.speed * seconds + self.phase) - math.sin(self.phase))


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of ``seconds``; its rate must not be negative anywhere on it."""

    seconds: Fraction
    start: Fraction  # 1/s
    slope: Fraction = Fraction(0)  # 1/s²
    waves: tuple[Wave, ...] = ()

    def rate(self, seconds: Floats) -> Floats:
        """1/s at times (s) from the start of the piece."""
        straight = float(self.start) + float(self.slope) * seconds
        return sum((wave.rate(seconds) for wave in self.waves), start=straight)

    def integral(self, seconds: Floats) -> Floats:
        """Arrivals from the start of the piece to times (s) in it."""
        straight = seconds * (float(self.start) + 0.5 * float(self.slope) * seconds)
        return sum((wave.integral(seconds) for wave in self.waves), start=straight)

    @property
    def total(self) -> Fraction:
        """Arrivals of the whole piece; exact without waves."""
        straight = self.seconds * (self.start + self.slope * self.seconds / 2)
        end = np.array([float(self.seconds)])
        return straight + sum((Fraction(float(wave.integral(end)[0])) for wave in self.waves), start=Fraction(0))

    def times(self, amounts: Floats) -> Floats:
        """Where (s) the integral reaches each of ``amounts``, which are sorted and lie in [0, total)."""
        if not self.waves:
            return _straight(float(self.start), float(self.slope), amounts)
        return self._newton(amounts)

    def _newton(self, amounts: Floats) -> Floats:
        """Newton's method inside brackets: the integral never falls, so a step out of its bracket is halved into it."""
        end = float(self.seconds)
        grid = np.linspace(0.0, end, GRID)
        table = np.maximum.accumulate(self.integral(grid))
        place = np.clip(np.searchsorted(table, amounts, side="right"), 1, GRID - 1)
        low, high = grid[place - 1].copy(), grid[place].copy()
        found = np.clip(np.interp(amounts, table, grid), low, high)
        for _ in range(NEWTON_ROUNDS):
            missing = amounts - self.integral(found)
            low, high = np.where(missing >= 0, found, low), np.where(missing <= 0, found, high)
            with np.errstate(divide="ignore", invalid="ignore"):
                following = found + missing / self.rate(found)
            inside = (following >= low) & (following <= high)
            following = np.where(inside, following, (low + high) / 2)
            moved = float(np.max(np.abs(following - found), initial=0.0))
            found = following
            if moved * NS < NEWTON_NS:
                break
        return found

    def cut(self, begin: Fraction, end: Fraction) -> Piece:
        """The part of it between two times of its own."""
        moved = tuple(Wave(wave.size, wave.speed, wave.phase + wave.speed * float(begin)) for wave in self.waves)
        return Piece(end - begin, self.start + self.slope * begin, self.slope, moved)


def _straight(start: float, slope: float, amounts: Floats) -> Floats:
    """Solve start·t + slope·t²/2 = amount without cancellation: the smaller root as 2·amount / (start + √…)."""
    if slope == 0:
        return amounts / start if start > 0 else np.zeros_like(amounts)
    root = np.sqrt(np.maximum(0.0, start * start + 2.0 * slope * amounts))
    below = start + root
    return np.divide(2.0 * amounts, below, out=np.zeros_like(amounts), where=below > 0)


Pieces = tuple[Piece, ...]


def length(pieces: Sequence[Piece]) -> Fraction:
    """Seconds of all pieces together."""
    return sum((piece.seconds for piece in pieces), start=Fraction(0))


def total(pieces: Sequence[Piece]) -> Fraction:
    """Arrivals of all pieces together."""
    return sum((piece.total for piece in pieces), start=Fraction(0))


def even(pieces: Sequence[Piece]) -> Offsets:
    """Arrivals where the integral reaches 0, 1, 2, …: offsets in ns, sorted, inside the pieces, ⌈integral⌉ of them."""
    count = math.ceil(total(pieces))
    check_count(count)
    found = np.empty(count, dtype=np.int64)
    for piece, begin_ns, before in _placed(pieces):
        first, last = math.ceil(before), min(count, math.ceil(before + piece.total))
        skipped = float(first - before)
        for low in range(first, last, CHUNK):
            high = min(last, low + CHUNK)
            amounts = np.arange(low - first, high - first, dtype=np.float64) + skipped
            found[low:high] = _in_ns(piece, begin_ns, amounts)
    return found


def at_amounts(pieces: Sequence[Piece], amounts: Floats) -> Offsets:
    """Where the integral reaches each of ``amounts`` (sorted; those at or above the total are left out), ns."""
    found: list[Offsets] = []
    for piece, begin_ns, before in _placed(pieces):
        low, high = np.searchsorted(amounts, (float(before), float(before + piece.total)))
        for first in range(int(low), int(high), CHUNK):
            part = amounts[first : min(int(high), first + CHUNK)] - float(before)
            found.append(_in_ns(piece, begin_ns, part))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int64)


def rates(pieces: Sequence[Piece], seconds: Floats) -> Floats:
    """1/s at times (s) from the start of the first piece; 0 outside."""
    found = np.zeros_like(seconds)
    edges = np.array([float(edge) for edge in _edges(pieces)])
    order = np.argsort(seconds, kind="stable")
    places = np.searchsorted(seconds[order], edges, side="left")
    for piece, begin, low, high in zip(pieces, edges, places, places[1:], strict=False):
        if low < high:
            mine = order[low:high]
            found[mine] = piece.rate(seconds[mine] - begin)
    return found


def first_rate(pieces: Sequence[Piece]) -> Fraction:
    """1/s at the very start."""
    return Fraction(float(pieces[0].rate(np.zeros(1))[0])) if pieces[0].waves else pieces[0].start


def summed(streams: Sequence[Pieces]) -> Pieces:
    """One rate that is the sum of several of equal length."""
    if len(streams) == 1:
        return streams[0]
    edges = sorted({edge for pieces in streams for edge in _edges(pieces)})
    slices = [_sliced(pieces, edges) for pieces in streams]
    return tuple(_joined(parts) for parts in zip(*slices, strict=True))


def _joined(parts: Sequence[Piece]) -> Piece:
    start, slope = sum((part.start for part in parts), Fraction(0)), sum((part.slope for part in parts), Fraction(0))
    return Piece(parts[0].seconds, start, slope, tuple(wave for part in parts for wave in part.waves))


def _sliced(pieces: Pieces, edges: Sequence[Fraction]) -> Iterator[Piece]:
    """The same rate cut at every edge; its own edges are among them."""
    place, at = 0, Fraction(0)
    for begin, end in itertools.pairwise(edges):
        while at + pieces[place].seconds <= begin:
            at += pieces[place].seconds
            place += 1
        yield pieces[place].cut(begin - at, end - at)


def window(pieces: Sequence[Piece], begin: Fraction, end: Fraction) -> Pieces:
    """What lies between two times."""
    found = []
    at = Fraction(0)
    for piece in pieces:
        low, high = max(begin, at), min(end, at + piece.seconds)
        if low < high:
            found.append(piece.cut(low - at, high - at))
        at += piece.seconds
    return tuple(found)


def check_count(count: float) -> None:
    """Refuse a plan that no memory holds."""
    if count > MAX_ARRIVALS:
        raise UsageError(f"the plan has {count:.3g} arrivals", remedy=f"at most {MAX_ARRIVALS}: lower the rate or shorten it")


def _edges(pieces: Sequence[Piece]) -> Iterator[Fraction]:
    at = Fraction(0)
    yield at
    for piece in pieces:
        at += piece.seconds
        yield at


def _placed(pieces: Sequence[Piece]) -> Iterator[tuple[Piece, Fraction, Fraction]]:
    """Each piece with its start (ns) and the integral before it."""
    begin, before = Fraction(0), Fraction(0)
    for piece in pieces:
        yield piece, begin * NS, before
        begin += piece.seconds
        before += piece.total


def _in_ns(piece: Piece, begin_ns: Fraction, amounts: Floats) -> Offsets:
    """Whole ns, never outside the piece: rounding at its edges must not reorder neighbours."""
    low, high = math.ceil(begin_ns), math.ceil(begin_ns + piece.seconds * NS) - 1
    inner = np.rint(piece.times(amounts) * NS + float(begin_ns - low)).astype(np.int64)
    return np.clip(inner + low, low, max(low, high))
