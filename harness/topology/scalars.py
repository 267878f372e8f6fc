"""How Compose reads a plain scalar of YAML, as text: what a value without quotes becomes in the environment of a process.

Compose turns numbers and booleans into their shortest form: ``010`` arrives as 8, ``1.10`` as 1.1. Where that is not what stands in the
file, one of the two is meant and nobody knows which: the value is refused, with both.
"""

from __future__ import annotations

import re
from decimal import Decimal

NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {word: value for value in ("true", "false") for word in (value, value.title(), value.upper())}
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|([1-9][0-9]*|0))")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = {
    f"{sign}.{word}": f"{'-' if sign == '-' else '+'}Inf" for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")
} | dict.fromkeys((".nan", ".NaN", ".NAN"), "NaN")
_DATE = re.compile(r"\d{4}-\d\d?-\d\d?([Tt ].*)?")
_BASES = (16, 8, 2, 10)
_LARGEST = 1 << 64
_EXPONENTS = range(-4, 21)  # within them a number is written without exponent


def read_as(text: str) -> str | None:
    """What a plain scalar becomes; ``None`` for null. A date becomes a text of its own form, which never equals the one in the file."""
    if text in NULLS:
        return None
    if text in _BOOLEANS or text in _SPECIAL:
        return _BOOLEANS.get(text) or _SPECIAL[text]
    if _DATE.fullmatch(text):
        return f"{text} (a date)"
    if text[0] not in "+-.0123456789":
        return text
    digits = text.replace("_", "")
    if integer := _INTEGER.fullmatch(digits):
        return _integer(integer)
    return _shortest(float(digits)) if _FLOAT.fullmatch(digits) else text


def _integer(found: re.Match[str]) -> str:
    digits, base = next((digits, base) for digits, base in zip(found.groups()[1:], _BASES, strict=True) if digits is not None)
    number = int(digits, base) * (-1 if found[1] == "-" else 1)
    return str(number) if abs(number) < _LARGEST else _shortest(float(number))


def _shortest(number: float) -> str:
    if number in (float("inf"), float("-inf")):
        return "+Inf" if number > 0 else "-Inf"
    exact = Decimal(repr(number)).normalize()
    exponent = exact.adjusted()
    if not number or exponent in _EXPONENTS:
        return "0" if not number else f"{exact:f}"
    mantissa = "".join(map(str, exact.as_tuple().digits))
    shown = mantissa[0] + (f".{mantissa[1:]}" if len(mantissa) > 1 else "")
    return f"{'-' if number < 0 else ''}{shown}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
