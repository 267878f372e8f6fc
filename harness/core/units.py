"""Quantities with units: ``800 ms``, ``10 /s``, ``15 min``, ``1 %``, ``20 MiB``. Exact inside, typed outside."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, NoReturn, Self

from harness.core.errors import UsageError, listing, nearest_word

_TIME: Mapping[str, Fraction] = {
    "ns": Fraction(1, 10**9),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "min": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86400),
}
_SIZE: Mapping[str, Fraction] = {
    "B": Fraction(1),
    "kB": Fraction(10**3),
    "MB": Fraction(10**6),
    "GB": Fraction(10**9),
    "KiB": Fraction(2**10),
    "MiB": Fraction(2**20),
    "GiB": Fraction(2**30),
}
_PLAIN: Mapping[str, Fraction] = {"": Fraction(1), "1": Fraction(1), "%": Fraction(1, 100)}
BASE_UNITS: Mapping[str, str] = {"time": "s", "size": "B", "number": "", "number per time": "/s", "size per time": "B/s"}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?)\s*(.*?)\s*", re.DOTALL)
MAX_TEXT = 100
LARGEST: Mapping[str, int] = {"time": 10**9, "": 10**18}  # in base units; 10**9 s fits every clock and every wait
SMALLEST = Fraction(1, 10**18)


@dataclasses.dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its name, its dimension, and how many base units (s, B, 1, /s, B/s) it is."""

    name: str
    dimension: str
    scale: Fraction


def known_units() -> tuple[str, ...]:
    """Every unit without a denominator; each but the times may be followed by ``/s``, ``/min``, ``/h``, ``/d``."""
    return (*_TIME, *_SIZE, "%", "/s", "/min", "/h", "/d", "MiB/s")


def unit(name: str) -> Unit:
    """The unit of that name; raises ``UsageError`` that lists the known ones."""
    base, slash, per = name.replace(" ", "").partition("/")
    if slash and per in _TIME and (base in _PLAIN or base in _SIZE):
        dimension = "size per time" if base in _SIZE else "number per time"
        return Unit(name, dimension, (_SIZE.get(base) or _PLAIN[base]) / _TIME[per])
    for dimension, table in (("time", _TIME), ("size", _SIZE), ("number", _PLAIN)):
        if not slash and base in table:
            return Unit(name, dimension, table[base])
    known = known_units()
    raise UsageError(f"unknown unit {name!r}", nearest=nearest_word(name, known), remedy=f"known units: {listing(known)}")


class Quantity:
    """A number with its unit; ``base`` is its exact value in the base unit of its dimension. Immutable.

    Not a dataclass on purpose: msgspec would then ask for a mapping where a scenario has ``800 ms``.
    """

    DIMENSION: ClassVar[str] = ""
    __slots__ = ("base", "unit")

    base: Fraction
    unit: Unit

    def __init__(self, base: Fraction, unit: Unit) -> None:
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "unit", unit)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a quantity cannot be changed")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and (self.base, self.unit.dimension) == (other.base, other.unit.dimension)

    def __hash__(self) -> int:
        return hash((self.base, self.unit.dimension))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.base, self.unit)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``number unit``; a wrong number, unit or dimension raises ``UsageError`` with the remedy."""
        match = _QUANTITY.fullmatch(text) if len(text) <= MAX_TEXT else None
        if match is None:
            raise UsageError(f"{text[:MAX_TEXT]!r} is not a number with a unit", remedy=f"write it like {_example(cls.DIMENSION)}")
        found = unit(match[2])
        if cls.DIMENSION and found.dimension != cls.DIMENSION:
            raise UsageError(f"{text!r} is a {found.dimension}, not a {cls.DIMENSION}", remedy=f"write it like {_example(cls.DIMENSION)}")
        quantity = cls(Fraction(Decimal(match[1])) * found.scale, found)
        largest = LARGEST.get(found.dimension, LARGEST[""])
        if abs(quantity.base) > largest or 0 < abs(quantity.base) < SMALLEST:
            raise UsageError(f"{text!r} is out of range", remedy=f"at most {largest:.0e} {BASE_UNITS[found.dimension]}".strip())
        if cls.DIMENSION and quantity.base < 0:
            raise UsageError(f"{text!r} is negative", remedy="give a value of 0 or more")
        return quantity

    @property
    def value(self) -> float:
        """In the unit it was written in."""
        return float(self.base / self.unit.scale)

    def __str__(self) -> str:
        """Exact where the decimal is short enough; reading it gives the same quantity again for what people write."""
        value = self.base / self.unit.scale
        number = str(value.numerator) if value.denominator == 1 else repr(float(value))
        return f"{number} {self.unit.name}".strip()


class Duration(Quantity):
    """A stretch of time, 0 or longer."""

    __slots__ = ()
    DIMENSION: ClassVar[str] = "time"

    @property
    def seconds(self) -> float:
        return float(self.base)

    @property
    def ns(self) -> int:
        return round(self.base * 10**9)

    @classmethod
    def of_seconds(cls, seconds: float) -> Self:
        """From a number of seconds, for defaults in code."""
        return cls(Fraction(Decimal(repr(float(seconds)))), unit("s"))


class Rate(Quantity):
    """So many a time: ``10 /s``."""

    __slots__ = ()
    DIMENSION: ClassVar[str] = "number per time"

    @property
    def per_second(self) -> float:
        return float(self.base)


class Share(Quantity):
    """A part of a whole: ``1 %`` is the fraction 0.01."""

    __slots__ = ()
    DIMENSION: ClassVar[str] = "number"

    @property
    def fraction(self) -> float:
        return float(self.base)


class Size(Quantity):
    """Bytes: ``20 MiB``."""

    __slots__ = ()
    DIMENSION: ClassVar[str] = "size"

    @property
    def bytes(self) -> int:
        return round(self.base)


_EXAMPLES: Mapping[str, str] = {
    "time": "'800 ms' or '15 min'",
    "number per time": "'10 /s'",
    "number": "'1 %' or '0.01'",
    "size": "'20 MiB'",
}


def _example(dimension: str) -> str:
    return _EXAMPLES.get(dimension, "'800 ms', '10 /s', '1 %' or '20 MiB'")
