from __future__ import annotations

import pytest

from system.evidence.ir import BlockKind, Source
from system.evidence.sources import parse
from system.platform.errors import BadInput


@pytest.fixture(scope="module")
def article(read, sample):
    return read(Source.JATS, sample(Source.JATS))[0]


def texts(document, kind: BlockKind) -> list[str]:
    return [document.text[b.start : b.end] for b in document.blocks if b.kind is kind]


def test_the_front_is_read(article) -> None:
    """Ids, date, journal, authors, licence and trial number come from the front matter."""
    meta = article.metadata
    assert article.doc_id.startswith("jats:PMC9000001#2021-03-07:")
    assert meta.title == "Samplinib in Streptococcus disease: a randomised trial"
    assert (meta.year, meta.journal, meta.authors) == (2021, "Journal of Sample Trials", ("Jane A Doe", "The Sample Group"))
    assert dict(meta.identifiers) == {"pmid": "39000001", "pmcid": "PMC9000001", "doi": "10.5555/jst.2021.1", "nct": "NCT09000001"}
    assert meta.licence == "https://creativecommons.org/licenses/by/4.0/"


def test_the_document_is_sound(article, sound) -> None:
    """Offsets, order and cells of the sample article are exact."""
    sound(article)


def test_sections_carry_their_path(article) -> None:
    """Abstract parts and boxes stand below their parents' titles."""
    sections = {b.section for b in article.blocks}
    assert {"Abstract > Background", "Methods > What was known", "Appendix A", "Acknowledgements"} <= sections


def test_paragraphs_flow_around_floats_and_stop_at_lists(article) -> None:
    """A list interrupts its paragraph; a figure or table inside a paragraph does not cut its sentence."""
    paragraphs = texts(article, BlockKind.PARAGRAPH)
    assert "All consented." in paragraphs
    assert "Table 1 shows the outcomes." in paragraphs
    assert "The score was x+1 at week 4." in paragraphs
    first = next(p for p in paragraphs if p.startswith("Patients were randomised"))
    assert "5.5 2 mg of 14C-samplinib in H2O" in first
    assert first.endswith("Eligible patients:")


def test_nested_list_items_are_items_of_their_own(article) -> None:
    """An item's own text comes first, the items of the list inside it follow."""
    assert texts(article, BlockKind.LIST_ITEM) == ["were adults;", "had fever of 38.5 °C or more:", "by day,", "or by night."]


def test_tables_are_whole(article) -> None:
    """Several bodies, a foot written early, spans, the table foot, back, floats and pictures are all there."""
    tables = {t.table_id: t for t in article.tables}
    assert set(tables) == {"T1", "T2", "T3", "T4"}
    cell = {(c.row, c.column): article.text[c.start : c.end] for c in tables["T1"].cells}
    spans = {(c.row, c.column): (c.row_span, c.column_span) for c in tables["T1"].cells}
    assert cell[1, 1] == "Samplinib (n = 100)"
    assert cell[3, 1] == "—"
    assert cell[6, 0] == "Values are n (%)."  # the foot is read last, as it is shown
    assert spans[2, 0] == (2, 1)  # cut at the end of the first body
    assert spans[0, 1] == (1, 2)
    assert cell[2, 1] == "12 (12.0) a"
    assert (tables["T1"].rows, tables["T1"].columns) == (7, 3)
    assert tables["T1"].caption == "Table 1 Outcomes by arm"
    assert tables["T1"].footnotes == ("a One patient died before the first dose.", "CFU, colony-forming units.")
    assert tables["T2"].image_only
    assert tables["T3"].section == "Appendix A"


def test_references_and_comments_are_no_text(article) -> None:
    """The reference list and comments never reach the text."""
    assert "Roe R" not in article.text
    assert "a comment" not in article.text


def test_paths_lead_back_to_the_source(article) -> None:
    """A block's path is an XPath of the element it was read from."""
    block = next(b for b in article.blocks if article.text[b.start : b.end] == "Little was known.")
    assert block.path == "/article/body[1]/sec[1]/boxed-text[1]/p[1]"


def test_an_article_without_ids_is_refused(sample) -> None:
    """Without any id the article cannot be named, and the error says where an id belongs."""
    raw = sample(Source.JATS).replace(b"<article-id", b"<other-id").replace(b"</article-id", b"</other-id")
    with pytest.raises(BadInput, match="article-id"):
        parse(Source.JATS, "", raw)


def test_an_article_in_an_oai_answer_is_opened(sample) -> None:
    """A wrapper with exactly one article is read like the article."""
    body = sample(Source.JATS)
    inner = body[body.index(b"<article ") :]
    raw = b"<OAI-PMH><GetRecord><record><metadata>" + inner + b"</metadata></record></GetRecord></OAI-PMH>"
    assert parse(Source.JATS, "", raw).native_id == "PMC9000001"
