"""Tables as JATS and SPL use them, read whole: the HTML table model here, that of CALS in ``cals``.

Several bodies, heads and feet are row groups; a foot written before its body (HTML 4 order) is read after it, as shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from system.evidence.sources.builder import RawCell, RawTable
from system.evidence.sources.cals import read_group
from system.evidence.sources.inline import Inline, join
from system.evidence.sources.xml import Element, attribute, children, descendants, first, local

_ORDER = {"thead": 0, "tbody": 1, "tr": 1, "tfoot": 2}

INLINE = Inline(
    skip=frozenset({"fn", "graphic", "inline-graphic", "media", "object-id", "index-term", "supplementary-material"}),
    apart=frozenset(
        {"p", "title", "label", "list", "list-item", "def-item", "term", "def", "disp-quote", "tr", "td", "th", "attrib", "row", "entry"}
    ),
    breaks=frozenset({"break", "br", "hr"}),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one table element with the row group of each."""

    rows: tuple[tuple[RawCell, ...], ...]
    groups: tuple[int, ...]


def read_rows(table: Element, path: str, inline: Inline) -> Rows:
    """All rows of a table element in the order in which they are shown."""
    parts = [item for item in children(table, path) if item[0] in _ORDER]
    rows: list[tuple[RawCell, ...]] = []
    groups: list[int] = []
    for number, (name, part, part_path) in enumerate(sorted(parts, key=lambda item: _ORDER[item[0]])):
        for row, row_path in _rows_of(name, part, part_path):
            rows.append(tuple(_cells(row, row_path, inline, in_head=name == "thead")))
            groups.append(-1 if name == "tr" else number)  # bare rows form one group
    return Rows(tuple(rows), tuple(groups))


def _rows_of(name: str, part: Element, path: str) -> Iterator[tuple[Element, str]]:
    if name == "tr":
        yield part, path
    else:
        yield from ((row, row_path) for child, row, row_path in children(part, path) if child == "tr")


def _cells(row: Element, path: str, inline: Inline, *, in_head: bool) -> Iterator[RawCell]:
    for name, cell, cell_path in children(row, path):
        if name in ("td", "th"):
            yield RawCell(
                inline.marked(cell),
                cell_path,
                in_head or name == "th",
                _span(attribute(cell, "rowspan")),
                _span(attribute(cell, "colspan")),
            )


def _span(value: str) -> int:
    """A span attribute; what is not a small whole number counts as 1."""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 7 else 1


def read_table_wrap(wrap: Element, path: str, number: int) -> tuple[RawTable, ...]:
    """The tables of a ``table-wrap``: one a ``table`` element; an image-only one where there is none.

    Caption and footnotes belong to the first and the last of them. ``number`` (1-based) makes an id where the source has none.
    """
    name = attribute(wrap, "id") or f"table-{number}"
    caption = join(INLINE.marked(first(wrap, part)) for part in ("label", "caption"))
    notes = tuple(_footnotes(wrap))
    found = _tables(wrap, path)
    if not found:
        return (RawTable(name, path, (), caption=caption, footnotes=notes, image_only=True),)
    made: list[RawTable] = []
    for i, (table, table_path) in enumerate(found):
        rows = read_rows(table, table_path, INLINE) if local(table) == "table" else Rows(*read_group(table, table_path, INLINE))
        last = i == len(found) - 1
        suffix = f"-{i + 1}" if i else ""
        made.append(RawTable(name + suffix, table_path, rows.rows, rows.groups, "" if i else caption, notes if last else ()))
    return tuple(made)


def _tables(wrap: Element, path: str) -> list[tuple[Element, str]]:
    found: list[tuple[Element, str]] = []
    for name, child, child_path in children(wrap, path):
        if name == "table":
            groups = [(group, group_path) for kind, group, group_path in children(child, child_path) if kind == "tgroup"]
            found.extend(groups or [(child, child_path)])
        elif name == "tgroup":
            found.append((child, child_path))
        elif name in ("alternatives", "p", "table-wrap"):
            found.extend(_tables(child, child_path))
    return found


def _footnotes(wrap: Element) -> Iterator[str]:
    for foot in wrap:
        if local(foot) == "attrib":
            yield INLINE.marked(foot)
        if local(foot) != "table-wrap-foot":
            continue
        for _, note, _ in children(foot, ""):
            yield from _notes_of(note)
    for note in descendants(wrap, "fn"):
        if not any(local(up) in ("table-wrap-foot", "fn") for up in note.iterancestors()):
            yield INLINE.marked(note)  # a note written inside a cell or caption


def _notes_of(note: Element) -> Iterator[str]:
    name = local(note)
    if name == "fn-group":
        yield from (INLINE.marked(child) for child in note)
    elif name not in ("title", "label"):
        yield INLINE.marked(note)
