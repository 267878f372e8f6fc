"""The intent tag of a chunk: what kind of question it answers. Codes speak first, then labels and titles, then words."""

from __future__ import annotations

import re

PICO, ENDPOINT, ADVERSE_EVENT, DOSE, ELIGIBILITY, GENERAL = "pico", "endpoint", "ae", "dose", "eligibility", "general"
INTENTS = (PICO, ENDPOINT, ADVERSE_EVENT, DOSE, ELIGIBILITY, GENERAL)

_LOINC = {
    "34067-9": PICO,  # indications and usage
    "34068-7": DOSE,  # dosage and administration
    "43678-2": DOSE,  # dosage forms and strengths
    "34084-4": ADVERSE_EVENT,  # adverse reactions
    "34066-1": ADVERSE_EVENT,  # boxed warning
    "34071-1": ADVERSE_EVENT,  # warnings
    "43685-7": ADVERSE_EVENT,  # warnings and precautions
    "42232-9": ADVERSE_EVENT,  # precautions
    "34092-7": ENDPOINT,  # clinical studies
}
_TITLES: tuple[tuple[str, re.Pattern[str]], ...] = (
    (ELIGIBILITY, re.compile(r"eligib|inclusion|exclusion", re.IGNORECASE)),
    (ADVERSE_EVENT, re.compile(r"adverse|side.effect|safety|tolerab|toxicit|harms", re.IGNORECASE)),
    (DOSE, re.compile(r"\bdos(?:e|es|age|ing)\b|posology|administration", re.IGNORECASE)),
    (ENDPOINT, re.compile(r"outcome|end.?point|efficacy", re.IGNORECASE)),
    (PICO, re.compile(r"participants|population|interventions?\b|arms?\b|comparator|study (?:design|population)|patients", re.IGNORECASE)),
)
_EFFECT = (
    r"hazard ratio|odds ratio|relative risk|risk ratio|mean difference|confidence interval|\bCI\b"
    r"|\bp\s?[<=>]\s?0?[.·]\d"
)
_HARM = r"adverse (?:event|effect|reaction)|side effects?|nausea|vomiting|headache|hypotension|toxicit|discontinued due"
_AMOUNT = (
    r"\b\d[\d.,]{0,12}\s?(?:mg|µg|mcg|g|mL|IU)(?:/(?:kg|day|d|m2))?\b"
    r"|once daily|twice daily|\bb\.?i\.?d\b|starting dose|titrat"
)
_WORDS: tuple[tuple[str, re.Pattern[str]], ...] = (  # in the order that decides ties
    (ENDPOINT, re.compile(_EFFECT, re.IGNORECASE)),
    (ADVERSE_EVENT, re.compile(_HARM, re.IGNORECASE)),
    (DOSE, re.compile(_AMOUNT, re.IGNORECASE)),
    (ELIGIBILITY, re.compile(r"were eligible|inclusion criteria|exclusion criteria|were excluded|eligibility", re.IGNORECASE)),
    (PICO, re.compile(r"were randomi[sz]ed|randomly (?:assigned|allocated)|placebo|control group", re.IGNORECASE)),
)
_BROAD: tuple[tuple[str, re.Pattern[str]], ...] = (
    (ENDPOINT, re.compile(r"\bresults?\b|findings", re.IGNORECASE)),
    (PICO, re.compile(r"\bmethods?\b|objective|aims?\b", re.IGNORECASE)),
)
_ENOUGH = 2  # a single mention says little


def intent_of(text: str, section: str, loinc: str | None, label: str | None, *, eligibility: bool = False) -> str:
    """One of :data:`INTENTS`."""
    if eligibility:
        return ELIGIBILITY
    if loinc in _LOINC:
        return _LOINC[loinc]
    last = section.rpartition(" > ")[2]
    for name, pattern in _TITLES:
        if pattern.search(label or "") or pattern.search(last):
            return name
    counts = {name: len(pattern.findall(text)) for name, pattern in _WORDS}
    best = max(counts, key=lambda name: counts[name])
    if counts[best] >= _ENOUGH:
        return best
    return next((name for name, pattern in _BROAD if pattern.search(section)), GENERAL)
