"""The registry's eligibility text (a light Markdown) as headings, list items and paragraphs, each with its side."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

INCLUSION = "inclusion"
EXCLUSION = "exclusion"
MAX_HEADING = 160  # characters within which a heading must have ended
MAX_SUBHEADING = 120  # characters: a longer line that ends with a colon is a statement

_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!<>^~|&=])")
_ITEM = re.compile(r"^(?P<indent>\s*)(?P<marker>[*•·\-–]|\(?\d{1,3}[.)]|\(?[A-Za-z][.)]|\(?[ivxIVX]{1,5}[.)])\s+(?P<text>\S.*)$")
_SIDE = r"^[*_#\s]*(?P<head>(?:[\w'/-]+\s+){0,4}?(?P<side>inclusion|exclusion)(?P<both>\s*(?:/|&|and|or)\s*(?:inclusion|exclusion))?"
_TITLED = re.compile(_SIDE + r"(?:\s+[\w/()'-]+){0,7}?)\s*:[*_\s]*(?P<rest>.*)$", re.IGNORECASE)
_BARE = re.compile(_SIDE + r"(?:\s+criteri(?:a|on|um))?)[*_\s]*(?P<rest>)$", re.IGNORECASE)


class PartKind(enum.Enum):
    """What a piece of the text is."""

    HEADING = "heading"
    ITEM = "item"
    PARAGRAPH = "paragraph"


@dataclass(frozen=True, slots=True)
class Part:
    """One piece in reading order; ``side`` is ``inclusion``, ``exclusion`` or empty where no heading has said it yet."""

    kind: PartKind
    side: str
    text: str


def unescape(text: str) -> str:
    r"""Registry Markdown without its escapes: ``m\^2`` and ``\<`` are ``m^2`` and ``<``."""
    return _ESCAPE.sub(r"\1", text)


def heading_side(line: str) -> tuple[str, str] | None:
    """``(side, text behind the colon)`` when the line opens the inclusion or exclusion criteria, else ``None``.

    "Inclusion/exclusion criteria:" opens neither: its side is empty.
    """
    found = _TITLED.match(line[:MAX_HEADING]) or (_BARE.match(line) if len(line) <= MAX_HEADING else None)
    if not found:
        return None
    return ("" if found["both"] else found["side"].lower()), line[found.start("rest") :].strip()


@dataclass(slots=True)
class _Open:
    """A part that may still grow."""

    kind: PartKind
    side: str
    lines: list[str]


@dataclass(slots=True)
class _Reader:
    """Walks the lines; ``base`` and ``blank`` tell whether a line continues the last part."""

    parts: list[_Open] = field(default_factory=list)
    side: str = ""
    base: int = -1  # indent of the current list's items, -1 outside a list
    blank: bool = True

    def line(self, line: str) -> None:
        if not line.strip():
            self.blank = True
            return
        self._place(line)
        self.blank = False

    def _place(self, line: str) -> None:
        item = _ITEM.match(line)
        heading = heading_side(item["text"] if item else line)
        if heading and not (item and heading[1]):
            self._heading(item["text"] if item else line.strip(), heading)
        elif item:
            self._item(len(item["indent"]), item["text"], line.strip())
        elif self._continues(line):
            self.parts[-1].lines.append(line.strip())
        else:
            self._paragraph(line.strip())

    def _heading(self, line: str, heading: tuple[str, str]) -> None:
        self.side, rest = heading
        self.base = -1
        title = line.removesuffix(rest) if rest else line
        self._open(PartKind.HEADING, title.strip("*_# \t"))
        if rest:
            self._open(PartKind.PARAGRAPH, rest)

    def _item(self, indent: int, text: str, marked: str) -> None:
        if self.base >= 0 and indent > self.base:
            self.parts[-1].lines.append(marked)  # a nested item only means something together with its parent
            return
        self.base = indent
        self._open(PartKind.ITEM, text)

    def _continues(self, line: str) -> bool:
        if not self.parts or self.parts[-1].kind is PartKind.HEADING:
            return False
        indented = self.base >= 0 and len(line) - len(line.lstrip()) > self.base
        return not self.blank or indented

    def _paragraph(self, text: str) -> None:
        self.base = -1
        short = text.endswith(":") and len(text) <= MAX_SUBHEADING
        self._open(PartKind.HEADING if short else PartKind.PARAGRAPH, text)

    def _open(self, kind: PartKind, text: str) -> None:
        self.parts.append(_Open(kind, self.side, [text]))


def split_criteria(text: str) -> tuple[Part, ...]:
    """The text's parts in reading order, escapes removed; an item carries its nested items."""
    reader = _Reader()
    for line in unescape(text).replace("\r\n", "\n").split("\n"):
        reader.line(line)
    return tuple(Part(part.kind, part.side, "\n".join(part.lines)) for part in reader.parts)
