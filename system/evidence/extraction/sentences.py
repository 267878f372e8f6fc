"""Sentences as exact ranges of the text: nothing is trimmed, normalised or joined, so a sentence can be quoted."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

# After these a full stop does not end a sentence (compared in lower case, without the stop).
_ABBREVIATIONS = frozenset(
    [
        "vs",
        "v",
        "e.g",
        "i.e",
        "al",
        "fig",
        "figs",
        "eq",
        "eqs",
        "ref",
        "refs",
        "tab",
        "no",
        "nos",
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
        "st",
        "ca",
        "cf",
        "approx",
        "resp",
        "incl",
        "excl",
        "vol",
        "pp",
        "ed",
        "eds",
        "dept",
        "univ",
        "inc",
        "ltd",
        "co",
        "corp",
        "jr",
        "sr",
        "i.v",
        "i.m",
        "s.c",
        "p.o",
        "b.i.d",
        "t.i.d",
        "q.i.d",
        "q.d",
        "subsp",
        "sp",
        "spp",
        "var",
        "max",
        "min",
        "avg",
        "est",
        "et",
    ]
)
_CLOSERS = "\"'”’)]"
_OPENERS = {"(": ")", "[": "]"}
_LONGEST_BRACKET = 240  # an opening bracket without its partner within this many characters is ignored
_STOP = re.compile(r"[.!?…]+")
_WORD_BEFORE = re.compile(r"[\w.]+$")


class Sentence(msgspec.Struct, frozen=True):
    """A half-open range of code points without surrounding white space."""

    start: int
    end: int


def sentences(text: str, start: int = 0, end: int | None = None) -> tuple[Sentence, ...]:
    """The sentences of ``text[start:end]`` in reading order; together they hold every non-blank character of it."""
    stop = len(text) if end is None else end
    cuts = [*_boundaries(text, start, stop), stop]
    found: list[Sentence] = []
    left = start
    for right in cuts:
        trimmed = _trim(text, left, right)
        if trimmed is not None:
            found.append(trimmed)
        left = right
    return tuple(found)


def sentence_at(text: str, position: int, start: int, end: int) -> Sentence | None:
    """The sentence of ``text[start:end]`` that holds ``position``."""
    return next((s for s in sentences(text, start, end) if s.start <= position < s.end), None)


def _boundaries(text: str, start: int, end: int) -> Iterator[int]:
    closed_at = start
    brackets = _bracket_ends(text, start, end)
    for match in _STOP.finditer(text, start, end):
        if any(opened < match.start() < closed for opened, closed in brackets) or match.start() < closed_at:
            continue
        after = match.end()
        while after < end and text[after] in _CLOSERS:
            after += 1
        if _ends_sentence(text, start, match, after, end):
            closed_at = after
            yield after


def _ends_sentence(text: str, start: int, stop: re.Match[str], after: int, end: int) -> bool:
    if after >= end:
        return False
    if not text[after].isspace():
        return False
    rest = text[after:end].lstrip()
    if not rest or rest[0].islower():
        return False
    if stop.group() != ".":
        return True
    word = _WORD_BEFORE.search(text, max(start, stop.start() - 24), stop.start())
    last = word.group().lower() if word else ""
    return last not in _ABBREVIATIONS and not _initial(last, text[stop.start() - 1], rest)


def _initial(word: str, character: str, rest: str) -> bool:
    """``J. Smith`` and ``P. falciparum`` are names; ``vitamin C. We`` ends a sentence only before a common starter."""
    if len(word) != 1 or not character.isupper():
        return False
    return re.match(r"(?:The|We|In|This|These|There|It|At|No|All|Of|After|However)\b", rest) is None


def _bracket_ends(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Ranges between an opening bracket and its partner; a range without one is no range."""
    ranges: list[tuple[int, int]] = []
    stack: list[tuple[int, str]] = []
    for position in range(start, end):
        character = text[position]
        if character in _OPENERS:
            stack.append((position, _OPENERS[character]))
        elif stack and character == stack[-1][1]:
            opened, _ = stack.pop()
            if position - opened <= _LONGEST_BRACKET:
                ranges.append((opened, position))
    return ranges


def _trim(text: str, left: int, right: int) -> Sentence | None:
    while left < right and text[left].isspace():
        left += 1
    while right > left and text[right - 1].isspace():
        right -= 1
    return Sentence(left, right) if left < right else None
