"""What a scenario may leave to the seed: ``uniform(a, b)``, ``integer(a, b)``, ``choice(a, b, …)``."""

from __future__ import annotations

import random
import re
from typing import Any

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.units import Duration, Quantity

_CALL = re.compile(r"\s*([A-Za-z_]+)\s*\(([^()]*)\)\s*")
KINDS = ("uniform", "integer", "choice")
STEPS = 10**6  # a uniform draw has this many equally likely values: exact in decimal, the same on every machine


def is_draw(text: object) -> bool:
    """Whether a value of a scenario asks for a draw."""
    match = _CALL.fullmatch(text) if isinstance(text, str) else None
    return match is not None and match[1] in KINDS


def draw_duration_ns(text: str, stream: random.Random) -> int:
    """A time of the timeline in ns: a plain duration, or drawn from ``stream``."""
    match = _CALL.fullmatch(text)
    if match is None:
        return Duration.parse(text).ns
    if match[1] not in KINDS:
        raise UsageError(f"unknown draw {match[1]!r}", nearest=nearest_word(match[1], KINDS), remedy=f"known: {listing(KINDS)}")
    return Duration.parse(str(draw(text, stream))).ns


def draw(text: str, stream: random.Random) -> str | int | float:
    """The drawn value: a number, or a quantity in the unit of the first argument. ``text`` must be a draw."""
    match = _CALL.fullmatch(text)
    assert match is not None
    arguments = [part.strip() for part in match[2].split(",")]
    if match[1] == "choice":
        return _number(arguments[stream.randrange(len(arguments))])
    if len(arguments) != 2:
        raise UsageError(f"{match[1]} takes two arguments", remedy=f"write {match[1]}(50 ms, 2500 ms)")
    low, high = (Quantity.parse(argument) for argument in arguments)
    if low.unit.dimension != high.unit.dimension or low.base > high.base:
        raise UsageError(f"{arguments[0]!r} and {arguments[1]!r} are no range", remedy="give the smaller first, both of one dimension")
    if match[1] == "integer":
        return stream.randint(round(low.base), round(high.base))
    value = low.base + (high.base - low.base) * stream.randint(0, STEPS) / STEPS
    amount = round(float(value / low.unit.scale), 9)
    return f"{amount!r} {low.unit.name}" if low.unit.name else amount


def draw_all(value: Any, stream: random.Random) -> Any:
    """``value`` with every draw inside it made, in a fixed order."""
    if is_draw(value):
        return draw(value, stream)
    if isinstance(value, dict):
        return {key: draw_all(value[key], stream) for key in sorted(value)}
    if isinstance(value, list):
        return [draw_all(item, stream) for item in value]
    return value


def _number(text: str) -> str | int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
