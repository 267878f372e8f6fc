"""Numbers as articles print them: Unicode minus signs, middle-dot decimals, thousands separators, a missing leading zero."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from system.platform.errors import BadInput

MINUS = "-−–‐‑﹣－"  # every dash that is printed for a minus sign
DASH = MINUS + "—‒"  # and those printed between the ends of a range

# A sign counts as one only where no digit, letter or closing bracket stands before it: "1.05-1.68" is a range.
# A blank may follow the sign ("difference − 0.88") unless a number stands before it ("0.83 – 2.01").
SIGN = rf"(?:(?<![\w)\]%.·])(?:[{MINUS}+](?=[.·\d])|(?<![\d%]\s)[−–]\s(?=[.·\d])))?"
MAGNITUDE = r"(?:\d{1,3}(?:[,\u2009\u202f]\d{3})+(?:[.·∙]\d+)?|\d+(?:[.·∙]\d+)?|[.·∙]\d+)"
# The end of a number: a letter may follow only where it is a unit, a footnote mark or a closing word boundary.
_UNITS_GLUED = r"(?:mg|g|kg|mcg|ug|µg|μg|ng|mL|ml|mm|cm|dL|L|l|IU|U|h|hr|hrs|d|wk|months?|weeks?|days?|years?|x10|[a-f])"
# Nothing printed off the line touches a number: 10^5 and 10⁵ are not 10, 2½ is not 2, and what is hidden may belong to it.
OFF_LINE = "\\^√⁄½¼¾⅐-⅞↉⁰¹²³⁴-⁹⁺⁻₀-₉\ufdd0"
END = rf"(?![\d{OFF_LINE}]|[.·∙,][\d\ufdd0]|(?!{_UNITS_GLUED}(?![A-Za-z0-9]))[A-Za-z_])"
NUMBER = SIGN + MAGNITUDE

_TOKEN = re.compile(rf"(?<![\d.·∙A-Za-z_{OFF_LINE}])(?<!\^[-+−–])(?<!\d,)(?<![A-Za-z][-‐‑])(?P<number>{NUMBER}){END}")


class NumberToken(msgspec.Struct, frozen=True):
    """A number found in a text, with its code point range."""

    value: float
    start: int
    end: int


def parse_number(text: str) -> float:
    """The value of a printed number; raises ``ValueError`` for anything else, ``BadInput`` for one that no measurement has."""
    plain = re.sub(r"[\s,\u2009\u202f]", "", text)
    negative = plain[:1] in set(MINUS)
    value = float(plain.lstrip(MINUS + "+").replace("·", ".").replace("∙", "."))
    if not math.isfinite(value):
        raise BadInput(f"a number of {len(plain)} digits", f"the number {plain[:12]}…", "correct the number in the document")
    return -value if negative else value


def numbers_in(text: str) -> tuple[NumberToken, ...]:
    """Every number token of ``text`` in reading order: 1.5 is no token of "11.5" or of "1.50x"."""
    return tuple(NumberToken(parse_number(m["number"]), m.start("number"), m.end("number")) for m in _TOKEN.finditer(text))


def missing_numbers(claimed: Iterable[float], text: str, *, signed: bool = True) -> tuple[float, ...]:
    """Claimed numbers that ``text`` does not state; each token of the text can stand for one claimed number only.

    Amounts and counts have no sign (``signed=False``): a dash before them is punctuation.
    """
    stated = Counter(_canonical(token.value if signed else abs(token.value)) for token in numbers_in(text))
    wanted = Counter(_canonical(value) for value in claimed)
    return tuple(sorted((wanted - stated).elements()))


def _canonical(value: float) -> float:
    return float(f"{value:.12g}") + 0.0  # + 0.0 turns -0.0 into 0.0
