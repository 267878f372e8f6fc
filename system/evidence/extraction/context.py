"""What a sentence says around an effect: outcome, arms, time frame, participants. Every part is a verbatim piece of it.

Nothing is inferred: where the sentence does not name the thing, the field stays empty.
"""

from __future__ import annotations

import re

import msgspec

from system.evidence.extraction.arms import arms_in
from system.evidence.extraction.numbers import END, NUMBER, parse_number

# A noun phrase ends before these; the phrase itself holds no digit, bracket or clause mark.
_STOP = (
    r"(?=\s*(?:[,;:()\[\]=]|\.(?:\s|$)|\b(?:with|was|were|is|are|had|has|compared|versus|vs|than|among|between|by|at|after|before|during|when|"
    r"which|that|but|while|favou?red|favou?ring|whereas|from\s+baseline|over|until|adjusting|relative|using|per|for\s+(?:the|men|women|patients|those|both|each|all)|in\s+the|in\s+(?:patients|men|women|children|those|both|this|our|all|adults|subjects|participants|individuals)|on|of\s+[-−–]?\d+|as|did|due|because|increased|decreased|"
    r"significantly|also|to\s+\d+|within)\b|$))"
)
_PHRASE = rf"(?P<phrase>[A-Za-z][^,;:()\[\]=<>]{{1,80}}?){_STOP}"
_LEAD = r"(?:the\s+|an?\s+|any\s+|their\s+|its\s+|overall\s+risk\s+of\s+)?"
_AFTER_NAME = re.compile(rf"\s*(?:[\[(][^()\[\]]{{0,40}}[\])]\s*)?(?:for|of)\s+(?:having\s+|developing\s+)?{_LEAD}{_PHRASE}")
_IN_AFTER_NAME = re.compile(rf"\s*(?:[\[(][^()\[\]]{{0,40}}[\])]\s*)?in\s+{_LEAD}{_PHRASE}")
_BEFORE_NAME = (
    re.compile(rf"\b(?:risks?|odds|hazards?|likelihood|incidence|probability|chances?)\s+(?:of|for)\s+(?:having\s+"
        rf"|developing\s+)?{_LEAD}{_PHRASE}", re.IGNORECASE),
    re.compile(rf"\b(?:reductions?|decreases?|increases?|improvements?|differences?|changes?|declines?|loss)\s+(?:in"
        rf"|of|for)\s+{_LEAD}{_PHRASE}", re.IGNORECASE),
    re.compile(rf"\b(?:rates?|frequency|proportion|number|percentage)\s+of\s+{_LEAD}{_PHRASE}", re.IGNORECASE),
    re.compile(rf"\beffects?\s+on\s+{_LEAD}{_PHRASE}", re.IGNORECASE),
    re.compile(rf"\b(?:reduced?|decreased?|lowered|improved?|increased?|prolong(?:ed)?|shorten(?:ed)?|prevent(?:ed)?)"
        rf"\s+(?!risk|odds){_LEAD}{_PHRASE}", re.IGNORECASE),
)  # fmt: skip
_SUBJECT = re.compile(
    rf"(?:^|[,;:]\s+|\b(?:and|that|whereas|while|but)\s+){_LEAD}(?P<phrase>[A-Za-z][^,;:()\[\]=<>]{{2,80}}?)\s+(?:in\s+[^,;:()\[\]]{{2,60}}?\s+)?"
    r"(?:occurred\s+in\b|(?:was|were)\s+(?:also\s+|not\s+)?(?:statistically\s+)?(?:significantly\s+|markedly\s+|slightly\s+)?"
    r"(?:lower|higher|reduced|increased|decreased|shorter|longer|better|worse|greater|improved|prolonged|similar|less|more|smaller|different)\b(?!\s+likely))",
    re.IGNORECASE,
)
# What stands before a colon or behind one, straight before the measure: "Cough: odds ratio", "Zen versus placebo: cough, odds ratio".
_LABELLED = re.compile(
    r"(?:(?:^|[;.]\s+)(?P<phrase>[A-Za-z][^,;:.()\[\]=<>]{2,60}?):|:\s+(?P<behind>[A-Za-z][^,;:.()\[\]=<>]{2,60}?),?)"
    r"\s*$"
)
# What stands before these words is the exposure, not the outcome.
_EXPOSES = re.compile(
    r"\b(?:associated\s+with|predict(?:s|ed|ive|ors?)?(?:\s+of)?|(?:leads?|led|related|linked)\s+to|result"
    r"(?:s|ed)\s+in|risk\s+factors?\s+for)\b",
    re.IGNORECASE,
)
_NO_OUTCOME_WORDS = (
    "than significantly days weeks months years conclusion conclusions finding findings overall adjusted unadjusted "
    "patients participants subjects women men children girls boys mothers infants adults individuals students cases controls "
    "people those groups group treatment we results in on to with by losers analysis difference differences both risk effect "
    "changes rate rates change it this these they there model models arm arms intervention control placebo the each all other "
    "others "
)
_NOT_OUTCOMES = frozenset(_NO_OUTCOME_WORDS.split())
_TIME = re.compile(
    r"\b(?:at|after|over|during|within|by|for|through)\s+(?:the\s+|a\s+)?(?:(?:median|mean)\s+(?:follow-?up\s+)?(?:of\s+)?)?(?:(?:week|month|year|day)\s+\d+|"
    r"(?:\d+(?:[.·]\d+)?|one|two|three|four|five|six|eight|ten|twelve)(?:\s+|-)(?:days?|weeks?|months?|years?|hours?)(?:\s+(?:of\s+)?(?:follow-?up|treatment))?)\b",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    rf"(?:\b(?i:total\s+of|among|all|of)\s+(?P<a>{NUMBER}){END}\s+(?:\w+\s+)?(?:patients|participants|subjects|women|men|children|adults|individuals)\b(?!\s+(?:in\s+the|assigned|allocated|receiving|treated))|\bN\s?=\s?(?P<b>{NUMBER}){END})"
)


class Context(msgspec.Struct, frozen=True):
    """What is stated beside an effect, each part as printed, "" or None where the sentence says nothing."""

    outcome: str = ""
    intervention: str = ""
    comparator: str = ""
    timeframe: str = ""
    n_total: int | None = None


def context_of(sentence: str, start: int, name_end: int, end: int) -> Context:
    """The context of the effect whose measure is ``sentence[start:name_end]`` and whose last number ends at ``end``."""
    clause = _clause(sentence, start, end)
    intervention, comparator = arms_in(sentence, start, clause)
    return Context(
        outcome=_outcome(sentence, start, name_end, clause[0]),
        intervention=intervention,
        comparator=comparator,
        timeframe=_only(_TIME, sentence),
        n_total=participants_in(sentence),
    )


def _clause(sentence: str, start: int, end: int) -> tuple[int, int]:
    """From the clause's beginning (a semicolon outside the bracket that holds the effect) to its end."""
    opening = max(sentence.rfind("(", 0, start), sentence.rfind("[", 0, start))
    inside = opening >= 0 and not re.search(r"[)\]]", sentence[opening:start])
    left = sentence.rfind(";", 0, opening if inside else start) + 1
    right = sentence.find(";", end)
    return left, len(sentence) if right < 0 else right


def _outcome(sentence: str, start: int, name_end: int, clause_start: int) -> str:
    after = _AFTER_NAME.match(sentence, name_end)
    if after is None and "ifference" in sentence[start:name_end]:
        after = _IN_AFTER_NAME.match(sentence, name_end)  # a ratio "in" something speaks of people, a difference of the outcome
    if after is not None and not re.match(r"\s*(?:versus|vs|compared)\b", sentence[after.end() :]):
        phrase = _clean(after["phrase"])
        if phrase:
            return phrase
    before = sentence[clause_start:start]
    exposed = [match.end() for match in _EXPOSES.finditer(before)]
    before = before[exposed[-1] :] if exposed else before
    candidates = [match for pattern in _BEFORE_NAME for match in pattern.finditer(before)]
    for match in sorted(candidates, key=lambda m: (m.re is not _BEFORE_NAME[0], -m.start("phrase"))):
        phrase = _clean(match["phrase"])
        if phrase:
            return phrase
    subjects = [_clean(match["phrase"]) for match in _SUBJECT.finditer(before)]
    subjects += [_clean(match["phrase"] or match["behind"]) for match in _LABELLED.finditer(before)]
    return next((phrase for phrase in reversed(subjects) if phrase), "")


def _clean(phrase: str) -> str:
    text = phrase.strip()
    words = re.findall(r"[A-Za-z][\w-]*", text)
    if not words or len(words) > 9 or {words[0].lower(), words[-1].lower()} & _NOT_OUTCOMES or re.search(r"\d\s*%|\bCI\b", text):
        return ""
    return re.sub(r"\s+(?:and|or|of|the|in)$", "", text)


def _only(pattern: re.Pattern[str], sentence: str) -> str:
    """The one match of the sentence; two different ones say nothing about this effect."""
    matches = {match.group() for match in pattern.finditer(sentence)}
    return next(iter(matches)) if len(matches) == 1 else ""


def participants_in(sentence: str) -> int | None:
    """The one total number of participants that a sentence states; that of a single arm is none."""
    totals = {parse_number(m["a"] or m["b"]) for m in _TOTAL.finditer(sentence)}
    value = next(iter(totals)) if len(totals) == 1 else None
    return int(value) if value is not None and value >= 1 and value == int(value) else None
