from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.evidence.ir import BlockKind, Metadata, Source
from system.evidence.sources.builder import RawCell, RawTable, TextBuilder, normalise
from system.platform.errors import BadInput

HARD = st.text(st.characters(codec=None), max_size=60) | st.text(" \t\n\x00\x1b\x85\xa0\u202e\u2066\ufeffe\u0301\u0338<a1|", max_size=30)
CELL = st.builds(RawCell, HARD, st.just("/cell"), st.booleans(), st.integers(-1, 4), st.integers(-1, 4))
ROWS = st.lists(st.lists(CELL, max_size=4), max_size=5)


def build(builder: TextBuilder):
    return builder.build(Source.JATS, "X", "1", b"raw", Metadata(), "test/1")


@given(HARD)
def test_normalise_is_idempotent_and_leaves_only_safe_nfc_text(raw: str) -> None:
    """Normalising twice changes nothing, and no control, bidi or surrogate character survives."""
    text, transform = normalise(raw)
    assert normalise(text) == (text, "identity")
    assert unicodedata.is_normalized("NFC", text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs") or c in "\u202a\u202e\u2066\u2069" for c in text)
    assert (transform == "identity") == (text == raw)


def test_the_transform_says_what_was_done() -> None:
    """Removed controls, composition and collapsed white space are each named, in the order applied."""
    assert normalise("a\u202eb  e\u0301\n") == ("ab é", "control+nfc+whitespace")


def test_white_space_controls_do_not_glue_words() -> None:
    """A vertical tab or next-line character between words becomes a space."""
    assert normalise("a\x0bb\x85c\x1fd")[0] == "a b c d"


@given(st.lists(st.tuples(HARD, st.sampled_from(list(BlockKind))), max_size=8), ROWS)
def test_every_offset_is_exact(sound, blocks, rows) -> None:
    """For every block and cell text[start:end] is what was added, normalised."""
    builder = TextBuilder()
    added = [(builder.add_block(kind, raw, "S", "/p", label="l"), raw) for raw, kind in blocks if kind is not BlockKind.TABLE]
    table = builder.add_table(RawTable("t", "/t", rows, caption="Caption", footnotes=("note", " ")), "S")
    document = build(builder)
    sound(document)
    for block, raw in added:
        assert (block is None) == (normalise(raw)[0] == "")
        assert block is None or document.text[block.start : block.end] == normalise(raw)[0]
    flat = [cell for row in rows for cell in row]
    assert [document.text[c.start : c.end] for c in table.cells] == [normalise(c.text)[0] for c in flat]
    assert table.footnotes == ("note",)


@given(ROWS)
def test_no_two_cells_of_a_grid_overlap(rows) -> None:
    """Resolved spans never cover a slot twice, except where a source's own spans collide sideways."""
    table = TextBuilder().add_table(RawTable("t", "/t", rows), "S")
    starts = [(c.row, c.column) for c in table.cells]
    assert len(set(starts)) == len(starts)
    for cell in table.cells:
        assert not any(o.row < cell.row < o.row + o.row_span and o.column <= cell.column < o.column + o.column_span for o in table.cells)


def test_row_spans_shift_the_cells_below() -> None:
    """A cell that spans two rows moves the next row's first cell one column to the right."""
    rows = [[RawCell("a", "/", row_span=2), RawCell("b", "/")], [RawCell("c", "/")]]
    table = TextBuilder().add_table(RawTable("t", "/t", rows), "S")
    assert [(c.row, c.column, c.row_span) for c in table.cells] == [(0, 0, 2), (0, 1, 1), (1, 1, 1)]
    assert (table.rows, table.columns) == (2, 2)


def test_spans_end_with_their_row_group() -> None:
    """A row span that reaches beyond its body is cut there; span 0 means to the end of the body."""
    rows = [[RawCell("a", "/", row_span=99)], [RawCell("b", "/", row_span=0)], [RawCell("c", "/")]]
    table = TextBuilder().add_table(RawTable("t", "/t", rows, groups=(0, 1, 1)), "S")
    assert [(c.row, c.column, c.row_span) for c in table.cells] == [(0, 0, 1), (1, 0, 2), (2, 1, 1)]


def test_rows_are_lines_and_cells_are_separated_by_bars() -> None:
    """A table reads row by row; rows of empty cells have no line."""
    builder = TextBuilder()
    builder.add_table(RawTable("t", "/t", [[RawCell("a", "/"), RawCell("", "/")], [RawCell("", "/")], [RawCell("b", "/")]]), "S")
    assert build(builder).text == "a | \nb"


def test_a_grid_of_absurd_size_is_refused() -> None:
    """A table whose spans claim more than a million slots is an attack and is refused with a remedy."""
    row = [RawCell("x", "/", column_span=1000)] * 2000
    with pytest.raises(BadInput) as caught:
        TextBuilder().add_table(RawTable("t", "/t", [row]), "S")
    assert caught.value.place == "/t"
    assert caught.value.remedy


def test_an_image_only_table_is_recorded_with_its_caption() -> None:
    """A table that is a picture has no cells, and its block holds the caption once."""
    builder = TextBuilder()
    table = builder.add_table(RawTable("t9", "/t", (), caption="Table 9 Doses", image_only=True), "S")
    document = build(builder)
    assert (table.image_only, table.cells, document.text) == (True, (), "Table 9 Doses")


def test_a_document_without_text_is_refused() -> None:
    """An empty document is bad input, not an empty success."""
    with pytest.raises(BadInput):
        build(TextBuilder())
