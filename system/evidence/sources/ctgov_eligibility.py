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
_NUMBERED = r"(?:(?:[IVX]{1,5}|\d{1,2})(?:\.\d{1,2})*[.)]?\s+|[A-Z][.)]\s+)?"
_SIDE = (
    rf"^[*_#\s]*{_NUMBERED}(?P<head>(?P<before>(?:[\w'’/-]+\s+){{0,4}}?)(?P<side>inclusion|exclusion)"
    r"(?P<both>\s*(?:/|&|and|or)\s*(?:inclusion|exclusion))?"
)
_TITLED = re.compile(_SIDE + r"(?P<behind>(?:\s+[\w/()'’-]+){0,7}?))\s*:[*_\s]*(?P<rest>.*)$", re.IGNORECASE)
_BARE = re.compile(_SIDE + r"(?P<behind>\s+criteri(?:a|on|um))?)[*_\s]*(?P<rest>)$", re.IGNORECASE)
_STOPPED = re.compile(_SIDE + r"(?P<behind>\s+criteri(?:a|on|um)))\.[*_\s]*(?P<rest>.*)$", re.IGNORECASE)
# Who speaks of meeting, lacking or failing criteria states a criterion: such a line opens nothing, whatever stands around it.
_STATES = re.compile(
    r"\b(?:no|not|none|nor|neither|never|without|non|unable|cannot|\w+n['’]t|except\w*|unless|despite|outside|under|from|same|as|see|per|"
    r"(?:non-?|in|un|un-)?(?:lack|absen|fail|meet|met\b|satisf|fulfil|violat|deviat|contradict|compl[iy]|adher|match|eligible|exclud|waiv)\w*|"
    r"do|does|did|is|are|was|were|be|been|has|have|had|having|who|whose|that|which|if|can|may|might|must|should|will|would|reasons?|due)\b",
    re.IGNORECASE,
)
_UNDONE = re.compile(
    r"^\s+criteri\w+\s+(?:(?:is|are|was|were|be|been|has|have|had|has\s+been|have\s+been)\s+)?"
    r"(?:not|un-?met|met|violated|failed|waived|fulfilled|satisfied|absent|present|exceptions?)\b|n['’]t\b",
    re.IGNORECASE,
)
# What may stand before "inclusion" in a title: a heading without a colon, or a list item that is one.
_TITLES = (
    "key main major minor primary secondary general specific additional other further common core subject subjects patient patients "
    "participant participants study trial protocol clinical eligibility the and for of to in part phase cohort group arm stage step "
    "healthy volunteer volunteers control controls case cases donor donors recipient recipients caregiver caregivers child children "
    "infant infants mother maternal parent parents adult adults initial final overall important basic preoperative intraoperative "
    "postoperative pre-operative intra-operative post-operative screening randomisation randomization enrolment enrollment entry "
    "criteria following a b c d e i ii iii iv v 1 2 3 4 5"
)
_TITLE_WORDS = frozenset(_TITLES.split())


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


def heading_side(line: str, *, item: bool = False) -> tuple[str, str] | None:
    """``(side, text behind the colon)`` when the line opens the inclusion or exclusion criteria, else ``None``.

    A heading ends in a colon, or it is nothing but a title ("EXCLUSION CRITERIA", "**Key inclusion criteria**"); the text of a
    list ``item`` must be a title in either case. A line that states something about the criteria ("Not meeting the inclusion
    criteria", "No exclusion criteria:") is none. "Inclusion/exclusion criteria:" opens neither: its side is empty.
    """
    short = line if len(line) <= MAX_HEADING else ""
    found = _TITLED.match(line[:MAX_HEADING]) or _BARE.match(short) or _STOPPED.match(line[:MAX_HEADING])
    if not found or _STATES.search(found["before"]) or _UNDONE.search(re.sub(r"\([^)]*\)", " ", found["behind"] or "")):
        return None
    if (item or found.re is not _TITLED) and not _is_title(found):
        return None
    return ("" if found["both"] else found["side"].lower()), line[found.start("rest") :].strip()


def _is_title(found: re.Match[str]) -> bool:
    """Upper case, or known words of titles only; without a colon these begin with a capital letter or a mark."""
    head, begins = found["head"].strip(), found.string.lstrip()[:1]
    if head.isupper():
        return True
    marked = found.re is _TITLED or head[:1].isupper() or begins in set("*_#") or not found["before"]
    return marked and _TITLE_WORDS.issuperset(re.findall(r"[\w'’-]+", found["before"].lower()))


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
        heading = heading_side(item["text"], item=True) if item else None if self._wrapped(line) else heading_side(line)
        if heading and not (item and heading[1]):
            self._heading(item["text"] if item else line.strip(), heading)
        elif item:
            self._item(len(item["indent"]), item["text"], line.strip())
        elif self._continues(line):
            self.parts[-1].lines.append(line.strip())
        else:
            self._paragraph(line.strip())

    def _wrapped(self, line: str) -> bool:
        """Whether the line is the rest of the one before: it begins in lower case, and is indented below an item or no title by itself."""
        indent = len(line) - len(line.lstrip())
        continues = not self.blank and self._continues(line) and line.strip()[:1].islower()
        return continues and (0 <= self.base < indent or not line.rstrip().endswith(":"))

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
