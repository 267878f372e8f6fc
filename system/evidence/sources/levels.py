"""Marked text: running text that remembers where the page leaves the line, and what keeps digits apart there.

A reader of markup hands over one string in which marks (noncharacters that no source may hold) open and close what is
printed off the line: superscripts, subscripts, citations, parts of a formula. :func:`resolve` turns it into plain text. Where two
pieces meet whose digits do not touch on the page, it inserts a separator; every separator and every piece off the line is named by
its range, so that the span map knows them and no figure is read across them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

LEVEL = "\ufdd0"  # opens a piece off the line that needs no joint: the reader inserts its own
RAISED = "\ufdd1"  # opens a superscript
LOWERED = "\ufdd2"  # opens a subscript
CITED = "\ufdd3"  # opens a citation or cross reference
NOTED = "\ufdd4"  # opens a raised citation
END = "\ufdd5"  # closes what was opened last
APART = "\ufdd6"  # two pieces meet here that do not touch on the page
INSERTED = "\ufdd7"  # the one character behind is a separator: it does not stand in the source

_MARK = re.compile(f"([{LEVEL}-{INSERTED}])")
_OPENS = frozenset({LEVEL, RAISED, LOWERED, CITED, NOTED})
_LOOK = 24  # characters of a piece that decide how it is joined; no exponent is longer

# C0 and C1 (those that are white space are turned into a space first, so no words are glued), bidi embeddings, overrides and
# isolates, invisible characters that would defeat an exact match, noncharacters (the marks above), and tag characters.
UNWANTED = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u200b\u202a-\u202e\u2060\u2066-\u2069\ufdd0-\ufdef\ufeff\U000e0000-\U000e007f]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_ORDINALS = frozenset({"st", "nd", "rd", "th"})
_EXPONENT = re.compile(r"[-+−–]?\d+(?:[.·]\d+)?|[-+−–]?[.·]\d+")
_POINTS = frozenset(".·∙,'’\u2009\u202f")
_SIGNS = frozenset("-−–‐‑﹣－+")


class Marked(str):
    """A string with marks; what is joined of several must be made ``Marked`` again."""

    __slots__ = ()


Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Canonical text; ``separators`` and ``levels`` are half-open code point ranges of it, ``transform`` names what was done."""

    text: str
    transform: str
    separators: tuple[Range, ...] = ()
    levels: tuple[Range, ...] = ()


def resolve(raw: str) -> Resolved:
    """The canonical form of ``raw``: NFC, white space collapsed, marks resolved where it is :class:`Marked`; idempotent on its text."""
    if not isinstance(raw, Marked) or not _MARK.search(raw):
        return _plain(raw)
    return _Resolver(_MARK.split(raw)).run()


def text_of(raw: str) -> str:
    """The canonical text alone."""
    return resolve(raw).text


def unmarked(raw: str) -> str:
    """The text as the source has it, line breaks included, without marks: for readers that look for names, not for figures."""
    return _MARK.sub("", raw)


def _plain(raw: str) -> Resolved:
    text, steps = _characters(raw)
    collapsed = " ".join(text.split())
    if collapsed != text:
        steps.append("whitespace")
    return Resolved(collapsed, "+".join(steps) or "identity")


def _characters(raw: str) -> tuple[str, list[str]]:
    """``raw`` without unwanted characters, in NFC; lone surrogates (possible in JSON) become U+FFFD, because no store holds them."""
    steps: list[str] = []
    text = raw
    if not text.isascii() or not text.isprintable():
        text = _SURROGATE.sub("\ufffd", UNWANTED.sub("", text))
        if text != raw:
            steps.append("control")
    if not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
        steps.append("nfc")
    return text, steps


def merges(before: str, behind: str) -> bool:
    """Whether a number could be read across the place where ``before`` ends and ``behind`` begins."""
    last, first = before[-1:], behind[:1]
    if last.isdecimal():
        return first.isdecimal() or (first in _POINTS and behind[1:2].isdecimal())
    if last and last in _POINTS:
        return first.isdecimal()
    if last and last in _SIGNS and not (before[-2:-1].isalnum() or before[-2:-1] in (")", "]", "%")):
        return first.isdecimal() or (first in _POINTS and behind[1:2].isdecimal())
    return False


def _joint(kind: str, before: str, inner: str, *, slashed: bool) -> str:
    """The separator between ``before`` and the piece ``inner`` off the line: 10 to the 5th is not 105, 0.05 with note 2 not 0.052."""
    last, first = before[-1:], inner[:1]
    if not last or last.isspace() or not first:
        return ""
    number = any(c.isdecimal() for c in inner)
    if kind == RAISED and (last.isdecimal() or last == ")") and _EXPONENT.fullmatch(inner):
        return " " if slashed else "^"
    if kind == LOWERED and last.isdecimal() and number:
        return "_"
    apart = last.isdecimal() or last in ")]%"
    word = first.isalnum() and inner not in _ORDINALS
    joined = {
        RAISED: apart and inner not in _ORDINALS and (word or number),
        NOTED: inner not in _ORDINALS and ((apart and (word or number)) or (last.isalpha() and word)),
        CITED: number and (last.isdecimal() or ((apart or last.isalpha()) and first.isdecimal())),
    }
    return " " if kind != LEVEL and (joined.get(kind) or merges(before, inner)) else ""


@dataclass(slots=True)
class _Open:
    """A piece off the line that is not closed yet. ``attached`` is a script of a word (m2, H2O): it cannot be read as a number."""

    kind: str
    start: int
    attached: bool


@dataclass(slots=True)
class _Resolver:
    parts: list[str]  # text at even places, marks at odd ones
    out: list[str] = field(default_factory=list)
    length: int = 0
    before: str = ""  # the last characters written
    gap: bool = False  # white space stands before what comes next
    apart: bool = False  # a boundary stands before what comes next
    cited: bool = False  # a citation that is a number has just been closed
    silent: bool = False  # a separator has just been written: white space behind it is not shown
    opened: list[_Open] = field(default_factory=list)
    separators: list[Range] = field(default_factory=list)
    levels: list[Range] = field(default_factory=list)
    steps: dict[str, None] = field(default_factory=dict)

    def run(self) -> Resolved:
        insert = False
        for place, part in enumerate(self.parts):
            if place % 2:
                insert = part == INSERTED
                if not insert:
                    self._mark(place, part)
            elif insert:
                self._separate(part[:1])
                self._text(part[1:])
            else:
                self._text(part)
        text = "".join(self.out)
        return Resolved(text, "+".join(self.steps) or "identity", tuple(self.separators), tuple(self.levels))

    def _mark(self, place: int, mark: str) -> None:
        if mark in _OPENS:
            self._open(place, mark)
            return
        self.apart = True
        if mark == END and self.opened:
            piece = self.opened.pop()
            if self.length <= piece.start:
                return
            inside = "".join(self.out[-_LOOK:])[-min(self.length - piece.start, _LOOK) :] if piece.kind in (CITED, NOTED) else ""
            self.cited = inside[-1:].isdecimal() and not any(c.isalpha() for c in inside)
            if not piece.attached:
                self.levels.append((piece.start, self.length))

    def _open(self, place: int, kind: str) -> None:
        inner, complete = self._inner(place)
        before = " " if self.gap else self.before
        joint = _joint(kind, before, inner if complete else f"{inner}…", slashed=self._slashed(place))
        attached = not joint and kind in (RAISED, LOWERED) and before[-1:].isalpha() and inner[:1].isalnum()
        if joint:
            self._separate(joint)
        self.apart = True
        start = self.length + (1 if self.gap and self.length else 0)
        self.opened.append(_Open(kind, start, attached))

    def _inner(self, place: int) -> tuple[str, bool]:
        """The first characters of the piece that is opened here, up to a mark behind its first text, and whether that is all."""
        for part in self.parts[place + 1 : place + 2 * _LOOK : 2]:
            if part.strip():
                shown = " ".join(part.split())
                return shown[:_LOOK], len(shown) <= _LOOK
        return "", True

    def _slashed(self, place: int) -> bool:
        """Whether the piece is the upper part of a fraction written as raised and lowered digits with a slash between."""
        behind = self.parts[place + 2 : place + 5]
        return len(behind) == 3 and behind[0] == END and behind[1].strip() in ("/", "⁄") and behind[2] == LOWERED

    def _text(self, part: str) -> None:
        text, steps = _characters(part)
        self.steps |= dict.fromkeys(steps)
        shown = " ".join(text.split())
        if shown != text:
            self.steps["whitespace"] = None
        self.gap = (self.gap or text[:1].isspace()) and not self.silent
        if not shown:
            return
        if self.gap:
            self._write(" " if self.length else "")
        elif self._separated(shown):
            self._separate(" ")
        self.gap = text[-1:].isspace()
        self.apart = self.cited = self.silent = False
        self._write(shown)

    def _separated(self, shown: str) -> bool:
        if not self.before or self.silent:
            return False
        if self.apart and (merges(self.before, shown) or (self.cited and len(shown) > 1 and shown[:2].isalpha())):
            return True
        return not unicodedata.is_normalized("NFC", self.before + shown[:8])

    def _separate(self, mark: str) -> None:
        closing = mark in (")", "]", ":")
        if self.gap and self.length and not closing:
            self._write(" ")
        if mark == " " and (not self.length or self.before.endswith(" ")):
            return
        self.separators.append((self.length, self.length + len(mark)))
        self._write(mark)
        self.gap, self.silent = False, not closing

    def _write(self, text: str) -> None:
        self.out.append(text)
        self.length += len(text)
        self.before = (self.before + text)[-8:] if text else self.before
