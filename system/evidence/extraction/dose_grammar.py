"""The grammar of dosing statements: "0.5 mg to 2 mg b.i.d.", "40 mg every other week", "10 mL every 4 hours for 5 days".

Amounts that are no dose are left out: concentrations, product strengths, body weights, laboratory limits, steps of titration.
"""

from __future__ import annotations

import re

import msgspec

from system.evidence.extraction.measures import MAX_SENTENCE
from system.evidence.extraction.numbers import DASH, MAGNITUDE, OFF_LINE, parse_number
from system.evidence.extraction.units import DOSE_UNIT, ucum

_SMALL = {
    "one": 1,
    "once": 1,
    "two": 2,
    "twice": 2,
    "three": 3,
    "thrice": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "ten": 10,
    "twelve": 12,
    "fourteen": 14,
}
_COUNT = rf"(?:\d+(?:\.\d+)?|{'|'.join(_SMALL)})"
_UNIT = rf"(?P<{{name}}>{DOSE_UNIT})(?![A-Za-z0-9²])"
_HYPHENS = r"[\s\u00a0-]?"
_AMOUNT = re.compile(
    rf"(?<![\w.,/<>≤≥{OFF_LINE}])(?P<low>{MAGNITUDE})(?:{_HYPHENS}{_UNIT.format(name='low_unit')})?(?P<per_low>/day)?"
    rf"\s*(?P<join>\bto\b|[{DASH}]|\bor\b)\s*(?P<high>{MAGNITUDE}){_HYPHENS}{_UNIT.format(name='high_unit')}"
    rf"|(?<![\w.,/<>≤≥{OFF_LINE}])(?P<amount>{MAGNITUDE}){_HYPHENS}{_UNIT.format(name='unit')}"
)
_NOT_A_DOSE_BEFORE = re.compile(
    r"(?:\b(?:greater\s+than|more\s+than|less\s+than|above|below|beyond|exceed(?:s|ing)?(?!\s+the)|over|under|increments?\s+of|increased\s+by|decreased\s+by|reduced\s+by|"
    r"increase\s+by|decrease\s+by|reduce\s+by|contain(?:s|ing)?|provid(?:es|ing)|deliver(?:s|ing)|each|weigh(?:s|ing)?|per|ratio\s+of|strengths?\s+of|steps\s+of|equivalent\s+to)|[<>≤≥/])\s*$",
    re.IGNORECASE,
)
_NOT_A_DOSE_AFTER = re.compile(
    r"^(?:\s?(?:/|per)\s?(?:\d+(?:\.\d+)?\s?)?(?:dL|mL|ml|L|l|min|minute|hour|h|g|tablet|capsule|vial|dose\s+form)\b|[\s-]*(?:strength|tablets?|capsules?|pre-?filled|pens?|syringes?|vials?|injections?|ampu?les?|cartridges?|"
    r"suppositor(?:y|ies)|patch(?:es)?|packets?|bottles?|inhalers?)\b|\s+of\s+(?:sterile|saline|water|dextrose|diluent|sodium\s+chloride|normal|lactated|fat|carbohydrate|elemental|phenylalanine)\b)",
    re.IGNORECASE,
)
_APPLIED = re.compile(r"^\s*(?:cream|ointment|gel|solution|lotion|shampoo|foam|drops|suspension)\b", re.IGNORECASE)
_FREQUENCIES: tuple[tuple[re.Pattern[str], float], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), value)
    for pattern, value in (
        (r"\bevery\s+other\s+day\b|\balternate\s+days\b|\bq\.?o\.?d\.?\b", 0.5),
        (r"\bevery\s+other\s+week\b|\bevery\s+(?:two|2)\s+weeks\b|\bonce\s+every\s+(?:two|2)\s+weeks\b", 1 / 14),
        (r"\btwice\s+(?:a\s+|per\s+)?week(?:ly)?\b|\btwo\s+times\s+(?:a|per)\s+week\b", 2 / 7),
        (r"\b(?:three|3)\s+times\s+(?:a\s+|per\s+)?week(?:ly)?\b", 3 / 7),
        ((r"(?<!other )(?<!twice )(?<!times )\b(?:once\s+)?(?:a\s+|per\s+|each\s+|every\s+)?week(?:ly)\b|\b"
            r"(?:once\s+(?:a|per|every)|every|each|per)\s+week\b"), 1 / 7),
        (r"\b(?:once\s+)?monthly\b|\b(?:once\s+(?:a|per|every)|every|each)\s+month\b", 1 / 30),
        (r"\b(?:twice|two\s+times|2\s+times)\s+(?:(?:a|per|each|every)\s+)?da(?:y|ily)\b|\bb\.?\s?i\.?\s?d\b", 2.0),
        (r"\b(?:three|3)\s+times\s+(?:(?:a|per|each|every)\s+)?da(?:y|ily)\b|\bthrice\s+daily\b|\bt\.?\s?i\.?\s?d\b", 3.0),
        (r"\b(?:four|4)\s+times\s+(?:(?:a|per|each|every)\s+)?da(?:y|ily)\b|\bq\.?\s?i\.?\s?d\b", 4.0),
        ((r"\bonce\s+(?:(?:a|per|each|every)\s+)?da(?:y|ily)\b|\b(?:once\s+)?nightly\b|\bat\s+bedtime\b|\bevery"
            r"\s+(?:day|morning|evening|night)\b|\beach\s+(?:day|morning|evening|night)\b|\bq\.?d\b(?!\.?s)"), 1.0),
        (r"(?<!times )(?<!twice )(?<!thrice )(?<!once )\b(?:daily|per\s+day|a\s+day)\b|/\s?day\b|/\s?24\s?h", 1.0),
    )
)  # fmt: skip
_EVERY_HOURS = re.compile(rf"\b(?:every|q)\s?(?P<n>{_COUNT})\s?(?:hours?|hrs?|h)\b", re.IGNORECASE)
_EVERY_PERIOD = re.compile(rf"\bevery\s+(?P<n>{_COUNT})\s+(?P<unit>days|weeks|months)\b", re.IGNORECASE)
_EVERY_RANGE = re.compile(rf"\bevery\s+{_COUNT}\s*(?:to|or|[{DASH}])\s*{_COUNT}\s+(?:hours|days|weeks|months)\b", re.IGNORECASE)
_DIVIDED = re.compile(r"\bdivided\b", re.IGNORECASE)
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_DURATION = re.compile(
    rf"(?:\b(?:for|x|×)\s+(?:a\s+total\s+of\s+|(?:the\s+first\s+)|up\s+to\s+)?(?P<n>{_COUNT})(?:\s+consecutive)?[\s-]+(?P<unit>day|week|month|year)s?\b)",
    re.IGNORECASE,
)
_RANGE_DURATION = re.compile(
    rf"\bfor\s+(?:at\s+least\s+)?{_COUNT}\s*(?:to|or|[{DASH}])\s*{_COUNT}\s+(?:days|weeks|months)\b", re.IGNORECASE
)
_ROUTES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (route, re.compile(pattern))
    for route, pattern in (
        ("oral", r"(?i:\borally\b|\boral\b|\bby\s+mouth\b|\bswallow\w*\b)|\bPO\b|\bp\.o\."),
        ("subcutaneous", r"(?i:\bsubcutaneous(?:ly)?\b)|\bSC\b|\bs\.c\."),
        ("intravenous", r"(?i:\bintravenous(?:ly)?\b|\binfus(?:ed|ion)\b)|\bIV\b|\bi\.v\."),
        ("intramuscular", r"(?i:\bintramuscular(?:ly)?\b)|\bIM\b|\bi\.m\."),
        ("topical", r"(?i:\btopical(?:ly)?\b|\bapply\b|\bapplied\s+to\s+the\s+(?:skin|affected)\b)"),
        ("inhalation", r"(?i:\binhal(?:ed|ation|ations|e)\b|\bnebuli[sz]\w+\b)"),
        ("nasal", r"(?i:\b(?:intra)?nasal(?:ly)?\b)"),
        ("ophthalmic", r"(?i:\bophthalmic\b|\binto\s+the\s+(?:affected\s+)?eyes?\b)"),
        ("rectal", r"(?i:\brectal(?:ly)?\b)"),
        ("vaginal", r"(?i:\b(?:intra)?vaginal(?:ly)?\b)"),
        ("transdermal", r"(?i:\btransdermal(?:ly)?\b)"),
        ("sublingual", r"(?i:\bsublingual(?:ly)?\b|\bunder\s+the\s+tongue\b)"),
        ("intrathecal", r"(?i:\bintrathecal(?:ly)?\b)"),
        ("intravitreal", r"(?i:\bintravitreal(?:ly)?\b)"),
    )
)  # fmt: skip


class DoseStatement(msgspec.Struct, frozen=True):
    """One amount with what is said beside it; offsets are relative to the sentence, durations are days."""

    amount: float
    amount_high: float | None
    unit: str  # UCUM
    start: int
    end: int
    route: str
    frequency_per_day: float | None
    duration_days: float | None


def dose_statements(sentence: str) -> tuple[DoseStatement, ...]:
    """The dosing statements of one sentence, in reading order; an unknown unit makes none."""
    if len(sentence) > MAX_SENTENCE:
        return ()
    amounts = list(_AMOUNT.finditer(sentence))
    route = route_in(sentence)
    found: list[DoseStatement] = []
    for index, match in enumerate(amounts):
        if not _is_dose(match, sentence):
            continue
        limit = amounts[index + 1].start() if index + 1 < len(amounts) else len(sentence)
        tail = sentence[match.end() : _clause_end(sentence, match.end(), limit)] + ("/day" if match["per_low"] else "")
        found.extend(_statements(match, tail, route))
    return tuple(found)


def route_in(text: str) -> str:
    """The one route that ``text`` names; "" where it names none or several."""
    routes = {route for route, pattern in _ROUTES if pattern.search(text)}
    return next(iter(routes)) if len(routes) == 1 else ""


def frequency_in(text: str) -> float | None:
    """Administrations a day: b.i.d. 2, every 8 hours 3, every other week 1/14; ``None`` where nothing or more than one is said."""
    if _EVERY_RANGE.search(text):
        return None
    found = {value for pattern, value in _FREQUENCIES if pattern.search(text)}
    found |= {24 / _count(match["n"]) for match in _EVERY_HOURS.finditer(text) if _count(match["n"]) > 0}
    for match in _EVERY_PERIOD.finditer(text):
        days = _count(match["n"]) * _DAYS[match["unit"].lower()[:-1]]
        if days > 0:
            found.add(1 / days)
    if found == {1.0} and _DIVIDED.search(text):
        return None  # a daily total in unknown parts
    return next(iter(found)) if len(found) == 1 else None


def duration_in(text: str) -> float | None:
    """Days of treatment (a month is 30 days); ``None`` for a range or where nothing is said."""
    if _RANGE_DURATION.search(text) or re.search(r"\bat\s+least\b", text):
        return None
    found = {_count(match["n"]) * _DAYS[match["unit"].lower()] for match in _DURATION.finditer(text)}
    return float(next(iter(found))) if len(found) == 1 else None


def _count(text: str) -> float:
    return float(_SMALL.get(text.lower(), 0)) or float(text)


def _is_dose(match: re.Match[str], sentence: str) -> bool:
    before, after = sentence[max(0, match.start() - 80) : match.start()], sentence[match.end() : match.end() + 80]
    unit = match["unit"] or match["high_unit"]
    if unit in {"kg", "KG"} or _NOT_A_DOSE_BEFORE.search(before) or _NOT_A_DOSE_AFTER.match(after):
        return False
    if unit == "%":
        return bool(_APPLIED.match(after))
    if before.endswith("(") and re.search(r"\bfull\s+(?:amount|contents?)\b[^.]{0,40}$", before):
        return False
    first = match["amount"] or match["low"]
    return parse_number(first) > 0


def _clause_end(sentence: str, start: int, limit: int) -> int:
    """What follows an amount belongs to it up to the next amount, a semicolon, or 90 characters."""
    stop = re.compile(r";|\bfollowed\s+by\b").search(sentence, start, limit)
    return min(stop.start() if stop else limit, start + 90)


def _statements(match: re.Match[str], tail: str, route: str) -> list[DoseStatement]:
    unit = ucum(match["unit"] or match["high_unit"])
    low_unit = ucum(match["low_unit"]) if match["low_unit"] else unit
    if unit is None or low_unit is None:
        return []
    frequency, duration = frequency_in(tail), duration_in(tail)

    def one(amount: float, high: float | None, code: str) -> DoseStatement:
        return DoseStatement(amount, high, code, match.start(), match.end(), route, frequency, duration)

    if match["amount"] is not None:
        return [one(parse_number(match["amount"]), None, unit)]
    low, high = parse_number(match["low"]), parse_number(match["high"])
    if match["join"] == "or" or low_unit != unit:
        return [one(low, None, low_unit), one(high, None, unit)]
    return [one(low, high, unit)] if low < high else []
