"""What must be equal before two effects are combined, beyond outcome, measure and arms: time point, dose, population, adjustment.

Read from the effect's own words (outcome, time frame, arms, measure) and from its quotes. What is not stated is a value of its
own and never equals a stated one; where a sentence states several and does not say which belongs to the effect it is
``unclear``, and such an effect is combined with nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from system.evidence.briefing.populations import ages, analysis_sets, people
from system.evidence.briefing.time_points import Mention, time_points
from system.evidence.extraction.dose_grammar import dose_statements, frequency_in
from system.evidence.extraction.measures import statements
from system.evidence.records import Effect

NOT_STATED = "not stated"
UNCLEAR = "unclear"

_TO_MG = {"g": 1000.0, "mg": 1.0, "ug": 0.001, "ng": 0.000001}
_PLAIN_UNITS = re.compile(r"(?<![\w.,/])(\d+(?:\.\d+)?)[\s-]?(?:U|units?)\b(?!\s*/\s*[mdL])")
_WORD_DOSE = re.compile(
    r"\b(low(?:er)?|high(?:er)?|medium|moderate|standard|full|half|double|reduced|intermediate)[\s-]+dos(?:e|age)\b", re.IGNORECASE
)
_CRUDE = re.compile(r"\b(?:un|non-?)adjusted\b|\bcrude\b|\bunivaria(?:ble|te)\b|\b[uc](?:HR|RR|OR|RD|MD)s?\b")
_ADJUSTED = re.compile(
    r"(?i:(?<!un)(?<!non-)(?<!non)(?<!not )\badjusted\b(?!\s+(?:p\b|for\s+multip))"
    r"|(?<!no )(?<!without )\badjust(?:ment|ing)\s+for\b(?!\s+multip)|\bmultivaria(?:ble|te)\b|\bleast[\s-]squares?\b)"
    r"|\bLS\b|\ba(?:HR|RR|OR|RD|MD)s?\b"
)
_SYNTHESIS = re.compile(r"\b(?:pooled|combined|summary)\b", re.IGNORECASE)
_LEAD_OUT = re.compile(r"(?:\b(?:at|after|over|during|within|by|for|through|up\s+to|in|from|of|the|to)\s+)*$", re.IGNORECASE)
_LEAD_IN = re.compile(r"^(?:\s*of)?\s*follow[\s-]?up\b|^\s*[,;:()\[\]]+", re.IGNORECASE)


class Setting(msgspec.Struct, frozen=True, order=True):
    """The circumstances of an effect, each in a normal form, ``not stated`` or ``unclear``."""

    time_point: str = NOT_STATED
    dose: str = NOT_STATED
    population: str = NOT_STATED
    adjustment: str = NOT_STATED


def setting_of(effect: Effect, condition: str = "") -> Setting:
    """The effect's circumstances; ``condition`` is what all studies of the topic have in common."""
    places = _places(effect)
    return Setting(
        time_point=_time_point(effect, places),
        dose=_dose(effect, places),
        population=_population(effect, places, f"{condition} {effect.intervention} {effect.comparator}"),
        adjustment=_adjustment(effect, places),
    )


def states_pooled(effect: Effect) -> bool:
    """Whether the effect itself is a combination of studies, by its measure's name."""
    return _SYNTHESIS.search(effect.stated_type) is not None


def outcome_alone(outcome: str) -> str:
    """The outcome's name without the time point that it holds: "Mortality at 12 months" and "12-month mortality" are one outcome."""
    text = outcome
    for start, end in sorted({(m.start, m.end) for m in time_points(outcome)}, reverse=True):
        near = max(0, start - 60)  # the words that lead to a time point stand right before it
        before, after = text[:near] + _LEAD_OUT.sub("", text[near:start]), _LEAD_IN.sub("", text[end:])
        text = f"{before.rstrip(' ,;:([')} {after.lstrip(' )]-')}".strip()
    return text if re.search(r"[^\W\d_]{2}", text) else outcome


class _Places(msgspec.Struct, frozen=True):
    """Where a quote may state a circumstance of the effect: wide places first, then what stands right before and behind it.

    ``head`` and ``tail`` are what stands before the first effect of the clause and behind its last one: they tell whether the
    sentence names circumstances before the effects they belong to ("at week 4 it was …, at week 8 …") or behind them.
    """

    wide: tuple[str, ...]
    leading: str = ""
    trailing: str = ""
    head: str = ""
    tail: str = ""


def _places(effect: Effect) -> _Places:
    """Records of tables and registries quote cells, labels and headings: they have one place, all of them."""
    if effect.origin != "prose" or not effect.spans:
        return _Places(("\n".join(span.quote for span in effect.spans),))
    text = effect.spans[0].quote
    read = statements(text)
    claimed = (effect.type, effect.value, effect.ci_low, effect.ci_high)
    own = next((s for s in read if (s.type, s.value, s.ci_low, s.ci_high) == claimed), None)
    if own is None:
        return _Places((text,))
    for statement in read:  # the figures themselves are no circumstances: "2.3 days (1.1 to 3.5)" is blanked at equal length
        figures = re.sub(r"[^\n;]", " ", text[statement.value_start : statement.end])
        text = text[: statement.value_start] + figures + text[statement.end :]
    left, right = text.rfind(";", 0, own.start) + 1, text.find(";", own.end)
    right = len(text) if right < 0 else right
    near = [s for s in read if left <= s.start < right]
    at = near.index(own)
    begin = near[at - 1].end if at else left
    behind = near[at + 1].start if at + 1 < len(near) else right
    return _Places(
        (text, text[left:right]), text[begin : own.end], text[own.end : behind], text[left : near[0].end], text[near[-1].end : right]
    )


def _chosen(places: _Places, read: Callable[[str], Iterable[str]]) -> str:
    """The one value that is stated of this effect; ``unclear`` where several are and their order does not tell whose they are."""
    for number, text in enumerate(places.wide):
        values = set(read(text))
        if len(values) == 1:
            return values.pop()
        if not values and number == 0:
            return NOT_STATED
    before, behind = (any(True for _ in read(text)) for text in (places.head, places.tail))
    values = set(read(places.leading if before else places.trailing)) if before is not behind else set()
    return values.pop() if len(values) == 1 else UNCLEAR


def _time_point(effect: Effect, places: _Places) -> str:
    """A sentence's own; else that of the time frame and of the outcome's name, which must not contradict each other."""
    frame_text = effect.timeframe
    if effect.origin == "prose":
        if (found := _chosen(places, lambda text: _points(time_points(text, prose=True)))) != NOT_STATED:
            return found
        frame_text = "" if frame_text in places.wide[0] else frame_text  # read with its sentence: "over 70 years" is an age
    frame, outcome = (_points(time_points(text)) for text in (frame_text, effect.outcome))
    for text in _rows(effect, "Comparison") if effect.origin == "registry" else ():
        frame = said if len(said := _points(time_points(text))) == 1 else frame
    if len(frame) == 1 and not frame[0].startswith(("up to", "average")):
        return frame[0] if not outcome or outcome == frame else UNCLEAR
    if outcome or frame:
        return " + ".join(outcome or frame)
    if effect.origin == "registry":
        return _registry_time(effect)
    if frame_text:
        return _plain(frame_text)
    return NOT_STATED if effect.origin == "prose" else _chosen(places, lambda text: _points(time_points(text)))


def _registry_time(effect: Effect) -> str:
    """The row "Time frame" of the record, where the analysed class is none; an analysis always has one, in words if need be."""
    rows = _rows(effect, "Time frame")
    for text in rows:
        if points := _points(time_points(text)):
            return " + ".join(points)
    return next((_plain(text) for text in (*rows, effect.timeframe) if text.strip()), NOT_STATED)


def _rows(effect: Effect, name: str) -> list[str]:
    """What stands behind ``name`` in the rows that a registry record quotes."""
    lines = (line for span in effect.spans for line in span.quote.split("\n"))
    return [value for head, _, value in (line.partition(" | ") for line in lines) if head.casefold() == name.casefold()]


def _points(mentions: Iterable[Mention]) -> list[str]:
    """The points in their order, each once; the start itself counts only alone."""
    listed = list(mentions)
    later = [mention for mention in listed if not mention.zero] or listed
    return list(dict.fromkeys(mention.normal for mention in sorted(later)))


def _dose(effect: Effect, places: _Places) -> str:
    """The strength of the intervention, and of the comparator where it has one: "10 mg", "10 mg versus 80 mg"."""
    intervention, comparator = (" + ".join(_doses(name)) for name in (effect.intervention, effect.comparator))
    if not intervention and effect.origin != "registry":
        taken = set(_doses(effect.comparator))
        found = _chosen(places, lambda text: (dose for line in text.split("\n") for dose in _doses(line) if dose not in taken))
        intervention = "" if found == NOT_STATED else found
    if intervention == UNCLEAR:
        return UNCLEAR
    return f"{intervention or NOT_STATED} versus {comparator}" if comparator else intervention or NOT_STATED


def _doses(text: str) -> list[str]:
    """The doses of a text in reading order, each once: amounts in milligrams where they are masses, with what is said of frequency."""
    found = [(s.start, _amount(s.amount, s.amount_high, s.unit) + _frequency(text[s.end : s.end + 24])) for s in dose_statements(text)]
    found += [(m.start(), f"{float(m[1]):g} units{_frequency(text[m.end() : m.end() + 24])}") for m in _PLAIN_UNITS.finditer(text)]
    found += [(m.start(), f"{m[1].lower().removesuffix('er')} dose") for m in _WORD_DOSE.finditer(text)]
    return list(dict.fromkeys(said for _, said in sorted(found)))


def _amount(low: float, high: float | None, unit: str) -> str:
    mass, slash, body = unit.partition("/")
    factor = _TO_MG.get(mass)
    amounts = [round(n * (factor or 1.0), 12) for n in (low, high) if n is not None]
    return " to ".join(f"{n:.12g}" for n in amounts) + f" {'mg' if factor else mass}{slash}{body}"


def _frequency(tail: str) -> str:
    per_day = frequency_in(tail)
    if per_day is None:
        return ""
    return f", {per_day:g} a day" if per_day >= 1 else f", once in {1 / per_day:g} days"


def _population(effect: Effect, places: _Places, common: str) -> str:
    """Analysis set, people set apart and ages, joined; each is looked for in the outcome, the analysed class and the quote."""
    readers: tuple[Callable[[str], Iterator[str]], ...] = (
        lambda text: (part.normal for part in analysis_sets(text)),
        lambda text: (part.normal for line in text.split("\n") for part in people(line, common)),
        lambda text: (part.normal for part in ages(text)),
    )
    found = [_one_population(effect, places, read) for read in readers]
    if UNCLEAR in found:
        return UNCLEAR
    return "; ".join(value for value in found if value != NOT_STATED) or NOT_STATED


def _one_population(effect: Effect, places: _Places, read: Callable[[str], Iterator[str]]) -> str:
    for text in (effect.outcome, effect.timeframe, *_rows(effect, "Comparison")):
        if values := sorted(set(read(text))):
            return " + ".join(values)
    if effect.origin == "registry":  # the description of whom an outcome was analysed in: text of its own, in no table
        places = _Places(("\n".join(span.quote for span in effect.spans if " | " not in span.quote),))
    return _chosen(places, read)


def _adjustment(effect: Effect, places: _Places) -> str:
    """``adjusted`` or ``crude``: the measure's name says it first, then the method, then the quote."""
    for text in (effect.stated_type, effect.outcome, effect.method):
        if (value := _chosen(_Places((text,)), _adjustments)) not in {NOT_STATED, UNCLEAR}:
            return value
    return _chosen(places, _adjustments)


def _adjustments(text: str) -> Iterator[str]:
    if _CRUDE.search(text):
        yield "crude"
    if _ADJUSTED.search(text):
        yield "adjusted"


def _plain(text: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", text.casefold()))[:120] or NOT_STATED
