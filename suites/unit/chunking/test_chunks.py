from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from system.evidence.chunking import POLICIES, Policy, chunk
from system.evidence.chunking.sentences import tokens
from system.evidence.ir import BlockKind, Chunk, Document, Metadata, Source
from system.evidence.sources.builder import RawCell, RawTable, TextBuilder

SENTENCE = st.sampled_from(
    [
        "Mortality fell in the group that received the drug.",
        "No.",
        "The hazard ratio was 0.70 (95% CI 0.55–0.89; p = 0.004).",
        "word " * 70 + "end.",
        "x" * 900,
    ]
)
TEXT = st.lists(SENTENCE, min_size=1, max_size=12).map(" ".join)
SECTION = st.sampled_from(["", "Methods", "Methods > Dose", "Results"])
KIND = st.sampled_from([k for k in BlockKind if k not in (BlockKind.TABLE, BlockKind.TITLE)])
PATH = st.sampled_from(["/a/list[1]/list-item[1]", "/a/list[1]/list-item[2]", "/a/list[2]/list-item[1]", "/a/p[1]", "/json/3"])
BLOCK = st.tuples(st.just("block"), KIND, TEXT, SECTION, PATH, st.sampled_from([None, "inclusion", "exclusion"]))
CELL = st.sampled_from(["", "12 (12.0)", "Nausea", "a longer cell with several words in it " * 3]).map(lambda text: RawCell(text, "/c"))
TABLE = st.tuples(
    st.just("table"), st.lists(st.lists(CELL, min_size=1, max_size=4), max_size=25), TEXT, SECTION, st.lists(TEXT, max_size=2)
)
PARTS = st.lists(BLOCK | TABLE, max_size=14)


def document(parts, title: str = "A title", source: Source = Source.JATS) -> Document:
    builder = TextBuilder()
    builder.add_block(BlockKind.TITLE, title, "", "/title")
    for i, part in enumerate(parts):
        if part[0] == "block":
            _, kind, text, section, path, label = part
            builder.add_block(kind, text, section, path, label=label)
        else:
            _, rows, caption, section, notes = part
            builder.add_table(RawTable(f"t{i}", f"/t[{i}]", rows, caption=caption, footnotes=notes), section)
    return builder.build(source, "X", "1", b"raw", Metadata(title=title), "test/1")


def wanted(doc: Document) -> list[tuple[int, int]]:
    """The ranges that chunks must cover: all blocks but headings, and the title only where it stands alone."""
    silent = (
        (BlockKind.HEADING, BlockKind.TITLE)
        if any(b.kind not in (BlockKind.HEADING, BlockKind.TITLE) for b in doc.blocks)
        else (BlockKind.HEADING,)
    )
    return [(b.start, b.end) for b in doc.blocks if b.kind not in silent]


@settings(max_examples=60)
@given(PARTS, st.sampled_from([Source.JATS, Source.CTGOV, Source.PASSAGES]))
def test_chunks_cover_the_text_once_in_order(parts, source: Source) -> None:
    """Every character of every covered block is in exactly one chunk (white space between pieces aside), in order."""
    doc = document(parts, source=source)
    chunks, policy = chunk(doc), POLICIES[source]
    covered = [False] * len(doc.text)
    end = 0
    for i, piece in enumerate(chunks):
        assert piece.index == i
        assert piece.start >= end
        assert piece.text == doc.text[piece.start : piece.end]
        assert piece.text == piece.text.strip() or piece.kind == "table" or policy.whole  # a row may end with empty cells
        covered[piece.start : piece.end] = [True] * (piece.end - piece.start)
        end = piece.end
    ranges = [(b.start, b.end) for b in doc.blocks] if policy.whole else wanted(doc)
    missing = [doc.text[i] for start, end in ranges for i in range(start, end) if not covered[i]]
    assert not "".join(missing).strip()


@settings(max_examples=60)
@given(PARTS, st.sampled_from([Source.JATS, Source.CTGOV]))
def test_chunks_stay_inside_their_bounds(parts, source: Source) -> None:
    """No chunk holds a heading, two sections, part of a list item, or a table's cells beside running text."""
    doc = document(parts, source=source)
    policy = POLICIES[source]
    for piece in chunk(doc):
        inside = [b for b in doc.blocks if b.start < piece.end and b.end > piece.start]
        assert {b.section for b in inside} == {piece.section}
        assert not any(b.kind is BlockKind.HEADING for b in inside)
        whole_kinds = (BlockKind.LIST_ITEM, BlockKind.ELIGIBILITY)
        assert all(piece.start <= b.start and b.end <= piece.end for b in inside if b.kind in whole_kinds)
        if any(b.kind is BlockKind.TABLE for b in inside):
            assert piece.kind == "table"
            assert all(b.kind in (BlockKind.TABLE, BlockKind.CAPTION, BlockKind.FOOTNOTE) for b in inside)
        for table in doc.tables:
            assert all(not c.start < piece.start < c.end and not c.start < piece.end < c.end for c in table.cells)
        if len({b.path_index for b in inside}) == 1 and inside[0].kind is BlockKind.PARAGRAPH:
            assert tokens(piece.text) <= policy.maximum


@settings(max_examples=30)
@given(PARTS)
def test_ids_are_stable_and_unique(parts) -> None:
    """Chunking twice gives the same ids; within a document no id occurs twice."""
    first, second = chunk(document(parts)), chunk(document(parts))
    assert first == second
    assert len({c.chunk_id for c in first}) == len(first)
    assert all(c.chunk_id.startswith(f"{c.doc_id}:c{c.index}#") for c in first)


def one(kind: BlockKind, *texts: str, **more: str) -> tuple[Chunk, ...]:
    return chunk(
        document(
            [("block", kind, text, more.get("section", "S"), f"/list[1]/list-item[{i}]", more.get("label")) for i, text in enumerate(texts)]
        )
    )


def test_short_items_of_one_list_share_a_chunk_with_their_introduction() -> None:
    """A paragraph that ends with a colon stays with its list; the chunk is made of whole items."""
    parts = [("block", BlockKind.PARAGRAPH, "Patients had to be:", "S", "/p[1]", None)]
    parts += [("block", BlockKind.LIST_ITEM, f"item {i}", "S", f"/list[1]/list-item[{i}]", None) for i in range(3)]
    (piece,) = chunk(document(parts))
    assert piece.kind == "list"
    assert piece.text == "Patients had to be:\n\nitem 0\n\nitem 1\n\nitem 2"


def test_inclusion_and_exclusion_criteria_never_share_a_chunk() -> None:
    """A switch of the criterion's kind is a boundary, and the intent is eligibility."""
    parts = [
        ("block", BlockKind.ELIGIBILITY, f"criterion {i}", "E", "/eligibility", label)
        for i, label in enumerate(["inclusion", "inclusion", "exclusion"])
    ]
    pieces = chunk(document(parts))
    assert [p.text for p in pieces] == ["criterion 0\n\ncriterion 1", "criterion 2"]
    assert {p.intent for p in pieces} == {"eligibility"}


def test_a_small_table_is_one_chunk_with_caption_and_notes() -> None:
    """Caption, rows and notes of a small table stay together; a large one is cut between rows only."""
    rows = [[RawCell(f"row {i}", "/c"), RawCell("12 (12.0)", "/c")] for i in range(60)]
    (small,) = chunk(document([("table", rows[:3], "Table 1 Doses", "S", ["a note"])]))
    assert small.kind == "table"
    assert small.text.startswith("Table 1 Doses\n\nrow 0 | 12 (12.0)\nrow 1")
    assert small.text.endswith("a note")
    large = chunk(document([("table", rows, "Table 1 Doses", "S", [])]))
    assert len(large) > 1
    assert all(line.startswith(("row", "Table")) for p in large for line in p.text.split("\n") if line)


def test_a_passage_is_one_chunk_with_its_title() -> None:
    """The policy of passages makes one chunk of title and text, however long."""
    parts = [("block", BlockKind.PARAGRAPH, "word " * 600, "", "/text", None)]
    (piece,) = chunk(document(parts, source=Source.PASSAGES))
    assert piece.text.startswith("A title\n\nword")


def test_a_title_alone_is_a_chunk() -> None:
    """A record without abstract is still found by its title."""
    assert [c.text for c in chunk(document([]))] == ["A title"]


def test_a_long_paragraph_is_cut_between_sentences_in_even_parts() -> None:
    """No sentence is split and no short tail remains."""
    sentence = "Mortality fell in the group that received the drug at the higher dose."
    pieces = one(BlockKind.PARAGRAPH, " ".join([sentence] * 40))
    assert all(p.text.startswith("Mortality") and p.text.endswith("dose.") for p in pieces)
    sizes = [tokens(p.text) for p in pieces]
    assert min(sizes) > max(sizes) / 2
    assert max(sizes) <= Policy().maximum


@pytest.mark.parametrize(
    ("section", "text", "intent"),
    [
        ("Results > Adverse events", "Few were seen.", "ae"),
        ("2 DOSAGE AND ADMINISTRATION", "Take it.", "dose"),
        ("Methods > Inclusion criteria", "Adults.", "eligibility"),
        ("Results", "The hazard ratio was 0.7 (95% CI 0.5 to 0.9).", "endpoint"),
        ("Methods", "We did it.", "pico"),
        ("Discussion", "It is known.", "general"),
    ],
)
def test_the_intent_follows_titles_and_words(section: str, text: str, intent: str) -> None:
    """Section titles speak first, then the words of the chunk, then the broad part of the article."""
    assert one(BlockKind.PARAGRAPH, text, section=section)[0].intent == intent


def test_the_intent_of_a_label_follows_its_code() -> None:
    """34068-7 is dosage and 34084-4 adverse reactions, whatever the title says."""
    builder = TextBuilder()
    builder.add_block(BlockKind.PARAGRAPH, "Text.", "X", "/p[1]", loinc="34068-7")
    builder.add_block(BlockKind.PARAGRAPH, "Text.", "X", "/p[2]", loinc="34084-4")
    doc = builder.build(Source.SPL, "X", "1", b"", Metadata(), "test/1")
    assert [c.intent for c in chunk(doc)] == ["dose", "ae"]


def test_chunks_survive_hostile_text() -> None:
    """Bidi and combining characters change nothing about slices and ids."""
    (piece,) = one(BlockKind.PARAGRAPH, "e\u0301\u202etext\u2066 \u0338x")
    assert unicodedata.is_normalized("NFC", piece.text)
    assert "\u202e" not in piece.text
