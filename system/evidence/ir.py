"""The intermediate representation (IR): one document as text, blocks and tables with exact offsets.

Every offset in this module is a Unicode code point offset, half-open, into ``Document.text``.
A parser produces a :class:`Document`; everything behind it (chunks, extractions, the graph, answers)
points back into it by :class:`Span`.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec


class Source(enum.StrEnum):
    """Where a document comes from; each source has one parser and one chunking policy."""

    CTGOV = "ctgov"  # ClinicalTrials.gov API v2 JSON
    JATS = "jats"  # JATS / NLM article XML
    SPL = "spl"  # DailyMed structured product label XML
    PUBMED = "pubmed"  # PubMed efetch XML
    PASSAGES = "passages"  # JSON {"_id", "title", "text"}: one passage of a test collection (BEIR layout)


class BlockKind(enum.StrEnum):
    """What a block of text is; a chunk never crosses a table, a list item or a section."""

    TITLE = "title"
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    CAPTION = "caption"
    FOOTNOTE = "footnote"
    ELIGIBILITY = "eligibility"
    TABLE = "table"


class Span(msgspec.Struct, frozen=True, order=True):
    """A half-open range of code points of ``Document.text`` and the text found there."""

    start: int
    end: int
    quote: str


SEPARATOR = "separator"  # transform of characters that stand only in the text: two levels of the page meet there
LEVEL = "level"  # transform of text off the line or in a citation: a script, a part of a formula, a mark


class SpanMapEntry(msgspec.Struct, frozen=True):
    """Maps ``text[start:end]`` to the place in the raw payload it was read from.

    ``path`` is the element's path in the source (an XPath or a JSON pointer); ``transform`` names what was done to
    the raw text (``identity``, ``control``, ``whitespace``, ``nfc``, joined with ``+``). Inside a place that holds markup lie further
    entries with its path: ``separator`` and ``level``. No figure is read across them.
    """

    start: int
    end: int
    path: str
    transform: str


class Block(msgspec.Struct, frozen=True):
    """A run of text with one role. ``path_index`` is its position in the document, 0-based, and stable."""

    path_index: int
    kind: BlockKind
    start: int
    end: int
    section: str  # section path joined with " > ", "" at the top
    path: str  # place in the source: XPath or JSON pointer
    loinc: str | None = None  # SPL section code
    label: str | None = None  # e.g. "inclusion", "primary outcome"; free for the parser


class Cell(msgspec.Struct, frozen=True):
    """One cell of a table grid after spans were resolved; ``start``/``end`` delimit its text in the document."""

    row: int
    column: int
    row_span: int
    column_span: int
    header: bool
    start: int
    end: int


class Table(msgspec.Struct, frozen=True):
    """A table whole: caption, body, foot. ``image_only`` tables have no cells and are recorded as such."""

    table_id: str
    block_index: int  # the block of kind TABLE that carries its text
    caption: str
    section: str
    rows: int
    columns: int
    cells: tuple[Cell, ...]
    footnotes: tuple[str, ...] = ()
    image_only: bool = False


class Metadata(msgspec.Struct, frozen=True):
    """Bibliographic facts for filters and citations; empty values mean the source did not say."""

    title: str = ""
    year: int | None = None
    journal: str = ""
    authors: tuple[str, ...] = ()
    identifiers: tuple[tuple[str, str], ...] = ()  # ("nct", "NCT01367860"), ("pmid", "…"), ("pmcid", …), ("doi", …), ("setid", …)
    conditions: tuple[str, ...] = ()
    interventions: tuple[str, ...] = ()
    licence: str = ""
    study_type: str = ""
    phase: str = ""
    status: str = ""


class Document(msgspec.Struct, frozen=True):
    """One parsed document. ``text`` is NFC, blocks are in reading order and separated by one blank line."""

    doc_id: str
    source: Source
    native_id: str
    version: str
    language: str
    text: str
    blocks: tuple[Block, ...]
    tables: tuple[Table, ...]
    span_map: tuple[SpanMapEntry, ...]
    metadata: Metadata
    raw_sha256: str
    parser: str  # parser name and version: changing it changes what is recomputed

    def span(self, start: int, end: int) -> Span:
        """The span of ``text[start:end]``; raises ``ValueError`` for an empty or foreign range."""
        if not 0 <= start < end <= len(self.text):
            raise ValueError(f"span {start}:{end} lies outside the {len(self.text)} code points of {self.doc_id}")
        return Span(start, end, self.text[start:end])


def document_id(source: Source, native_id: str, version: str, raw: bytes) -> str:
    """``source:native_id#version:sha12``: the same bytes always give the same id."""
    return f"{source.value}:{native_id}#{version}:{hashlib.sha256(raw).hexdigest()[:12]}"


def chunk_id(doc_id: str, index: int, text: str) -> str:
    """``doc_id:c<index>#sha8`` over the chunk's text."""
    return f"{doc_id}:c{index}#{hashlib.sha256(text.encode()).hexdigest()[:8]}"


class Chunk(msgspec.Struct, frozen=True):
    """What is embedded and retrieved: ``Document.text[start:end]``, never across a table, list item or section."""

    chunk_id: str
    doc_id: str
    index: int
    start: int
    end: int
    text: str
    section: str
    kind: str  # "text", "table", "list"
    title_path: str  # document title + section path: a search field with its own boost
    loinc: str | None = None
    intent: str = "general"  # pico, endpoint, ae, dose, eligibility, general
