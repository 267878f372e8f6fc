"""The grammar of effect statements: "adjusted hazard ratio (HR) of 0.67 (95% CI 0.29–1.48, p = 0.33)".

:func:`statements` reads one sentence and gives what it states, number by number. What is not printed beside the
measure is not attached: an interquartile range is no confidence interval, and the interval of another measure belongs to it.
"""

from __future__ import annotations

import re

import msgspec

from system.evidence.extraction.numbers import DASH, END, NUMBER, parse_number
from system.evidence.records import EffectType

RATIOS = frozenset({EffectType.HAZARD_RATIO, EffectType.RISK_RATIO, EffectType.ODDS_RATIO, EffectType.RESPONSE_RATE_RATIO})

_LONG_NAMES: tuple[tuple[str, EffectType | None], ...] = (
    (r"(?:sub-?distribution\s+)?hazards?[\s-]ratio", EffectType.HAZARD_RATIO),
    (r"(?:relative\s+risk|risk\s+ratio)(?!\s+(?:reduction|increase))", EffectType.RISK_RATIO),
    (r"odds[\s-]ratio", EffectType.ODDS_RATIO),
    (r"standard(?:i[sz]ed)?\s+mean\s+difference", EffectType.STANDARDISED_MEAN_DIFFERENCE),
    ((r"(?:weighted\s+)?mean\s+(?:between-group\s+|group\s+|treatment\s+)?difference|difference\s+(?:in"
        r"|between)\s+(?:the\s+)?means"), EffectType.MEAN_DIFFERENCE),
    (r"median\s+difference", EffectType.MEDIAN_DIFFERENCE),
    (r"(?:absolute\s+)?risk\s+difference", EffectType.RISK_DIFFERENCE),
    # Named so that their abbreviation and interval are not taken for those of another measure; they have no type of their own.
    (r"(?:incidence\s+)?rate\s+ratio|relative\s+risk\s+(?:reduction|increase)|likelihood\s+ratio|correlation\s+coefficient", None),
)  # fmt: skip
_SHORT_NAMES: dict[str, EffectType] = {
    "HR": EffectType.HAZARD_RATIO,
    "RR": EffectType.RISK_RATIO,
    "OR": EffectType.ODDS_RATIO,
    "SMD": EffectType.STANDARDISED_MEAN_DIFFERENCE,
    "WMD": EffectType.MEAN_DIFFERENCE,
    "MD": EffectType.MEAN_DIFFERENCE,
    "RD": EffectType.RISK_DIFFERENCE,
}
_QUALIFIER = (
    r"(?i:(?:un|multivariate[\s-]|multivariable[\s-]|covariate[\s-])?adjusted|crude|pooled|combined|summary"
    r"|estimated|stratified|overall|common|mean)\s+"
)
_LONG = "|".join(f"(?P<long{index}>{pattern})" for index, (pattern, _) in enumerate(_LONG_NAMES))
_MEASURE = re.compile(
    rf"(?P<name>(?:{_QUALIFIER})?\b(?:(?i:{_LONG})|[acu]?(?P<short>HR|RR|OR|SMD|WMD|MD|RD)(?![A-Za-z]|\s?[=]\s?F\b))(?P<plural>s?)\b)"
)

PERCENT = r"(?P<percent>\d{2}(?:[.·]\d{1,2})?)\s?%"
_CI_NAME = r"(?i:CIs?\b|C\.I\.|confidence[\s-]+(?:intervals?|limits?)(?:\s*[(\[]\s*CIs?\s*[)\]])?)"
CI_LABEL = rf"(?:{PERCENT}\s*|\b){_CI_NAME}"
_CI_LABEL_BEFORE = CI_LABEL.replace("percent", "percent_before")
_UNIT_AFTER = (
    r"(?:\s?(?:%|percentage\s+points?|points?|kg/m2|kcal|kJ|mEq/L|U/L|IU/L|kg|mmol/[Ll]|mg/d[Ll]|mg|µg"
    r"|g|mm\s?Hg|mm|cm|m|ml|mL|l|L|days?|weeks?|months?|years?|hours?|minutes?|min|h|d|s|bpm|beats/min)"
    r"(?:\s?/\s?(?:day|week|month|year|min|h|d|kg))?(?![A-Za-z]))?"
)
_MONEY = r"[£$€]?\s?"
RANGE_SEPARATOR = rf"(?:\s*(?:\bto\b|\band\b|[{DASH}]|,|;|…|\.\.\.?)\s*)"
INTERVAL = rf"{_MONEY}(?P<low>{NUMBER}){END}{_UNIT_AFTER}{RANGE_SEPARATOR}{_MONEY}(?P<high>{NUMBER}){END}"
_GAP_TO_CI = (
    r"[\s,;:(\[]*(?:with\s+(?:an?\s+)?|and\s+)?(?:(?i:p)(?:[\s-]?value)?\s?[=<>≤≥]\s?[\d.·]+[\s,;]*)?"
    r"(?:[A-Za-z][A-Za-z\s-]{0,18}[;,]\s*)?(?:the\s+|an?\s+)?"
)
_CI_AFTER = re.compile(rf"{_GAP_TO_CI}{CI_LABEL}[\s:,=;]*(?:of|from|was|ranged?(?:\s+from)?|between|is)?\s*[\[({{]?\s*{INTERVAL}")
# "HR (95% CI) 0.5 (0.3–0.9)": the label stands with the measure, so the bare bracket is its interval.
_BARE_INTERVAL = re.compile(rf"\s*,?\s*[\[(]\s*{INTERVAL}\s*[,;\])]")
# "relative risk, 95% CI 1.36, 1.03–1.90": without brackets only a dash makes it an interval.
_OPEN_INTERVAL = re.compile(rf"\s*,\s*(?P<low>{NUMBER})[{DASH}](?P<high>{NUMBER}){END}")
_P_VALUE = re.compile(
    rf"[\s,;:)\]}}]*(?:and\s+)?(?:with\s+)?(?:an?\s+|the\s+)?(?:two-sided\s+|one-sided\s+|adjusted\s+|log-?rank\s+)?\b[Pp](?:[\s-]?values?)?\s*"
    rf"(?:of\s+)?(?P<operator><=|>=|=|<|>|≤|≥|⩽|⩾|＜|＝)\s*(?P<p>{NUMBER}){END}(?!\s*[×x*]\s*10)(?!\s*%)"
)
_OPERATORS = {"≤": "<=", "≥": ">=", "⩽": "<=", "⩾": ">=", "＜": "<", "＝": "="}
_VALUE = re.compile(
    r"(?P<gap>"
    r"(?:\s*[\[(][^()\[\]\d\ufdd0]{0,40}[\])])?"  # its abbreviation
    rf"(?:\s*(?:and|,|with)?\s*[\[(]?\s*{_CI_LABEL_BEFORE}\s*[\])]?)?"  # "(95% CI)", "and 95% confidence interval"
    r"(?:(?:[^.;()\[\]\d=<>{}\ufdd0]|(?<=\bvs)\.){0,140}?)"  # "for death from any cause was"
    r"(?:\s*[=:,≈~]|\b(?:of|was|were|is|at|to\s+be|by|equal(?:s|led)?(?:\s+to)?)|(?<=[\s)\]]))?\s*"
    rf")(?P<value>{_MONEY}{NUMBER}){END}(?P<unit>{_UNIT_AFTER})"
)
_DIRECT_GAP = re.compile(r"[\s=:,≈~(\[\])]*(?:of|was|were|is)?\s*$")
_LINK = re.compile(r"(?:[=:,≈~]|\b(?:of|was|were|is|at|to\s+be|by|equal(?:s|led)?(?:\s+to)?))\s*$")
_FOREIGN = re.compile(
    r"\b(?:IQR|interquartile|range|SD|SE|SEM|standard\s+(?:deviation|error)|respectively|per|table|figure|fig|n\s*=|"
    r"score|model|between\s+\d)\b",
    re.IGNORECASE,
)
_MIXED = re.compile(r"[βΒ]|\bbeta\b|\bcoefficient\b", re.IGNORECASE)  # "β or OR": the cells are not all of one kind
_LONGEST_NAME = 80
MAX_SENTENCE = 4000  # what is longer is no sentence; it is not read
_P_AT_ONCE = 40


class Statement(msgspec.Struct, frozen=True):
    """One effect as a sentence prints it; offsets are relative to the sentence. ``abbreviated``: only the short name stands there."""

    type: EffectType
    stated_type: str
    value: float
    start: int  # of the measure's name
    end: int  # behind the last number that belongs to it
    abbreviated: bool
    gap: str  # what stands between name and value
    value_start: int
    ci_low: float | None = None
    ci_high: float | None = None
    ci_percent: float | None = None
    p_value: float | None = None
    p_operator: str | None = None
    unit: str = ""
    flags: tuple[str, ...] = ()

    def numbers(self) -> tuple[float, ...]:
        """Every number of the statement, in the order value, interval, percentage, p."""
        return tuple(n for n in (self.value, self.ci_low, self.ci_high, self.ci_percent, self.p_value) if n is not None)


def statements(sentence: str) -> tuple[Statement, ...]:
    """The effect statements of one sentence in reading order; a ratio that is not positive is no statement."""
    if len(sentence) > MAX_SENTENCE:
        return ()
    names = [match for match in _MEASURE.finditer(sentence) if not _doubled(match, sentence)]
    found: list[Statement] = []
    for index, name in enumerate(names):
        if found and name.start() < found[-1].end:
            continue
        limit = names[index + 1].start() if index + 1 < len(names) else len(sentence)
        statement = _read(sentence, name, limit, _label_in_force(found, name))
        if statement is not None:
            found.append(statement)
    return tuple(found)


def measure_of(text: str) -> EffectType | None:
    """The measure that a heading names ("OR (95% CI)", "Hazard ratio"), if it names exactly one that we type."""
    if _MIXED.search(text):
        return None
    types = {_type(match) for match in _MEASURE.finditer(_unmarked(text))}
    return next(iter(types)) if len(types) == 1 else None


def stated_measure(text: str) -> str:
    """The first measure's name as printed in ``text``, "" where there is none."""
    match = _MEASURE.search(_unmarked(text))
    return match["name"].strip() if match else ""


def _unmarked(heading: str) -> str:
    """A footnote letter printed on a word ("Odds ratioa", "RRb") is blanked."""
    return re.sub(r"(?<=ratio|renc.)(?<!differen)[a-h]\b|(?<=\b(?:HR|RR|OR|MD))[a-h]\b|(?<=SMD)[a-h]\b", " ", heading)


def read_p(text: str) -> tuple[float, str] | None:
    """A p value with its operator at the start of ``text``."""
    match = _P_VALUE.match(text)
    if match is None or match.start("p") > _P_AT_ONCE:
        return None
    value = parse_number(match["p"])
    return (value, _OPERATORS.get(match["operator"], match["operator"])) if 0 <= value <= 1 else None


def _doubled(match: re.Match[str], sentence: str) -> bool:
    """The abbreviation in "hazard ratio (HR) of 0.67" is part of the name before it."""
    before = sentence[max(0, match.start() - _LONGEST_NAME) : match.start()].rstrip()
    return match["short"] is not None and before.endswith(("(", "[")) and _ends_with_long_name(before[:-1].rstrip())


def _ends_with_long_name(text: str) -> bool:
    last = None
    for last in _MEASURE.finditer(text):  # noqa: B007 - only the last one counts
        pass
    return last is not None and last.end() == len(text) and last["short"] is None


def _type(match: re.Match[str]) -> EffectType | None:
    if match["short"] is not None:
        return _SHORT_NAMES[match["short"]]
    return next(kind for index, (_, kind) in enumerate(_LONG_NAMES) if match[f"long{index}"] is not None)


def _label_in_force(found: list[Statement], name: re.Match[str]) -> float | None:
    """In "aOR 2.5 [95% CI 1.1–6.0], ... aOR 1.7 [1.3–2.3]": the label holds for the same measure later in the sentence."""
    kind = _type(name)
    return next((s.ci_percent for s in reversed(found) if s.type is kind and s.ci_low is not None), None)


def _read(sentence: str, name: re.Match[str], limit: int, percent_in_force: float | None) -> Statement | None:
    kind = _type(name)
    value = _VALUE.match(sentence, name.end(), limit)
    if kind is None or value is None or not _gap_allowed(value, plural=bool(name["plural"])):
        return None
    number = parse_number(value["value"].lstrip("£$€ "))
    if kind in RATIOS and number <= 0:
        return None
    end, low, high, percent, flags = _interval(sentence, value, limit, number, percent_in_force)
    if kind in RATIOS and low is not None and low < 0:
        return None
    if low is None and not flags and (_labelled(value) or _starts_another_thing(sentence[value.end() : limit])):
        return None
    p = read_p(sentence[end:limit])
    p_end = end
    if p is not None:
        matched = _P_VALUE.match(sentence[end:limit])
        p_end = end + (matched.end() if matched else 0)
    return Statement(
        type=kind,
        stated_type=name["name"].strip(),
        value=number,
        start=name.start(),
        end=p_end,
        abbreviated=name["short"] is not None,
        gap=value["gap"],
        value_start=value.start("value"),
        ci_low=low,
        ci_high=high,
        ci_percent=percent,
        p_value=p[0] if p else None,
        p_operator=p[1] if p else None,
        unit=_unit(value),
        flags=flags,
    )


def _gap_allowed(value: re.Match[str], *, plural: bool) -> bool:
    """Between name and value may stand what the measure is about, if a linking word or sign leads to the value."""
    gap = value["gap"]
    if _FOREIGN.search(gap) or gap.rstrip()[-1:] in set(DASH):
        return False
    if _DIRECT_GAP.fullmatch(gap) or value["percent_before"] is not None:
        return True
    bracketed = re.fullmatch(r"\s*[\[(][^()\[\]\d]{0,40}[\])][\s=:,]*(?:of|was|were|is)?\s*", gap)
    if bracketed:
        return True
    return not plural and _LINK.search(gap) is not None


def _interval(
    sentence: str, value: re.Match[str], limit: int, number: float, percent_in_force: float | None
) -> tuple[int, float | None, float | None, float | None, tuple[str, ...]]:
    """(end, low, high, percent, flags): the confidence interval printed right behind the value, as stated."""
    after = _CI_AFTER.match(sentence, value.end(), limit)
    if after is None and _labelled(value):
        after = _BARE_INTERVAL.match(sentence, value.end(), limit) or _OPEN_INTERVAL.match(sentence, value.end(), limit)
    inherited = None
    if after is None and percent_in_force is not None:
        after = _BARE_INTERVAL.match(sentence, value.end(), limit) or _OPEN_INTERVAL.match(sentence, value.end(), limit)
        inherited = percent_in_force
    if after is None:
        return value.end(), None, None, None, ()
    low, high = parse_number(after["low"]), parse_number(after["high"])
    stated = after.groupdict().get("percent") or value["percent_before"]
    if low > high:
        return after.end("high"), None, None, None, ("ci_reversed",)
    if not low <= number <= high:
        return after.end("high"), None, None, None, ("ci_excludes_value",)
    return after.end("high"), low, high, parse_number(stated) if stated else inherited, ()


def _labelled(value: re.Match[str]) -> bool:
    """The words "95% CI" stand before the value: without an interval behind it, the value may be a limit itself."""
    return re.search(_CI_NAME, value["gap"]) is not None


def _starts_another_thing(rest: str) -> bool:
    """A number that opens a range, a ratio of counts or a spread is not an effect: "HR 60–80", "OR 3/12", "MD 2 ± 1"."""
    return re.match(rf"\s?(?:[{DASH}]\s?\d|/\s?\d|±|\+/|to\s+\d|(?:beats|bpm|breaths|/min)\b)", rest) is not None


def _unit(value: re.Match[str]) -> str:
    money = re.match(r"[£$€]", value["value"])
    return money.group() if money else value["unit"].strip()
