"""The claim-versus-quote check: does the quote state what the record claims? Deterministic, and the same for every origin.

A record that does not pass is not dropped: it is written and shown with its flags, and never pooled.
Flags: ``number:<n>``, ``together``, ``entity:<field>``, ``unit``, ``direction``, ``negation``, ``arm``, ``measure``,
``p_contradicts_ci``, ``ci_excludes_value``, ``ci_reversed``, ``kind``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from system.evidence.extraction.context import participants_in
from system.evidence.extraction.dose_grammar import dose_statements
from system.evidence.extraction.measures import CI_LABEL, RATIOS, Statement, statements
from system.evidence.extraction.numbers import missing_numbers, numbers_in, parse_number
from system.evidence.extraction.units import DOSE_UNIT, ucum
from system.evidence.records import AdverseEvent, Check, CheckStatus, Criterion, Dose, Effect, EffectType, Pico

AnyRecord = TypeVar("AnyRecord", Effect, AdverseEvent, Dose, Criterion, Pico)

_HARM = r"(?:risks?|odds|hazards?|likelihood|incidence|rates?|mortality|probability)"
_LOWER = re.compile(
    rf"\b(?:reduc(?:ed|es|tion\s+in)|lower(?:ed|s)?|decreas(?:ed|es|e\s+in)|smaller)\s+(?:the\s+)?(?:\w+\s+){{0,2}}?{_HARM}\b",
    re.IGNORECASE,
)
_HIGHER = re.compile(
    rf"\b(?:increas(?:ed|es|e\s+in)|higher|elevated|greater|raised)\s+(?:the\s+)?(?:\w+\s+){{0,2}}?{_HARM}\b", re.IGNORECASE
)
_NEGATED = re.compile(
    r"\b(?:(?:was|were|is|are)\s+not\s+(?:\w+\s+)?(?:associated|related|different|reduced|increased|improved|superior)|"
    r"did\s+not\s+(?:\w+\s+)?(?:differ|reduce|increase|improve|affect)|no\s+(?:\w+\s+){0,2}(?:differences?|association|effect|reduction|increase|improvement)|"
    r"not\s+(?:statistically\s+)?significant(?:ly)?|non-?significant(?:ly)?|n\.s\.)\b",
    re.IGNORECASE,
)
_P_CELL = re.compile(r"\s*(?:[Pp]\s*)?[=<>≤≥]*\s*[\d.·]+\s*[*†‡§a-h]*\s*")
_WORD = re.compile(r"[^\W_]+", re.UNICODE)


def with_check(record: AnyRecord, check: Check, *more: str) -> AnyRecord:
    """The record with a check that holds the flags of both and of the record itself."""
    flags = tuple(sorted({*check.flags, *record.check.flags, *more}))
    return msgspec.structs.replace(record, check=_check(flags))


def check_effect(effect: Effect) -> Check:
    """Numbers, measure, entities, unit, direction, negation and p against the interval."""
    quotes = [span.quote for span in effect.spans]
    joined = "\n".join(quotes)
    flags = [*_numbers(_effect_numbers(effect), joined), *_entities(joined, outcome=effect.outcome, timeframe=effect.timeframe)]
    flags += ["arm" for name in (effect.intervention, effect.comparator) if name and not states(joined, name)]
    if effect.stated_type and effect.stated_type.casefold() not in joined.casefold():
        flags.append("measure")
    if effect.unit and effect.unit.lower() not in joined.lower():
        flags.append("unit")
    if effect.origin == "prose":
        flags += _statement_flags(effect, quotes)
        flags += ["number:participants"] if effect.n_total is not None and effect.n_total not in map(participants_in, quotes) else []
    if effect.origin == "table" and not (_leads(effect, quotes) and _labelled(effect, quotes)):
        flags.append("together")
    return _check((*flags, *_consistency(effect)))


def check_dose(dose: Dose) -> Check:
    """Amounts with unit, frequency, duration and route as one statement of the quotes; drug and population among their words."""
    joined = "\n".join(span.quote for span in dose.spans)
    flags = _numbers([dose.amount, *([dose.amount_high] if dose.amount_high is not None else [])], joined, signed=False)
    if dose.unit not in {ucum(m.group()) for m in re.finditer(DOSE_UNIT, joined)}:
        flags.append("unit")
    if dose.amount_high is not None and dose.amount_high < dose.amount:
        flags.append("direction")
    claimed = (dose.amount, dose.amount_high, dose.unit, dose.route, dose.frequency_per_day, dose.duration_days)
    stated = {
        (s.amount, s.amount_high, s.unit, s.route, s.frequency_per_day, s.duration_days)
        for span in dose.spans
        for s in dose_statements(span.quote)
    }
    if claimed not in stated:
        flags.append("together")
    return _check((*flags, *_entities(joined, drug=dose.drug, population=dose.population)))


def check_event(event: AdverseEvent) -> Check:
    """Counts, term and arm in the quotes; a count cannot be above its denominator."""
    joined = "\n".join(span.quote for span in event.spans)
    counts = [float(n) for n in (event.count, event.denominator, event.events) if n is not None]
    flags = [*_numbers(counts, joined, signed=False), *_entities(joined, term=event.term)]
    if event.arm and not states(joined, event.arm) and not states(joined, event.arm_id):
        flags.append("arm")
    if event.count is not None and event.denominator is not None and event.count > event.denominator:
        flags.append("number:count")
    return _check(flags)


def check_criterion(criterion: Criterion) -> Check:
    """The criterion's text is its quote; age bounds are numbers of it (months count as twelfths of a year)."""
    joined = "\n".join(span.quote for span in criterion.spans)
    flags = [] if states(joined, criterion.text) else ["entity:text"]
    bounds = [bound for bound in (criterion.age_min_years, criterion.age_max_years) if bound is not None]
    for factor in (1.0, 12.0, 52.0, 365.0):
        missing = missing_numbers([round(bound * factor, 6) for bound in bounds], joined)
        if not missing:
            break
    flags += [f"number:{n:g}" for n in missing_numbers(bounds, joined)] if bounds and missing else []
    if criterion.kind not in {"inclusion", "exclusion"}:
        flags.append("kind")
    return _check(flags)


def check_pico(pico: Pico) -> Check:
    """Every entity in the quotes, the enrolment among their numbers."""
    joined = "\n".join(span.quote for span in pico.spans)
    flags = [*_numbers([] if pico.enrolment is None else [float(pico.enrolment)], joined)]
    for field in ("population", "interventions", "comparators", "outcomes", "timeframes"):
        flags += [f"entity:{field}" for name in getattr(pico, field) if not states(joined, name)]
    return _check(flags)


def states(quote: str, phrase: str) -> bool:
    """Whether the words of ``phrase`` stand in ``quote`` side by side, whatever the case, white space and punctuation between them."""
    wanted = [word.casefold() for word in _WORD.findall(phrase)]
    there = [word.casefold() for word in _WORD.findall(quote)]
    size = len(wanted)
    return size == 0 or any(there[i : i + size] == wanted for i in range(len(there) - size + 1))


def null_value(kind: EffectType) -> float:
    """The value that means no effect: 1 for ratios, 0 for differences."""
    return 1.0 if kind in RATIOS else 0.0


def _check(flags: Iterable[str]) -> Check:
    unique = tuple(sorted(set(flags)))
    return Check(CheckStatus.FLAGGED if unique else CheckStatus.AGREES, unique)


def _effect_numbers(effect: Effect) -> list[float]:
    optional = (effect.ci_low, effect.ci_high, effect.ci_percent, effect.p_value)
    stated = [effect.value, *(n for n in optional if n is not None)]
    if effect.n_total is None or effect.origin != "registry":
        return stated
    if any(_adds_up(float(effect.n_total), span.quote) for span in effect.spans):
        return stated
    return [*stated, float(effect.n_total)]


def _leads(effect: Effect, quotes: list[str]) -> bool:
    """A table's record starts with its cells: the value is their first number, the limits stand side by side behind it."""
    cells = [token.value for quote in quotes[:3] for token in numbers_in(quote)]
    limits = [effect.ci_low, effect.ci_high]
    behind = cells[1:4]
    return cells[:1] == [effect.value] and (effect.ci_low is None or limits in (behind[:2], behind[1:]))


def _labelled(effect: Effect, quotes: list[str]) -> bool:
    """The percentage stands in a label ("95% CI"), the p value in a cell of its own or behind the limits."""
    percents = {parse_number(match["percent"]) for quote in quotes for match in re.finditer(CI_LABEL, quote) if match["percent"]}
    alone = {token.value for quote in quotes for token in numbers_in(quote) if re.fullmatch(_P_CELL, quote)}
    behind = {token.value for token in numbers_in(quotes[0])[3:]}
    return (effect.ci_percent is None or effect.ci_percent in percents) and (effect.p_value is None or effect.p_value in alone | behind)


def _adds_up(total: float, quote: str) -> bool:
    """Whether a quote lists the participants of the arms: "Participants analysed | 20 | 20" states 40 in all."""
    tokens = [token.value for token in numbers_in(quote)]
    return any(total == sum(tokens[first:]) for first in range(len(tokens) - 1))


def _numbers(claimed: Iterable[float], quote: str, *, signed: bool = True) -> list[str]:
    return [f"number:{n:g}" for n in missing_numbers(claimed, quote, signed=signed)]


def _entities(quote: str, **fields: str) -> list[str]:
    return [f"entity:{field}" for field, phrase in fields.items() if phrase and not states(quote, phrase)]


def _statement_flags(effect: Effect, quotes: Iterable[str]) -> list[str]:
    """A sentence must state the numbers together, in their roles; then its words must not say the opposite."""
    for quote in quotes:
        for statement in statements(quote):
            if _same(effect, statement):
                return _wording(effect, quote, statement)
    return ["together"]


def _same(effect: Effect, statement: Statement) -> bool:
    claimed = (effect.type, effect.value, effect.ci_low, effect.ci_high, effect.ci_percent, effect.p_value, effect.p_operator)
    return claimed == (
        statement.type, statement.value, statement.ci_low, statement.ci_high, statement.ci_percent, statement.p_value, statement.p_operator,
    )  # fmt: skip


def _wording(effect: Effect, quote: str, statement: Statement) -> list[str]:
    clause = quote[max(quote.rfind(";", 0, statement.start), 0) : statement.end]
    flags = []
    side = effect.value - null_value(effect.type)
    if effect.type in RATIOS and not re.search(r"\bwhereas|\bwhile|\bbut\b", clause):
        lower, higher = bool(_LOWER.search(clause)), bool(_HIGHER.search(clause))
        if (lower and not higher and side > 0) or (higher and not lower and side < 0):
            flags.append("direction")
    if (
        _NEGATED.search(clause)
        and not re.search(r"(?i)\bbut\b|\bhowever\b|\bwhereas\b|\bexcept\b|\balthough\b", clause)
        and _significant(effect)
    ):
        flags.append("negation")
    return flags


def _significant(effect: Effect) -> bool:
    """The interval excludes the null, or without one the p value lies below 0.05."""
    if effect.ci_low is not None and effect.ci_high is not None:
        return not effect.ci_low <= null_value(effect.type) <= effect.ci_high
    return effect.p_value is not None and effect.p_value < 0.05 and effect.p_operator in {"=", "<", "<="}


def _consistency(effect: Effect) -> list[str]:
    """What the numbers say about one another: the value lies in its interval, a ratio is positive, p and interval agree."""
    flags = [f"number:{n:g}" for n in (effect.p_value,) if n is not None and not 0 <= n <= 1]
    flags += [f"number:{n:g}" for n in (effect.ci_percent,) if n is not None and not 0 < n < 100]
    if effect.type in RATIOS and effect.value <= 0:
        flags.append("number:negative_ratio")
    if effect.ci_low is None or effect.ci_high is None:
        return flags
    if effect.ci_low > effect.ci_high:
        flags.append("ci_reversed")
    if not effect.ci_low <= effect.value <= effect.ci_high:
        flags.append("ci_excludes_value")
    if _contradicts(effect, effect.ci_low, effect.ci_high):
        flags.append("p_contradicts_ci")
    return flags


def _contradicts(effect: Effect, low: float, high: float) -> bool:
    """Whether p lies below the interval's error level although the interval spans the null, or clearly above it although it does not."""
    if effect.p_value is None or effect.p_operator is None:
        return False
    alpha, null = round(1 - (effect.ci_percent or 95.0) / 100, 6), null_value(effect.type)
    below = effect.p_value < alpha or (effect.p_value <= alpha and effect.p_operator == "<")
    above = effect.p_value > alpha and effect.p_operator in {"=", ">", ">="}
    spans = low < null < high
    excludes = null < low or null > high
    return (spans and below and effect.p_operator in {"=", "<", "<="}) or (excludes and above)
