"""Time points as texts print them: "Week 12", "12-month", "at one year", "Baseline, Weeks 4, 8 and 12".

Hours, days and weeks are one family, months and years another: 12 months are 1 year, 4 weeks are not 1 month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_WORDS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "eleven": 11,
    "twelve": 12, "fifteen": 15, "eighteen": 18, "twenty": 20, "twenty-four": 24, "twenty four": 24, "thirty": 30, "thirty-six": 36,
}  # fmt: skip
_COUNT = rf"(?:\d+(?:[.·]\d+)?|{'|'.join(sorted(_WORDS, key=len, reverse=True))})"
_UNIT = r"(?:minutes?|min|hours?|hrs?|h|days?|d|weeks?|wks?|months?|mths?|mos?|years?|yrs?|y)"
_LONG_UNIT = r"(?:hours?|days?|weeks?|wks?|months?|mo|years?|yrs?)"
_JOIN = r"\s*(?:,\s*and|,\s*or|,|/|&|and|or|to|through|until|[-–—])\s*"
# "12 weeks", "12-month", "6- and 12-month", "4, 8 and 12 weeks"
_COUNTED = re.compile(
    rf"(?<![\w.,·/<>≤≥±=-])(?<!\d[-–])(?P<counts>{_COUNT}(?:[\s-]*(?:{_UNIT})?{_JOIN}{_COUNT}){{0,11}})(?:\s*\([±+/-]+\s?\d+\))?(?P<gap>[\s\u00a0-]?|-\s)(?P<unit>{_UNIT})(?![\w²/])",
    re.IGNORECASE,
)
# "week 12", "Weeks 4, 8, and 12", "Day 28"
_NAMED = re.compile(
    rf"\b(?P<unit>{_LONG_UNIT})[\s\u00a0-]?(?P<counts>\d+(?:[.·]\d+)?(?:{_JOIN}\d+){{0,11}})(?![\w.]\d|\s*(?:%|mg|g\b))", re.IGNORECASE
)
_AGE_BEFORE = re.compile(
    r"(?:\bage[ds]?(?:\s+of)?(?:\s+(?:over|under|above|below|at\s+least|between|from))?|\b(?:older|younger|more|less)\s+than|\bhistory\s+of"
    r"|\bage[ds]?\s+\d+\s*(?:to|-|–|and))\s*$",
    re.IGNORECASE,
)
_AGE_AFTER = re.compile(
    r"^(?:\s*[-']?\s*(?:old\b|of\s+age\b|(?:or|and)\s+(?:older|over|younger|under|above|below)\b|history\b)"
    r"|\s*(?:/|\bper\b|\ba\b|\beach\b)\s*(?:day|week|month|year)\b)",
    re.IGNORECASE,
)
_REPEATED_BEFORE = re.compile(
    r"(?:\b(?:every|each|per|q)|\b(?:\w+ed|fell|rose|cut|grew|shrank|less|shorter|longer|lower|higher|less|more|fewer)\s+by|[<>≤≥±])\s*$",
    re.IGNORECASE,
)
_LEADS = re.compile(
    r"\b(?:at|after|over|during|within|by|for|through|throughout|until|to|in|first|from|up\s+to|follow(?:ed)?[\s-]?up(?:\s+\w+)?\s+(?:of|was|at|for)|followed\s+for|"
    r"(?:median|mean|average)(?:\s+\w+)?(?:\s+(?:of|was))?)\s+(?:the\s+|a\s+|about\s+|approximately\s+|first\s+|(?:median|mean|average)\s+(?:follow[\s-]?up\s+)?(?:of\s+)?)*$",
    re.IGNORECASE,
)
_FOLLOWS = re.compile(
    r"^\s+(?:of\s+|after\s+|post\b|later\b|from\s+)?(?:follow[\s-]?up|treatment|therapy|after|post|later|survival|mortality)\b",
    re.IGNORECASE,
)
_PEOPLE_OVER = re.compile(
    r"\b(?:patients|participants|subjects|people|individuals|those|women|men|adults|children|persons)\s+(?:over|under)\s*$", re.IGNORECASE
)
_LIMIT = re.compile(r"\b(?:up\s+to|maximum\s+of)\b[^,;.]{0,25}$", re.IGNORECASE)
_AVERAGE = re.compile(r"\b(?:median|mean|average)\b[^,;.]{0,25}$", re.IGNORECASE)
_HOURS = {"h": 1, "d": 24, "w": 168}


class Mention(msgspec.Struct, frozen=True, order=True):
    """One time point in its normal form ("12 weeks", "1 year", "up to 5 years") with its place in the text."""

    start: int
    end: int
    normal: str
    zero: bool = False  # the start itself: "Week 0", "Day 1"


def time_points(text: str, *, prose: bool = False) -> tuple[Mention, ...]:
    """Every time point of ``text`` in reading order; several at one place ("4 and 8 weeks") are several mentions.

    ``prose``: only what a preposition, a hyphen or "follow-up" marks as a time point, because a sentence also counts days and years.
    """
    found = [
        mention
        for match in _matches(text)
        if not _no_time(text, match) and (not prose or _marked(text, match))
        for mention in _read(text, match)
    ]
    return tuple(sorted(found))


def _matches(text: str) -> Iterator[re.Match[str]]:
    named = list(_NAMED.finditer(text))
    yield from named
    for match in _COUNTED.finditer(text):
        if not any(match.start() < other.end() and other.start() < match.end() for other in named):
            yield match


def _no_time(text: str, match: re.Match[str]) -> bool:
    before, after = text[max(0, match.start() - 60) : match.start()], text[match.end() : match.end() + 30]
    if match.re is _NAMED:
        return False
    return any(pattern.search(before) for pattern in (_AGE_BEFORE, _REPEATED_BEFORE, _PEOPLE_OVER)) or _AGE_AFTER.match(after) is not None


def _marked(text: str, match: re.Match[str]) -> bool:
    if match.re is _NAMED or "-" in match["gap"]:
        return True
    return bool(_LEADS.search(text[max(0, match.start() - 60) : match.start()]) or _FOLLOWS.match(text[match.end() : match.end() + 40]))


def _read(text: str, match: re.Match[str]) -> Iterator[Mention]:
    before = text[max(0, match.start() - 40) : match.start()]
    prefix = "up to " if _LIMIT.search(before) else "average " if _AVERAGE.search(before) else ""
    unit = _family(match["unit"])
    for count in re.finditer(rf"(?P<n>{_COUNT})(?:[\s-]*(?P<own>{_UNIT})(?!\w))?", match["counts"], re.IGNORECASE):
        number = float(_WORDS.get(count["n"].lower(), 0)) or float(count["n"].replace("·", "."))
        normal = _normal(number, _family(count["own"]) if count["own"] else unit)
        yield Mention(match.start(), match.end(), prefix + normal, number == 0 or (number == 1 and match.re is _NAMED and unit == "d"))


def _family(unit: str) -> str:
    """The unit by one letter: ``m`` for months, ``i`` for minutes, else its first."""
    low = unit.lower()
    return "i" if low.startswith("min") else low[0]


def _normal(number: float, unit: str) -> str:
    if unit in "my":
        months = number * (12 if unit == "y" else 1)
        return _said(months / 12, "year") if months and months % 12 == 0 else _said(months, "month")
    if unit == "i":
        return _said(number, "minute") if not number or number % 60 else _normal(number / 60, "h")
    hours = number * _HOURS[unit]
    if hours and hours % 168 == 0:
        return _said(hours / 168, "week")
    return _said(hours / 24, "day") if hours and hours % 24 == 0 else _said(hours, "hour")


def _said(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
