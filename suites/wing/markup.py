"""An independent reading of markup: which digits of a document touch on the printed page, and which text it has lost.

It walks a document's text and span map beside the XML they were made of and shares no code with the platform's parsers. Every number
of the text must stand in one text node, or in neighbouring ones that only typographic wrappers or the tokens of one line of MathML part.
"""

from __future__ import annotations

import dataclasses
import html.entities
import re
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from lxml import etree

Node = Any  # lxml ships no types

TOUCHING = frozenset(
    [
        "italic",
        "bold",
        "sc",
        "underline",
        "overline",
        "strike",
        "monospace",
        "roman",
        "sans-serif",
        "styled-content",
        "named-content",
        "ext-link",
        "uri",
        "email",
        "abbrev",
        "i",
        "b",
        "u",
        "em",
        "strong",
        "content",
        "linkHtml",
    ]
)
MATH_LINE = frozenset(["mn", "mi", "mo", "mtext", "mrow", "mstyle", "mpadded", "merror"])
MATH_BASED = frozenset(["msup", "msub", "msubsup", "munder", "mover", "munderover"])
UNREAD = frozenset(
    [
        "ref-list",
        "object-id",
        "annotation",
        "annotation-xml",
        "tex-math",
        "alt-text",
        "label",
        "permissions",
        "sec-meta",
        "mphantom",
    ]
)
READ = frozenset(["body", "back", "abstract", "floats-group", "AbstractText", "ArticleTitle", "text"])
NUMBER = re.compile(r"\d+(?:[.,·∙]\d+)*")
_PRINTED = re.compile(r"(?<![\d^])(?:\d{1,3}(?:[,\u2009\u202f]\d{3})+(?:[.·∙]\d+)?|\d+(?:[.·∙]\d+)?|[.·∙]\d+)(?![\d^])")
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")


class Entry(Protocol):
    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def transform(self) -> str: ...


class Read(Protocol):
    """A document as far as it is judged here."""

    @property
    def text(self) -> str: ...
    @property
    def span_map(self) -> Sequence[Entry]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """One text node: its squeezed text, the element that holds it, whether it stands behind that element (its tail)."""

    text: str
    holder: Node
    tail: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Numbers looked at, places that could not be laid beside the source, what is wrong, and text nodes that stand nowhere."""

    numbers: int
    unaligned: tuple[str, ...]
    problems: tuple[str, ...]
    lost: tuple[str, ...]


def judge(document: Read, raw: bytes) -> Finding:
    """Every number of ``document.text`` against the text nodes of ``raw``."""
    root = _record(_tree(raw))
    index = dict(_paths(root))
    inserted = {place for entry in document.span_map if entry.transform == "separator" for place in range(entry.start, entry.end)}
    grouped: dict[str, list[Entry]] = {}
    for entry in document.span_map:
        if entry.transform not in ("separator", "level"):
            grouped.setdefault(re.sub(r"#note\d+$", "#note", entry.path), []).append(entry)
    used: set[tuple[int, bool]] = set()
    numbers, unaligned, problems = 0, [], []
    for path, entries in grouped.items():
        pieces = [] if path.endswith("/@Label") else list(_pieces_at(path, index))
        found = _lay(document.text, entries, inserted, pieces)
        tokens = [match for entry in entries for match in _numbers(document.text, entry)]
        numbers += len(tokens)
        if found is None:
            used |= {(id(piece.holder), piece.tail) for piece in pieces}
            unaligned += [path] if tokens and not path.endswith("/@Label") else []
            continue
        used |= {(id(piece.holder), piece.tail) for piece in found.values()}
        for start, end in tokens:
            if any(place in inserted for place in range(start, end)):
                problems.append(f"{document.text[start:end]} at {start} is read across a separator ({path})")
            for left in range(start, end - 1):
                one, other = found[left], found[left + 1]
                if one is not other and not touches(one, other, pieces):
                    problems.append(f"{document.text[start:end]} at {start} stands in two text nodes that do not touch ({path})")
    return Finding(numbers, tuple(unaligned), tuple(problems), tuple(_lost(root, used)))


def stated(quotes: Sequence[str], value: float) -> bool:
    """Whether a number of a record is printed whole in one of its quotes, not as part of a power or a longer number."""
    for quote in quotes:
        for match in _PRINTED.finditer(quote):
            if abs(float(re.sub(r"[,\s]", "", match.group()).replace("·", ".").replace("∙", ".")) - abs(value)) < 1e-9:
                return True
    return False


def touches(one: Piece, other: Piece, pieces: Sequence[Piece]) -> bool:
    """Whether two text nodes stand side by side on one line of the page."""
    left, right = pieces.index(one), pieces.index(other)
    if any(piece.text for piece in pieces[left + 1 : right]):
        return False
    above, below = _chain(one), _chain(other)
    shared = next(node for node in above if node in below)
    between = (*above[: above.index(shared)], *below[: below.index(shared)])
    skipped = _between(one, other, shared)
    return all(_level(node, below) for node in between) and all(_name(node) in TOUCHING for node in skipped)


def _level(node: Node, below: Sequence[Node]) -> bool:
    name = _name(node)
    if name in MATH_BASED:  # the base of a script stands on the line, and only its left side is free
        return node in below and node[0] in below
    return name in TOUCHING or name in MATH_LINE


def _between(one: Piece, other: Piece, shared: Node) -> list[Node]:
    """Elements without text of their own that stand between the two, outside the paths that lead to them."""
    order = list(shared.iter())
    first, last = order.index(one.holder), order.index(other.holder)
    if one.tail:  # everything inside the holder stands before its tail
        first = max(order.index(node) for node in one.holder.iter())
    stop = last + (len(list(other.holder.iter())) if other.tail else 0)
    paths = {*_chain(one), *_chain(other)}
    if other.tail and other.holder is not one.holder and other.holder not in (*one.holder.iterancestors(),):
        paths -= {other.holder}
        last = stop
    return [node for node in order[first + 1 : last] if node not in paths and _name(node) not in MATH_LINE | MATH_BASED]


def _chain(piece: Piece) -> list[Node]:
    """The elements that hold a text node, innermost first."""
    holder = piece.holder.getparent() if piece.tail else piece.holder
    return [holder, *holder.iterancestors()]


def _lay(text: str, entries: Sequence[Entry], inserted: set[int], pieces: Sequence[Piece]) -> dict[int, Piece] | None:
    """The text node of every character of the entries; ``None`` where they cannot be laid over the text nodes in order."""
    shown = [(c, place) for e in entries for place in range(e.start, e.end) if place not in inserted for c in squeeze(text[place])]
    wanted = "".join(c for c, _ in shown)
    came: dict[tuple[int, int], tuple[int, int] | None] = {(0, 0): None}
    todo = [(0, 0)]
    while todo:
        number, place = todo.pop()
        if place == len(wanted):
            return _traced(came, (number, place), shown, pieces)
        if number == len(pieces):
            continue
        size = len(pieces[number].text)
        nexts = [(number + 1, place)]
        if size and wanted.startswith(pieces[number].text, place):
            nexts.append((number + 1, place + size))
        for state in nexts:
            if state not in came:
                came[state] = (number, place)
                todo.append(state)
    return None


def _traced(
    came: dict[tuple[int, int], tuple[int, int] | None], state: tuple[int, int], shown: Sequence[tuple[str, int]], pieces: Sequence[Piece]
) -> dict[int, Piece]:
    found: dict[int, Piece] = {}
    before = came[state]
    while before is not None:
        if state[1] > before[1]:
            found |= {shown[at][1]: pieces[before[0]] for at in range(before[1], state[1])}
        state, before = before, came[before]
    return found


def _numbers(text: str, entry: Entry) -> Iterator[tuple[int, int]]:
    for match in NUMBER.finditer(text, entry.start, entry.end):
        yield match.span()


def squeeze(text: str) -> str:
    """Without white space, control and format characters, decomposed: what is left is compared."""
    plain = unicodedata.normalize("NFD", text)
    return "".join(c for c in plain if not c.isspace() and unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Cn"))


def _pieces_at(path: str, index: dict[str, Node]) -> Iterator[Piece]:
    base, _, part = path.partition("#")
    outer, _, inner = base.partition("//") if base.count("//") and not base.startswith("//") else (base, "", "")
    node = index.get(outer)
    if part and node is not None:
        wrap = next((up for up in (node, *node.iterancestors()) if _name(up) in ("table-wrap", "table")), node)
        wrap = next((up for up in wrap.iterancestors() if _name(up) == "table-wrap"), wrap)
        for kept in _notes(wrap) if part == "note" else [child for child in wrap if _name(child) in ("label", "caption")]:
            yield from _pieces(kept)
    elif inner and node is not None:
        yield from _pieces(node)
    elif outer.endswith(("/title[1]", "/label[1]")):
        parent = index.get(outer.rpartition("/")[0])
        yield from _titles(parent) if parent is not None else ()
    elif node is not None:
        yield from _pieces(node)


def _notes(wrap: Node) -> Iterator[Node]:
    """The outermost notes of a table, in order; those inside its cells last."""
    found = [node for node in wrap.iter() if _name(node) in ("table-wrap-foot", "fn", "attrib", "footnote")]
    outer = [node for node in found if not any(up in found for up in node.iterancestors())]
    yield from sorted(outer, key=lambda node: node.getparent() is not wrap)


def _titles(parent: Node) -> Iterator[Piece]:
    for name in ("label", "title", "caption"):
        for child in parent:
            if _name(child) == name:
                yield from _pieces(child)


def _pieces(node: Node) -> Iterator[Piece]:
    yield Piece(squeeze(node.text or ""), node, tail=False)
    for child in _in_order(node):
        yield from _pieces(child)
        yield Piece(squeeze(child.tail or ""), child, tail=True)


def _in_order(node: Node) -> list[Node]:
    """Children as they are shown: the index of a root and scripts before a base come first."""
    kids = [child for child in node if isinstance(child.tag, str)]
    if _name(node) == "mroot":
        return kids[::-1]
    cut = next((at for at, child in enumerate(kids) if _name(child) == "mprescripts"), -1)
    return [*kids[cut + 1 :], *kids[:cut]] if cut >= 0 else kids


def _lost(root: Node, used: set[tuple[int, bool]]) -> Iterator[str]:
    for piece in _pieces(root):
        names = {_name(node) for node in _chain(piece)}
        read = names & READ and not names & UNREAD
        if piece.text and read and (id(piece.holder), piece.tail) not in used:
            yield f"{'/'.join(_name(node) for node in reversed(_chain(piece)))}: {piece.text[:60]}"


def _tree(raw: bytes) -> Node:
    text = _ENTITY.sub(_character, raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    text = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    text = re.sub(r"<!DOCTYPE(?:[^\[>\"']|\"[^\"]*\"|'[^']*')*(?:\[[^\]]*\]\s*)?>", "", text, count=1)
    return etree.fromstring(text.encode(), etree.XMLParser(resolve_entities=False, remove_comments=True, remove_pis=True))


def _character(match: re.Match[str]) -> str:
    name = match.group(1)
    return match.group() if name in ("lt", "gt", "amp", "quot", "apos") else html.entities.html5.get(f"{name};", f"&amp;{name};")


def _record(root: Node) -> Node:
    for name in ("article", "PubmedArticle", "PubmedBookArticle"):
        found = next((node for node in root.iter() if _name(node) == name), None)
        if found is not None:
            return found
    return root


def _paths(root: Node) -> Iterator[tuple[str, Node]]:
    start = f"/{_name(root)}"
    for top in (start, f"/{start}"):
        yield from _below(root, top)


def _below(node: Node, path: str) -> Iterator[tuple[str, Node]]:
    yield path, node
    counts: dict[str, int] = {}
    for child in node:
        if isinstance(child.tag, str):
            name = _name(child)
            counts[name] = counts.get(name, 0) + 1
            yield from _below(child, f"{path}/{name}[{counts[name]}]")


def _name(node: Node) -> str:
    return str(node.tag).rpartition("}")[2] if isinstance(node.tag, str) else ""
