r"""TextBuilder: the one way to a :class:`Document`; it owns normalisation and therefore every offset.

A parser hands over raw strings in reading order. The builder normalises each, appends it and answers with the exact
half-open code point range. Blocks are separated by one blank line, table cells by ``" | "``, table rows by ``"\n"``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from system.evidence.ir import LEVEL, SEPARATOR, Block, BlockKind, Cell, Document, Metadata, Source, SpanMapEntry, Table, document_id
from system.evidence.sources.levels import Resolved, resolve
from system.platform.errors import BadInput

BLOCK_SEPARATOR = "\n\n"
CELL_SEPARATOR = " | "
ROW_SEPARATOR = "\n"

MAX_TEXT = 5_000_000  # code points; the longest real label has less than 200,000
MAX_TITLE = 200  # code points of one step of a section path
MAX_COLUMN_SPAN = 1_000  # HTML's own limit
MAX_GRID_SLOTS = 1_000_000  # cells times their spans: a table beyond this is an attack, not a table


def normalise(raw: str) -> tuple[str, str]:
    """The canonical form of ``raw`` and the transform's name: ``identity`` or ``control``, ``nfc``, ``whitespace`` joined by ``+``."""
    resolved = resolve(raw)
    return resolved.text, resolved.transform


def clean(raw: str | None) -> str:
    """The canonical form of ``raw`` alone, for metadata; ``None`` gives the empty string."""
    return resolve(raw).text if raw else ""


@dataclass(frozen=True, slots=True)
class RawCell:
    """A table cell as the source has it. ``row_span`` 0 means "to the end of the row group", as in HTML."""

    text: str
    path: str
    header: bool = False
    row_span: int = 1
    column_span: int = 1


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as the source has it: rows in reading order, each with its row group (spans do not leave a group)."""

    table_id: str
    path: str
    rows: Sequence[Sequence[RawCell]]
    groups: Sequence[int] = ()  # one number a row; empty: all rows are one group
    caption: str = ""
    footnotes: Sequence[str] = ()
    image_only: bool = False
    label: str | None = None  # label of the TABLE block


@dataclass(frozen=True, slots=True)
class _Placed:
    """A raw cell with its resolved place in the grid."""

    raw: RawCell
    row: int
    column: int
    row_span: int
    column_span: int


def _group_ends(count: int, groups: Sequence[int]) -> list[int]:
    """For every row, the first row behind its group."""
    ends = [count] * count
    for row in range(count - 2, -1, -1):
        ends[row] = ends[row + 1] if not groups or groups[row] == groups[row + 1] else row + 1
    return ends


def resolve_grid(rows: Sequence[Sequence[RawCell]], groups: Sequence[int], place: str) -> Iterator[_Placed]:
    """Every cell with its row, column and clamped spans; raises ``BadInput`` for a grid of absurd size."""
    ends = _group_ends(len(rows), groups)
    busy_until: list[int] = []  # per column: the first row that is free again
    slots = 0
    for row, cells in enumerate(rows):
        column = 0
        for cell in cells:
            while column < len(busy_until) and busy_until[column] > row:
                column += 1
            width = min(max(cell.column_span, 1), MAX_COLUMN_SPAN)
            height = min(cell.row_span if cell.row_span > 0 else len(rows), ends[row] - row)
            slots += width * height
            if slots > MAX_GRID_SLOTS or column + width > MAX_GRID_SLOTS:
                raise BadInput(f"table grid exceeds {MAX_GRID_SLOTS} slots", place, "correct the rowspan/colspan values or split the table")
            busy_until.extend([0] * (column + width - len(busy_until)))
            busy_until[column : column + width] = [max(busy, row + height) for busy in busy_until[column : column + width]]
            yield _Placed(cell, row, column, height, width)
            column += width


@dataclass(slots=True)
class TextBuilder:
    """Collects blocks and tables in reading order; :meth:`build` makes the document. Not for use by several threads."""

    _parts: list[str] = field(default_factory=list)
    _length: int = 0
    _blocks: list[Block] = field(default_factory=list)
    _tables: list[Table] = field(default_factory=list)
    _span_map: list[SpanMapEntry] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """Whether no block was added so far."""
        return not self._blocks

    def add_block(
        self, kind: BlockKind, raw_text: str, section: str, path: str, loinc: str | None = None, label: str | None = None
    ) -> Block | None:
        """Append one block; ``None`` where nothing is left of ``raw_text`` after normalisation (nothing is added then)."""
        resolved = resolve(raw_text)
        if not resolved.text:
            return None
        start = self._open()
        self._append_mapped(resolved, path)
        return self._close(kind, start, section, path, loinc, label)

    def add_table(self, table: RawTable, section: str, loinc: str | None = None) -> Table:
        """Append caption (block CAPTION), body (block TABLE) and footnotes (blocks FOOTNOTE) of one table.

        Caption and footnotes carry the table's id as label, so a chunker can keep them together. A table without any text
        in its cells (``image_only``) is represented by a TABLE block that holds its caption, or its id where there is none.
        """
        placed = list(resolve_grid(table.rows, table.groups, table.path))
        has_text = any(clean(item.raw.text) for item in placed)
        caption = clean(table.caption)
        if has_text:
            self.add_block(BlockKind.CAPTION, table.caption, section, f"{table.path}#caption", loinc, table.table_id)
            start = self._open()
            cells = self._append_rows(placed)
        else:
            start = self._open()
            fallback = resolve(table.table_id) if clean(table.table_id) else resolve("table")
            self._append_mapped(resolve(table.caption) if caption else fallback, f"{table.path}#caption" if caption else table.path)
            cells = tuple(Cell(p.row, p.column, p.row_span, p.column_span, p.raw.header, start, start) for p in placed)
        block = self._close(BlockKind.TABLE, start, section, table.path, loinc, table.label)
        kept: list[str] = []
        for i, note in enumerate(table.footnotes):
            if self.add_block(BlockKind.FOOTNOTE, note, section, f"{table.path}#note{i}", loinc, table.table_id) is not None:
                kept.append(clean(note))
        made = Table(
            table_id=table.table_id,
            block_index=block.path_index,
            caption=caption,
            section=clean(section),
            rows=len(table.rows),
            columns=max((p.column + p.column_span for p in placed), default=0),
            cells=cells,
            footnotes=tuple(kept),
            image_only=table.image_only,
        )
        self._tables.append(made)
        return made

    def build(
        self,
        source: Source,
        native_id: str,
        version: str,
        raw: bytes,
        metadata: Metadata,
        parser: str,
        *,
        doc_id: str = "",
        language: str = "en",
    ) -> Document:
        """The document; ``doc_id`` is derived from the rest where it is not given. Raises ``BadInput`` when there is no text at all."""
        if not self._blocks:
            raise BadInput("the document holds no text", f"{source.value}:{native_id}", "send a document with a title or a body")
        return Document(
            doc_id=doc_id or document_id(source, native_id, version, raw),
            source=source,
            native_id=native_id,
            version=version,
            language=language,
            text="".join(self._parts),
            blocks=tuple(self._blocks),
            tables=tuple(self._tables),
            span_map=tuple(self._span_map),
            metadata=metadata,
            raw_sha256=hashlib.sha256(raw).hexdigest(),
            parser=parser,
        )

    def _append_rows(self, placed: Sequence[_Placed]) -> tuple[Cell, ...]:
        cells: list[Cell] = []
        rows: dict[int, list[_Placed]] = {}
        for item in placed:
            rows.setdefault(item.row, []).append(item)
        fresh = True
        for row in sorted(rows):
            texts = [resolve(item.raw.text) for item in rows[row]]
            silent = not any(resolved.text for resolved in texts)  # a row of empty cells has no line; its cells are empty ranges
            if not silent and not fresh:
                self._append(ROW_SEPARATOR)
            fresh = fresh and silent
            for i, (item, resolved) in enumerate(zip(rows[row], texts, strict=True)):
                if i and not silent:
                    self._append(CELL_SEPARATOR)
                start = self._length
                self._append_mapped(resolved, item.raw.path)
                cells.append(Cell(item.row, item.column, item.row_span, item.column_span, item.raw.header, start, self._length))
        return tuple(cells)

    def _open(self) -> int:
        if self._blocks:
            self._append(BLOCK_SEPARATOR)
        return self._length

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._length > MAX_TEXT:
            raise BadInput(f"the document has more than {MAX_TEXT} characters", f"character {MAX_TEXT}", "send it in smaller documents")

    def _append_mapped(self, resolved: Resolved, path: str) -> None:
        """Append text with its place; its separators and what stands off the line are entries behind it, with the same path."""
        start = self._length
        self._append(resolved.text)
        if not resolved.text:
            return
        entries = [(0, len(resolved.text), resolved.transform)]
        entries += [(first, last, SEPARATOR) for first, last in resolved.separators]
        entries += [(first, last, LEVEL) for first, last in resolved.levels]
        self._span_map.extend(SpanMapEntry(start + first, start + last, path, transform) for first, last, transform in entries)

    def _close(self, kind: BlockKind, start: int, section: str, path: str, loinc: str | None, label: str | None) -> Block:
        block = Block(len(self._blocks), kind, start, self._length, clean(section), path, loinc, label)
        self._blocks.append(block)
        return block
