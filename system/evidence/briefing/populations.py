"""Whom an effect speaks of: analysis sets ("per protocol"), ages, and people set apart ("in women", "in patients with diabetes").

Each reading gives its values in one normal form, with the place where they stand. What everybody of the topic has in common
sets nobody apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

_SETS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern))
    for name, pattern in (
        ("modified intention to treat", r"(?i:\bmodified[\s-]+inten\w+[\s-]+to[\s-]+treat\b)|\bmITT\b"),
        ("intention to treat", r"(?i:(?<!modified )(?<!modified-)\bintent(?:ion)?[\s-]+to[\s-]+treat\b)|\bITT\b"),
        ("per protocol", r"(?i:\bper[\s-]+protocol\b)|\bPP\s+(?:population|analysis|set)\b"),
        ("as treated", r"(?i:\b(?:as[\s-]treated|on[\s-]treatment)\s+(?:analys[ei]s|population|set)\b)"),
        ("full analysis set", r"(?i:\bfull[\s-]+analysis[\s-]+set\b)|\bFAS\b"),
        ("safety set", r"(?i:\bsafety[\s-]+(?:analysis[\s-]+)?(?:set|population)\b)"),
        ("completers", r"(?i:\bcompleters?\b)"),
    )
)
_PEOPLE = {
    "women": "women", "woman": "women", "female": "women", "females": "women", "girls": "girls",
    "men": "men", "man": "men", "male": "men", "males": "men", "boys": "boys",
    "children": "children", "adolescents": "adolescents", "teenagers": "adolescents", "infants": "infants", "neonates": "newborns",
    "newborns": "newborns", "adults": "adults", "elderly": "elderly", "seniors": "elderly", "smokers": "smokers",
    "non-smokers": "non-smokers", "nonsmokers": "non-smokers", "carriers": "carriers", "non-carriers": "non-carriers",
    "responders": "responders", "non-responders": "non-responders", "survivors": "survivors",
    "patients": "", "participants": "", "subjects": "", "individuals": "", "people": "", "persons": "", "those": "", "cases": "",
}  # fmt: skip
_WHO = "|".join(sorted(map(re.escape, _PEOPLE), key=len, reverse=True))
_STOP = (
    r"(?=\s*(?:[,;:()\[\]=]|\.(?:\s|$)|$|\b(?:was|were|is|are|had|has|have|compared|versus|vs|than|at|after|by|during|over|reduced?|increased?|decreased?|"
    r"improved?|lowered|did|and|but|while|whereas|receiving|treated|randomi[sz]ed|assigned|given|taking|who\s+received|on|to|in|from)\b))"
)
_APART = re.compile(
    rf"\b(?:in|among|amongst|for|within|restricted\s+to|limited\s+to)\s+(?:the\s+|all\s+|both\s+|\d[\d,]*\s+)*"
    rf"(?P<before>(?:[A-Za-z][\w+-]*\s+){{0,4}}?)(?P<who>{_WHO})\b"
    rf"(?P<after>\s+(?:with(?:out)?|who(?!\s+(?:received|were\s+(?:given|assigned|randomi[sz]ed|treated)))|whose|having|not|of)\s+[^,;:()\[\]=]{{1,60}}?)?{_STOP}",
    re.IGNORECASE,
)
_ALONE = re.compile(
    rf"^\s*(?P<before>(?:[A-Za-z][\w+-]*\s+){{0,2}}?)(?P<who>{_WHO})(?P<after>\s+(?:with(?:out)?|who|whose)\s+.{{1,60}})?\s*$",
    re.IGNORECASE,
)
_SUBGROUP = re.compile(
    r"\b(?:(?:in|for|among|of)\s+(?:the\s+)?(?P<named>(?:[A-Za-z][\w+-]*\s+){1,4}?)(?:sub-?groups?|subsets?|strat(?:um|a)|sub-?population)\b"
    rf"|(?:sub-?group|subset)\s+of\s+(?P<of>[^,;:()\[\]=]{{3,60}}?){_STOP})",
    re.IGNORECASE,
)
_YEARS = r"(?:\s*-?\s*(?:years?|yrs?|y)\b(?:\s+of\s+age\b|[\s-]+old\b)?)"
_AGES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), form)
    for pattern, form in (
        (rf"\b(?:age[ds]?|between)\s+(?:from\s+|between\s+)?(\d+)\s*(?:to|and|[-–])\s*(\d+){_YEARS}?", "age {0}-{1}"),
        (r"\b(\d+)\s*(?:to|[-–])\s*(\d+)\s*-?\s*(?:years?|yrs?)(?:\s+of\s+age|[\s-]+old)\b", "age {0}-{1}"),
        (rf"\b(?:aged?\s+)?(\d+){_YEARS}?\s+(?:or|and)\s+(?:older|over|above)\b", "age >= {0}"),
        (rf"\b(?:aged?\s+)?(\d+){_YEARS}?\s+(?:or|and)\s+(?:younger|under|below)\b", "age <= {0}"),
        (rf"(?:\bage[ds]?\s+(?:at\s+least\s+|≥\s*|>=\s*)|(?:≥|>=)\s*)(\d+){_YEARS}", "age >= {0}"),
        (rf"(?:≤|<=)\s*(\d+){_YEARS}", "age <= {0}"),
        (rf"(?:\b(?:older\s+than|age[ds]?\s+(?:over|above))\s+|>\s*)(\d+){_YEARS}", "age > {0}"),
        (rf"(?:\b(?:younger\s+than|age[ds]?\s+(?:under|below))\s+|<\s*)(\d+){_YEARS}", "age < {0}"),
        (rf"\b(?:{_WHO})\s+over\s+(?:the\s+age\s+of\s+)?(\d+)(?:{_YEARS}|\b)", "age > {0}"),
        (rf"\b(?:{_WHO})\s+under\s+(?:the\s+age\s+of\s+)?(\d+)(?:{_YEARS}|\b)", "age < {0}"),
    )
)  # fmt: skip
_COMMON_WORDS = (
    "a all an and any both each either every of on or our patients participants subjects individuals people persons population in "
    "randomised randomized enrolled eligible included study studied such the their these this those treated trial who with were was "
    "active treatment intervention control group groups arm arms subgroup subgroups subset"
)
_COMMON = frozenset(_COMMON_WORDS.split())


class Part(msgspec.Struct, frozen=True, order=True):
    """One statement about the population in its normal form, with its place in the text."""

    start: int
    end: int
    normal: str


def analysis_sets(text: str) -> tuple[Part, ...]:
    """The analysis sets that ``text`` names."""
    return tuple(sorted(Part(m.start(), m.end(), name) for name, pattern in _SETS for m in pattern.finditer(text)))


def ages(text: str) -> tuple[Part, ...]:
    """The bounds of age that ``text`` states; of overlapping readings the first one counts."""
    found: list[Part] = []
    for pattern, form in _AGES:
        for match in pattern.finditer(text):
            if all(match.end() <= part.start or part.end <= match.start() for part in found):
                found.append(Part(match.start(), match.end(), form.format(*match.groups())))
    return tuple(sorted(found))


def people(text: str, common: str = "") -> tuple[Part, ...]:
    """The people that ``text`` sets apart; ``common`` are words that hold for all (the topic's condition, the arms' names)."""
    known = _COMMON | frozenset(_words(common))
    return tuple(sorted(part for part in _people(text, known) if part.normal))


def _people(text: str, known: frozenset[str]) -> Iterator[Part]:
    apart = list(_APART.finditer(text))
    alone = None if apart else _ALONE.match(text)
    for match in [*apart, *([alone] if alone else [])]:
        who = _PEOPLE[match["who"].lower()]
        words = [who, *(w for w in _words(f"{match['before']} {match['after'] or ''}") if w not in known)]
        negated = re.match(r"\s+(?:without|not)\b", match["after"] or "", re.IGNORECASE)
        yield Part(match.start(), match.end(), " ".join(word for word in words if word) if not negated or len(words) > 1 else "")
    for match in _SUBGROUP.finditer(text):
        words = [_PEOPLE.get(w, w) for w in _words(match["named"] or match["of"]) if w not in known]
        yield Part(match.start(), match.end(), " ".join(word for word in words if word))


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:[-+][^\W_]*)*", text.casefold())
