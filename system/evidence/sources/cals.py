"""Tables of the CALS (OASIS exchange) model: ``tgroup`` with ``row`` and ``entry``, spans by the names of columns.

A ``title`` of the table is part of its caption; an entry placed by ``colname`` leaves empty cells before it.
"""

from __future__ import annotations

from collections.abc import Iterator

from system.evidence.sources.builder import MAX_COLUMN_SPAN, RawCell
from system.evidence.sources.inline import Inline
from system.evidence.sources.xml import Element, attribute, children

_ORDER = {"thead": 0, "tbody": 1, "tfoot": 2}
_MAX_NUMBER = 6  # digits of a column number or row count; what is longer counts as missing

RowsOfCells = tuple[tuple[RawCell, ...], ...]


def read_group(group: Element, path: str, inline: Inline) -> tuple[RowsOfCells, tuple[int, ...]]:
    """The rows of one ``tgroup`` in the order in which they are shown, with the row group of each."""
    columns = _columns(group)
    parts = sorted((item for item in children(group, path) if item[0] in _ORDER), key=lambda item: _ORDER[item[0]])
    rows: list[tuple[RawCell, ...]] = []
    groups: list[int] = []
    for number, (name, part, part_path) in enumerate(parts):
        busy: dict[int, int] = {}  # rows that a column is still covered by a cell above
        for kind, row, row_path in children(part, part_path):
            if kind == "row":
                rows.append(tuple(_cells(row, row_path, inline, columns, busy, in_head=name == "thead")))
                groups.append(number)
    return tuple(rows), tuple(groups)


def _columns(group: Element) -> dict[str, tuple[int, int]]:
    """First and last column (0-based) by name: those of ``colspec``, and the ranges of ``spanspec``."""
    named: dict[str, tuple[int, int]] = {}
    column = -1
    for kind, spec, _ in children(group, ""):
        if kind == "colspec":
            given = _number(attribute(spec, "colnum"))
            column = given - 1 if given else column + 1
            named[attribute(spec, "colname")] = (column, column)
        elif kind == "spanspec":
            first, last = named.get(attribute(spec, "namest")), named.get(attribute(spec, "nameend"))
            if first and last:
                named[attribute(spec, "spanname")] = (first[0], last[1])
    return named


def _cells(
    row: Element, path: str, inline: Inline, columns: dict[str, tuple[int, int]], busy: dict[int, int], *, in_head: bool
) -> Iterator[RawCell]:
    covered = {column for column, rows in busy.items() if rows > 0}
    for column in covered:
        busy[column] -= 1
    at = 0
    for name, entry, entry_path in children(row, path):
        if name not in ("entry", "entrytbl"):
            continue
        start, end = _place(entry, columns)
        while at in covered or (start is not None and at < min(start, MAX_COLUMN_SPAN)):
            if at not in covered:
                yield RawCell("", entry_path, in_head)
            at += 1
        width = max(end - (start if start is not None else end) + 1, 1)
        more = _number(attribute(entry, "morerows"))
        busy |= dict.fromkeys(range(at, at + min(width, MAX_COLUMN_SPAN)), more)
        yield RawCell(inline.marked(entry), entry_path, in_head, more + 1, width)
        at += width


def _place(entry: Element, columns: dict[str, tuple[int, int]]) -> tuple[int | None, int]:
    """The first column that an entry asks for (``None``: the next free one) and its last."""
    for name in (attribute(entry, "spanname"), attribute(entry, "colname")):
        if name in columns:
            return columns[name]
    first, last = columns.get(attribute(entry, "namest")), columns.get(attribute(entry, "nameend"))
    return (first[0], last[1] if last else first[1]) if first else (None, 0)


def _number(value: str) -> int:
    return int(value) if value.isascii() and value.isdigit() and len(value) <= _MAX_NUMBER else 0
