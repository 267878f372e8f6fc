"""A table as a grid: every position knows the cell that covers it, its column's headings and its row's labels."""

from __future__ import annotations

import re

import msgspec

from system.evidence.extraction.measures import measure_of
from system.evidence.ir import Cell, Table

_MAX_POSITIONS = 200_000  # a grid above this is not read: spans multiply
_PERCENT = re.compile(r"\d{2}(?:[.·]\d)?\s?%")


class Heading(msgspec.Struct, frozen=True):
    """A cell used as a heading or a label, with its text."""

    cell: Cell
    text: str


class Grid:
    """Cells by position, with spans resolved. ``headings`` run from the outermost to the innermost."""

    def __init__(self, text: str, table: Table) -> None:
        self._text = text
        self._at: dict[tuple[int, int], Cell] = {}
        self._columns = table.columns
        covered = 0
        for cell in table.cells:
            covered += cell.row_span * cell.column_span
            if covered > _MAX_POSITIONS:
                break
            for row in range(cell.row, min(cell.row + cell.row_span, table.rows)):
                for column in range(cell.column, min(cell.column + cell.column_span, table.columns)):
                    self._at.setdefault((row, column), cell)
        self._headings = {column: self._walk(column, table.rows) for column in range(table.columns)}

    def cell(self, row: int, column: int) -> Cell | None:
        return self._at.get((row, column))

    def text_of(self, cell: Cell) -> str:
        return self._text[cell.start : cell.end]

    def headings(self, cell: Cell) -> tuple[Heading, ...]:
        """The headings above a cell in its column."""
        return self._headings.get(cell.column, {}).get(cell.row, ())

    def labels(self, cell: Cell) -> tuple[Heading, ...]:
        """The row's label and, behind it, the label of the group of rows it stands in."""
        first = self.cell(cell.row, 0)
        if first is None or first is cell:
            return ()
        own = (Heading(first, self.text_of(first).strip()),) if self.text_of(first).strip() else ()
        for row in range(cell.row - 1, -1, -1):
            head = self.cell(row, 0)
            if head is None or head.header or head is first:
                continue
            if self._is_group(row, head):
                return (*own, Heading(head, self.text_of(head).strip()))
        return own

    def _is_group(self, row: int, head: Cell) -> bool:
        others = {self.cell(row, column) for column in range(1, self._columns)} - {head, None}
        return bool(self.text_of(head).strip()) and not any(self.text_of(other).strip() for other in others if other is not None)

    def _walk(self, column: int, rows: int) -> dict[int, tuple[Heading, ...]]:
        """Headings in force for each row: a header cell below data starts anew, and so does a plain cell that names a measure."""
        in_force: tuple[Heading, ...] = ()
        fresh = True
        found: dict[int, tuple[Heading, ...]] = {}
        for row in range(rows):
            cell = self.cell(row, column)
            text = self.text_of(cell).strip() if cell is not None else ""
            if cell is not None and text and (cell.header or self._names_measure(text)):
                heading = Heading(cell, text)
                kept = in_force if fresh and cell.header else ()
                in_force = kept if heading in kept else (*kept, heading)
                fresh = True
            elif text:
                fresh = False
            found[row] = in_force
        return found

    def _names_measure(self, text: str) -> bool:
        """A plain cell in a table without a head: "RR [95% CI]" is a heading, "RR 0.8" is not."""
        return len(text) <= 60 and measure_of(text) is not None and not re.search(r"\d", _PERCENT.sub("", text))
