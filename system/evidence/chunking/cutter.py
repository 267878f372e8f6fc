"""From blocks to chunks. A chunk is a slice of the document's text inside one section; it never splits a list item or a
table row, and it never joins a table with running text. Headings and (where there is other text) the title are no chunk:
they are in every chunk's ``title_path``.

Blocks are first gathered into *groups* that may share chunks, groups are cut into *atoms* that are never split, and atoms
are packed greedily.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from system.evidence.chunking.intent import intent_of
from system.evidence.chunking.policy import POLICIES, Policy
from system.evidence.chunking.sentences import Range, cut, sentences, tokens
from system.evidence.ir import Block, BlockKind, Chunk, Document, Table, chunk_id

_LIST_KINDS = frozenset({BlockKind.LIST_ITEM, BlockKind.ELIGIBILITY})
_Key = tuple[str, ...]  # () for what is in no chunk
_LIST_STEP = re.compile(r"/list\[\d+\]")


@dataclass(frozen=True, slots=True)
class _Group:
    """Blocks that may share a chunk; ``kind`` is the chunk's kind."""

    kind: str
    blocks: tuple[Block, ...]

    @property
    def is_eligibility(self) -> bool:
        """Whether it holds criteria; an introduction may stand before the first of them."""
        return any(block.kind is BlockKind.ELIGIBILITY for block in self.blocks[:2])


@dataclass(frozen=True, slots=True)
class _Atom:
    """A range that is never split, with its length in tokens."""

    start: int
    end: int
    size: int


@dataclass(frozen=True, slots=True)
class _Cutter:
    """The document that is cut, with its tables by block and by id."""

    document: Document
    policy: Policy
    tables: Mapping[int, Table]
    table_ids: frozenset[str]

    def groups(self) -> Iterator[_Group]:
        """Runs of neighbouring blocks with the same key; a heading between two blocks always separates them."""
        blocks = [block for block in self.document.blocks if block.end > block.start]
        if self.policy.whole:
            yield from [_Group("text", tuple(blocks))] if blocks else []
            return
        has_text = any(block.kind not in (BlockKind.TITLE, BlockKind.HEADING) for block in blocks)
        run: list[Block] = []
        run_key: _Key = ()
        for block in blocks:
            silent = block.kind is BlockKind.HEADING or (block.kind is BlockKind.TITLE and has_text)
            key: _Key = () if silent else self._key(block)
            if run and key != run_key:
                lead = run[-1:] if self._leads(run[-1], run_key, key) else []
                if len(run) > len(lead):
                    yield _Group(run_key[0], tuple(run[: len(run) - len(lead)]))
                run = lead
            run_key = key
            if not silent:
                run.append(block)
        if run:
            yield _Group(run_key[0], tuple(run))

    def ranges(self, group: _Group) -> Iterator[Range]:
        """The chunks' ranges of one group."""
        if self.policy.whole:
            yield group.blocks[0].start, group.blocks[-1].end
        else:
            yield from _pack((atom for block in group.blocks for atom in self._atoms(block)), self.policy)

    def _key(self, block: Block) -> _Key:
        """Blocks with equal keys may share a chunk: (kind, section, code, label, what they belong to)."""
        place = (block.section, block.loinc or "")
        if block.kind is BlockKind.TABLE and block.path_index in self.tables:
            return ("table", *place, "", self.tables[block.path_index].table_id)
        if block.kind in (BlockKind.CAPTION, BlockKind.FOOTNOTE) and block.label in self.table_ids:
            return ("table", *place, "", str(block.label))
        label = (block.label or "") if self.policy.split_by_label or block.kind is BlockKind.ELIGIBILITY else ""
        if block.kind in _LIST_KINDS:
            return ("list", *place, label, _list_of(block))
        return ("text", *place, label, "")

    def _leads(self, block: Block, key: _Key, following: _Key) -> bool:
        """Whether a block introduces the list that follows ("Patients must:") and therefore stays with it."""
        same_place = bool(following) and following[0] == "list" and key[0] == "text" and key[1:3] == following[1:3]
        text = self.document.text[block.start : block.end]
        return same_place and block.kind is BlockKind.PARAGRAPH and text.endswith(":") and tokens(text) <= self.policy.lead

    def _atoms(self, block: Block) -> Iterator[_Atom]:
        """A table's rows, a whole list item or short block, or runs of a long block's sentences."""
        text, maximum = self.document.text, self.policy.maximum
        if block.path_index in self.tables:
            yield from (_Atom(start, end, tokens(text[start:end])) for start, end in _rows(self.tables[block.path_index], block))
            return
        size = tokens(text[block.start : block.end])
        if block.kind in _LIST_KINDS or size <= maximum:
            yield _Atom(block.start, block.end, size)
            return
        pieces = (piece for start, end in sentences(text, block.start, block.end) for piece in cut(text, start, end, maximum))
        yield from _balanced([_Atom(start, end, tokens(text[start:end])) for start, end in pieces], size, self.policy)


def chunk(document: Document, policy: Policy | None = None) -> tuple[Chunk, ...]:
    """The chunks of a document in reading order, with deterministic ids.

    Every block that is no heading is covered exactly once; the title only where the document holds nothing else (or by
    a ``whole`` policy). ``policy`` defaults to that of the document's source.
    """
    tables = {table.block_index: table for table in document.tables}
    ids = frozenset(table.table_id for table in document.tables)
    cutter = _Cutter(document, policy or POLICIES[document.source], tables, ids)
    ranges = ((group, start, end) for group in cutter.groups() for start, end in cutter.ranges(group))
    return tuple(_chunk(document, group, index, start, end) for index, (group, start, end) in enumerate(ranges))


def _chunk(document: Document, group: _Group, index: int, start: int, end: int) -> Chunk:
    text = document.text[start:end]
    first = group.blocks[0]
    label = None if first.kind is BlockKind.CAPTION else first.label
    return Chunk(
        chunk_id=chunk_id(document.doc_id, index, text),
        doc_id=document.doc_id,
        index=index,
        start=start,
        end=end,
        text=text,
        section=first.section,
        kind=group.kind,
        title_path=" > ".join(part for part in (document.metadata.title, first.section) if part),
        loinc=first.loinc,
        intent=intent_of(text, first.section, first.loinc, label, eligibility=group.is_eligibility),
    )


def _list_of(block: Block) -> str:
    """The outermost list of an item: by its XPath, else the parent of its JSON pointer."""
    found = _LIST_STEP.search(block.path)
    return block.path[: found.end()] if found else block.path.rpartition("/")[0]


def _rows(table: Table, block: Block) -> Iterator[Range]:
    """The lines of a table's text: rows whose cells are all empty have none."""
    bounds: dict[int, tuple[int, int]] = {}
    for cell in table.cells:
        start, end = bounds.get(cell.row, (cell.start, cell.end))
        bounds[cell.row] = (min(start, cell.start), max(end, cell.end))
    found = [(start, end) for start, end in bounds.values() if end > start]
    yield from found or [(block.start, block.end)]


def _balanced(pieces: Sequence[_Atom], size: int, policy: Policy) -> Iterator[_Atom]:
    """Runs of sentences of about equal length, so that no short tail remains."""
    even = size / max(1, -(-size // policy.target))
    start, length = pieces[0].start, 0
    for i, piece in enumerate(pieces):
        if length and (length + piece.size > policy.maximum or length + piece.size / 2 > even):
            yield _Atom(start, pieces[i - 1].end, length)
            start, length = piece.start, 0
        length += piece.size
    yield _Atom(start, pieces[-1].end, length)


def _pack(atoms: Iterable[_Atom], policy: Policy) -> Iterator[Range]:
    """Neighbouring atoms up to the target; a short run may grow to the maximum."""
    start = end = length = 0
    for atom in atoms:
        together = length + atom.size
        fits = together <= policy.target or (2 * min(length, atom.size) < policy.target and together <= policy.maximum)
        if length and not fits:
            yield start, end
            length = 0
        if not length:
            start = atom.start
        length, end = length + max(atom.size, 1), atom.end
    if length:
        yield start, end
