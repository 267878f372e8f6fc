"""Registration numbers of trials as texts print them, in one normal form per registry."""

from __future__ import annotations

import re

_REGISTRIES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (scheme, re.compile(rf"(?<![\w-]){pattern}(?![\w-])", re.IGNORECASE))
    for scheme, pattern in (
        ("nct", r"NCT[\s-]?\d{8}"),
        ("isrctn", r"ISRCTN[\s-]?\d{8}"),
        ("euct", r"20\d{2}-5\d{5}-\d{2}(?:-\d{2})?"),
        ("eudract", r"(?:EudraCT\s*(?:number|no\.?)?\s*:?\s*)?20[012]\d-0\d{5}-\d{2}"),
        ("actrn", r"ACTRN[\s-]?\d{14}"),
        ("chictr", r"ChiCTR(?:-[A-Z]{2,5})?-?\d{8,10}"),
        ("ctri", r"CTRI/\d{4}/\d{2,3}/\d{6}"),
        ("drks", r"DRKS\s?\d{8}"),
        ("umin", r"UMIN\s?\d{9}"),
        ("jrct", r"jRCTs?\d{9,10}"),
        ("japic", r"JapicCTI-?\d{6}"),
        ("kct", r"KCT\d{7}"),
        ("irct", r"IRCT\d{10,18}(?:N\d{1,3})?"),
        ("ntr", r"NTR\s?\d{3,5}"),
        ("pactr", r"PACTR\d{15,16}"),
        ("rebec", r"RBR-[0-9a-z]{5,8}"),
        ("tctr", r"TCTR\d{11}"),
        ("slctr", r"SLCTR/\d{4}/\d{3}"),
        ("utn", r"U1111-\d{4}-\d{4}"),
    )
)
SCHEMES = frozenset(scheme for scheme, _ in _REGISTRIES)
_POSSIBLE = re.compile(r"\d{5}|NTR|U1111|SLCTR|RBR", re.IGNORECASE)  # stands in every number: most sentences hold none
# A number in such a sentence is that of a trial which the text compares itself with, not its own.
_OTHERS = re.compile(
    r"\b(?:unlike|in\s+contrast|contrary\s+to|similar(?:ly)?\s+to|consistent\s+with|previous(?:ly)?|earlier|prior|other|such\s+as|confirm\w*|await\w*)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.;!?])\s+(?=[A-Z])|\n")


def registrations(text: str) -> tuple[tuple[str, str], ...]:
    """(scheme, number) of every registration number of ``text`` in reading order, each once."""
    if _POSSIBLE.search(text) is None:
        return ()
    found = [
        (match.start(), scheme, normal_registration(scheme, match.group()))
        for scheme, pattern in _REGISTRIES
        for match in pattern.finditer(text)
    ]
    return tuple(dict.fromkeys((scheme, number) for _, scheme, number in sorted(found)))


def own_registrations(text: str) -> tuple[tuple[str, str], ...]:
    """Those that ``text`` does not name as other people's: "ClinicalTrials.gov number, NCT…", not "unlike in NCT… we found"."""
    named = ((sentence, registrations(sentence)) for sentence in _SENTENCE.split(text))
    return tuple(dict.fromkeys(number for sentence, numbers in named if numbers and not _OTHERS.search(sentence) for number in numbers))


def normal_registration(scheme: str, number: str) -> str:
    """One form of a number: no blanks, no prefix words; ``NCT01234567``, ``2015-001234-12``."""
    plain = re.sub(r"\s+", "", number)
    if scheme in {"eudract", "euct"}:
        found = re.search(r"\d{4}-\d{6}-\d{2}", plain)
        return found.group() if found else plain
    plain = plain.upper()
    return plain.replace("-", "", 1) if scheme in {"nct", "isrctn", "actrn"} else plain
