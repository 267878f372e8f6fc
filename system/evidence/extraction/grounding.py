"""From places in the source back to the text of a document: what a registry record quotes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from system.evidence.ir import Document, Span, Table


def ground(document: Document, start: int, end: int) -> Span:
    """The span of ``document.text[start:end]``; raises ``ValueError`` for an empty or foreign range."""
    return document.span(start, end)


@dataclass(frozen=True, slots=True)
class Grounds:
    """A document with its places and tables indexed. Made once, read by all extractors of that document."""

    document: Document
    _places: dict[str, tuple[int, int]] = field(default_factory=dict)
    _tables: dict[str, Table] = field(default_factory=dict)
    _rows: dict[str, dict[int, tuple[int, int]]] = field(default_factory=dict)
    _row_of: dict[int, tuple[int, int]] = field(default_factory=dict)  # start of a cell's text -> its row

    @classmethod
    def of(cls, document: Document) -> Grounds:
        made = cls(document)
        for entry in document.span_map:
            made._places.setdefault(entry.path, (entry.start, entry.end))
        for table in document.tables:
            made._tables.setdefault(table.table_id, table)
            rows = made._rows.setdefault(table.table_id, _row_ranges(table))
            made._row_of.update((cell.start, rows[cell.row]) for cell in table.cells if cell.end > cell.start)
        return made

    def at(self, path: str) -> Span | None:
        """The text that was read from ``path`` (the first place that shows it); ``None`` where nothing was rendered."""
        place = self._places.get(path)
        return ground(self.document, *place) if place else None

    def all_at(self, paths: Iterable[str]) -> tuple[Span, ...]:
        """The spans of those paths that were rendered, in the given order."""
        return tuple(span for path in paths if (span := self.at(path)))

    def rows_at(self, paths: Iterable[str]) -> tuple[Span, ...]:
        """The whole table rows that show those paths, each once; outside tables the text of the path alone."""
        places = dict.fromkeys(self._row_of.get(place[0], place) for path in paths if (place := self._places.get(path)))
        return tuple(ground(self.document, *place) for place in places)

    def table(self, table_id: str) -> Span | None:
        """The whole body of a table as one span."""
        table = self._tables.get(table_id)
        if table is None:
            return None
        block = self.document.blocks[table.block_index]
        return ground(self.document, block.start, block.end)

    def row(self, table_id: str, row: int) -> Span | None:
        """One row of a table, from its first to its last cell that holds text."""
        place = self._rows.get(table_id, {}).get(row)
        return ground(self.document, *place) if place else None


def _row_ranges(table: Table) -> dict[int, tuple[int, int]]:
    ranges: dict[int, tuple[int, int]] = {}
    for cell in table.cells:
        if cell.end > cell.start:
            start, end = ranges.get(cell.row, (cell.start, cell.end))
            ranges[cell.row] = (min(start, cell.start), max(end, cell.end))
    return ranges
