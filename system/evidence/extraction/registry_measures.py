"""What a registry's free words say: the effect measure, a figure, a p value, an age."""

from __future__ import annotations

import math
import re

import msgspec

from system.evidence.records import EffectType

RATIOS = frozenset({EffectType.HAZARD_RATIO, EffectType.RISK_RATIO, EffectType.ODDS_RATIO, EffectType.RESPONSE_RATE_RATIO})
MAX_NAME = 200  # characters of a measure's name that are looked at
MAX_FIGURE = 1e12  # an effect beyond this is a defect of the payload

_FIGURE = re.compile(r"(?P<sign>[+\-−–]?)(?P<digits>(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.(?P<decimals>\d+))?)(?P<exponent>[eE][+-]?\d{1,2})?\Z")
_P_VALUE = re.compile(
    r"(?:p\s*(?:-?\s*value)?)?\s*(?P<operator><=|>=|=<|=>|[<>=≤≥])?\s*(?P<figure>\d*\.?\d+(?:[eE][+-]?\d{1,3})?)\Z", re.IGNORECASE
)
_OPERATORS = {"": "=", "=<": "<=", "≤": "<=", "=>": ">=", "≥": ">="}
_AGE = re.compile(r"(?P<number>\d+) (?P<unit>Minute|Hour|Day|Week|Month|Year)s?\Z")
_UNITS_A_YEAR = {"Year": 1, "Month": 12, "Week": 52, "Day": 365, "Hour": 365 * 24, "Minute": 365 * 24 * 60}  # as people count ages

_MEANS = r"(?:adjusted )?(?:(?:ls|least.squares?) )?means?"
_MEAN_OUTCOMES = frozenset({"MEAN", "LEAST_SQUARES_MEAN"})
_NAMED: tuple[tuple[re.Pattern[str], EffectType], ...] = tuple(
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r"hazards? ratio", EffectType.HAZARD_RATIO),
        (r"odds ratio", EffectType.ODDS_RATIO),
        (r"ratio of (?:the )?response rates?|response rates? ratio", EffectType.RESPONSE_RATE_RATIO),
        (r"(?:risk|relative risk) ratio|relative risk", EffectType.RISK_RATIO),
        (r"standardi[sz]ed mean difference|cohen'?s d|hedges'? g", EffectType.STANDARDISED_MEAN_DIFFERENCE),
        (r"median difference|difference (?:in|of|between) (?:the )?medians|hodges.?lehmann", EffectType.MEDIAN_DIFFERENCE),
        (
            r"risk difference|difference (?:in|of|between) (?:the )?(?:risks?|proportions?|percentages?|response rates?)",
            EffectType.RISK_DIFFERENCE,
        ),
        (rf"{_MEANS} difference|difference (?:in|of|between) (?:the )?{_MEANS}", EffectType.MEAN_DIFFERENCE),
    )
)
_QUALIFIERS = "adjusted|estimated|treatment|between.groups?|group|ls|least.squares?"
_PLAIN_DIFFERENCE = re.compile(rf"(?:(?:{_QUALIFIERS}) )*difference(?: between (?:groups|treatments|arms))?")
_OTHER_SCALE = re.compile(r"\blog\b|geometric|\bslope\b")


class PValue(msgspec.Struct, frozen=True):
    """A p value as stated: the operator is one of ``=``, ``<``, ``>``, ``<=``, ``>=``."""

    operator: str
    value: float
    resolution: float  # half a unit of the last printed digit


def effect_type(stated: str, outcome_parameter: str) -> EffectType | None:
    """The measure that ``stated`` names, ``None`` where it is none of ours (a rate of one arm, a log or geometric scale).

    A plain "treatment difference" is a difference of means only where the outcome itself is a mean.
    """
    stated = stated[:MAX_NAME]
    name = re.sub(r"\s+", " ", re.sub(r"\([^)]*\)", " ", stated.replace("_", " "))).strip().lower()
    if _OTHER_SCALE.search(stated.lower()):
        return None
    for pattern, kind in _NAMED:
        if pattern.search(name):
            return kind
    if _PLAIN_DIFFERENCE.fullmatch(name) and outcome_parameter in _MEAN_OUTCOMES:
        return EffectType.MEAN_DIFFERENCE
    return None


def figure(text: str) -> float | None:
    """The value of a registry figure; ``None`` for anything but one finite number of sane size ("NA", "3.1 (0.2)", "1e999")."""
    found = _FIGURE.match(text.strip())
    if not found or not found["digits"]:
        return None
    value = float(found["digits"].replace(",", "") + (found["exponent"] or ""))
    if not math.isfinite(value) or value > MAX_FIGURE:
        return None
    return -value if found["sign"] in {"-", "−", "–"} and value else value


def resolution(text: str) -> float:
    """Half a unit of the last printed digit: what rounding may have taken away (0.005 for "1.25")."""
    found = _FIGURE.match(text.strip())
    if not found:
        return 0.0
    exponent = int((found["exponent"] or "e0")[1:])
    return 0.5 * math.pow(10, exponent - len(found["decimals"] or ""))


def p_value(text: str) -> PValue | None:
    """The p value that a registry states (``0.0568``, ``<0.05``, ``p = .03``); ``None`` for words."""
    found = _P_VALUE.match(text.strip())
    if not found:
        return None
    value = figure(found["figure"])
    if value is None:
        return None
    operator = found["operator"] or ""
    return PValue(_OPERATORS.get(operator, operator), value, resolution(found["figure"]))


def age_in_years(text: str) -> float | None:
    """``18 Years`` is 18.0, ``6 Months`` is 0.5; ``None`` where there is no limit."""
    found = _AGE.match(text)
    return int(found["number"]) / _UNITS_A_YEAR[found["unit"]] if found else None
