"""No digit touches a digit that it does not touch on the printed page, and no figure is read across markup that leaves the line."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.unit.sources.conftest import ROOT
from suites.wing.markup import judge, stated
from system.evidence.extraction.assemble import extract
from system.evidence.ir import LEVEL, SEPARATOR, BlockKind, Document, Source
from system.evidence.sources import parse
from system.evidence.sources.split import SplitItem, split

HEAD = (
    '<article xmlns:mml="http://www.w3.org/1998/Math/MathML"><front><article-meta><article-id pub-id-type="pmc">70123</article-id>'
    "<title-group><article-title>Velotril against placebo</article-title></title-group></article-meta></front><body><sec>"
    "<title>Results</title>"
)


def article(body: str) -> bytes:
    return f"{HEAD}{body}</sec></body></article>".encode()


def document(body: str) -> Document:
    return parse(Source.JATS, "", article(body))


def shown(inner: str) -> str:
    made = document(f"<p>{inner}</p>")
    return made.text[made.blocks[-1].start :]


def math(inner: str) -> str:
    prefixed = re.sub(r"<(/?)(?=[a-z])", r"<\1mml:", inner)
    return f"<inline-formula><mml:math>{prefixed}</mml:math></inline-formula>"


SEVEN, FOUR, TEN = "<mn>7</mn>", "<mn>4</mn>", "<mn>10</mn>"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (f"<msup>{TEN}{SEVEN}</msup>", "10^7"),
        (f"<mn>3</mn><mo>×</mo><msup>{TEN}<mrow><mo>−</mo>{FOUR}</mrow></msup>", "3×10^−4"),
        (f"<mfrac>{SEVEN}{FOUR}</mfrac>", "7/4"),
        (f"<mn>2</mn><mfrac>{SEVEN}{FOUR}</mfrac><mn>9</mn>", "2 7/4 9"),
        (f"<mfrac><mrow>{SEVEN}<mo>+</mo>{FOUR}</mrow><mn>9</mn></mfrac>", "(7+4)/9"),
        ("<mfrac><mrow><mo>(</mo><mi>a</mi><mo>)</mo><mo>+</mo><mo>(</mo><mi>b</mi><mo>)</mo></mrow><mn>9</mn></mfrac>", "((a)+(b))/9"),
        (f"<msqrt>{SEVEN}</msqrt>{FOUR}", "√7 4"),
        (f"<mroot>{SEVEN}{FOUR}</mroot>{TEN}", "√[4]7 10"),
        (f"<msub>{TEN}{SEVEN}</msub>{FOUR}", "10_7 4"),
        (f"<msubsup><mi>x</mi>{SEVEN}{FOUR}</msubsup>{TEN}", "x_7^4 10"),
        (f"<munderover><mo>∑</mo>{SEVEN}{FOUR}</munderover>{TEN}", "∑_7^4 10"),
        (f"<mover>{SEVEN}{FOUR}</mover>", "7^4"),
        (f"<munder>{SEVEN}{FOUR}</munder>", "7_4"),
        (f"<mtable><mtr><mtd>{SEVEN}</mtd><mtd>{FOUR}</mtd></mtr><mtr><mtd>{TEN}</mtd></mtr></mtable>", "[7, 4; 10]"),
        (f"<mfenced>{SEVEN}{FOUR}</mfenced>", "(7, 4)"),
        (f"<mmultiscripts><mi>C</mi>{FOUR}<none/><mprescripts/><none/>{SEVEN}</mmultiscripts>", "^7C_4"),
        (f"{SEVEN}<mo>\u2062</mo>{FOUR}", "7 4"),
        (f"{SEVEN}<mphantom>{TEN}</mphantom>{FOUR}", "7 4"),
        ("<mn>0</mn>\n<mo>.</mo>\n<mn>07</mn>", "0.07"),
        (f"<semantics><msup>{TEN}{SEVEN}</msup><annotation>10^{{7}}</annotation></semantics>", "10^7"),
        (f"<mstack>{SEVEN}{FOUR}</mstack>", "7 4"),
    ],
)
def test_a_formula_in_mathml_keeps_its_numbers_apart(inner: str, expected: str) -> None:
    """Powers, fractions, roots, matrices and scripts stand in the text with their sign; annotations are not read beside them."""
    assert shown(math(inner)) == expected
    assert shown(math(inner).replace("mml:", "").replace("<math>", '<math xmlns="http://www.w3.org/1998/Math/MathML">')) == expected


@pytest.mark.parametrize(
    ("tex", "expected"),
    [
        (r"x^23", "x^2 3"),
        (r"\frac74", "7/4"),
        (r"3 \times 10^{-4}", "3 × 10^-4"),
        (r"\sqrt[3]{27}", "√[3]27"),
        (r"\log_{10}5", r"\log_10 5"),
        (r"\begin{document}$$7\,4$$\end{document}", "7 4"),
        (r"\binom{7}{4}", "7;4"),
    ],
)
def test_a_formula_in_tex_keeps_its_numbers_apart(tex: str, expected: str) -> None:
    """Scripts, fractions and roots of TeX are told from the digits beside them, also where TeX needs no braces."""
    assert shown(f"<inline-formula><tex-math>{tex}</tex-math></inline-formula>") == expected


def test_of_alternatives_one_presentation_is_read() -> None:
    """MathML is read and TeX beside it is not, whatever their order; the formula's own words stay."""
    both = f"<alternatives><tex-math>10^7</tex-math>{math(f'<msup>{TEN}{SEVEN}</msup>')[16:-17]}</alternatives>"
    assert shown(f"<inline-formula>n = {both}</inline-formula>") == "n = 10^7"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ('8<xref ref-type="bibr">31</xref> patients', "8 31 patients"),
        ("8<xref><sup>31</sup></xref> patients", "8 31 patients"),
        ("velotril<xref>31</xref> helped", "velotril 31 helped"),
        ("<xref>3</xref>,<xref>456</xref>", "3, 456"),
        ("8<sup>.3</sup>", "8^.3"),
        ("8.<sup>31</sup>", "8. 31"),
        ("8<sub>31</sub>6", "8_31 6"),
        ("CO<sub>2</sub>86", "CO2 86"),
        ("3<sup>1</sup>/<sub>2</sub>", "3 1/2"),
        ("8<inline-graphic/>31", "8 31"),
        ("8<fn><p>a note</p></fn>31", "8 31"),
        ("8<ruby><rb>3</rb><rt>1</rt></ruby>", "8 3 1"),
        ('8<styled-content style="vertical-align: super">31</styled-content>', "8^31"),
        ("8<bold>3</bold><italic>1</italic>", "831"),
        ("<named-content>8</named-content>.5", "8.5"),
        ("8<break/>31", "8 31"),
    ],
)
def test_scripts_and_citations_keep_digits_apart(inner: str, expected: str) -> None:
    """What stands off the line or in a citation is apart, what only looks different is not."""
    assert document(f"<p>{inner}</p>").text.split("\n\n")[2] == expected


def test_the_span_map_knows_separators_and_levels() -> None:
    """A separator and what stands off the line are entries of their own with the place of their paragraph."""
    made = document("<p>We saw 10<sup>6</sup> cells in 8<xref>31</xref> mice.</p>")
    named = {(e.transform, made.text[e.start : e.end]) for e in made.span_map if e.path.endswith("/p[1]")}
    assert {(SEPARATOR, "^"), (LEVEL, "6"), (SEPARATOR, " "), (LEVEL, "31")} <= named


def effects(sentence: str) -> list[tuple[float, float | None]]:
    made = document(f"<p>{sentence}</p>")
    return [(effect.value, effect.ci_low) for effect in extract(made, b"").effects]


@pytest.mark.parametrize(
    "value",
    [
        math(f"<mfrac>{SEVEN}{FOUR}</mfrac>"),
        math(f"<msup>{TEN}{SEVEN}</msup>"),
        math(f"<msqrt>{SEVEN}</msqrt>"),
        "7<sup>4</sup>",
        "7<sub>4</sub>",
        '7<xref ref-type="bibr">4</xref>',
        "<xref>7</xref>",
        "7⁴",
        "7½",
    ],
)
def test_no_effect_is_read_across_a_separator(value: str) -> None:
    """A hazard ratio printed as a power, fraction, root or beside a citation gives no effect with a number that nobody stated."""
    assert effects(f"Deaths were fewer (hazard ratio {value}, 95% CI 0.5 to 80, p = 0.01).") == []


def test_an_effect_beside_a_citation_is_still_read() -> None:
    """A citation elsewhere in the sentence hides nothing of the effect."""
    sentence = "As hoped,<xref>31</xref> deaths were fewer (hazard ratio 0.71, 95% CI 0.52 to 0.96)<sup>4</sup>."
    assert effects(sentence) == [(0.71, 0.52)]


def test_no_effect_of_a_table_is_read_across_a_separator() -> None:
    """A cell with a fraction gives none, its neighbour with a letter for a note gives one."""
    cell = math(f"<mfrac>{SEVEN}{FOUR}</mfrac>")
    rows = f"<tr><td>Death</td><td>{cell} (0.5–80)</td></tr><tr><td>Relapse</td><td>0.71<sup>a</sup> (0.52–0.96)</td></tr>"
    made = document(f"<table-wrap><table><tr><th>Outcome</th><th>OR (95% CI)</th></tr>{rows}</table></table-wrap>")
    assert [(effect.value, effect.outcome) for effect in extract(made, b"").effects] == [(0.71, "Relapse")]


LABEL = (
    '<document xmlns="urn:hl7-org:v3"><setId root="aaaaaaaa-1111-4222-8333-bbbbbbbbbbbb"/><versionNumber value="3"/><title>Velotril</title>'
    "<component><structuredBody><component><section>{section}</section></component></structuredBody></component></document>"
)


@pytest.mark.parametrize("mark", ["<sup>12</sup>", '<content styleCode="superscript">12</content>', "<sub>12</sub>"])
def test_no_dose_is_read_from_a_script(mark: str) -> None:
    """Digits raised or lowered beside a unit are no amount."""
    section = f'<code code="34068-7" codeSystem="2.16.840.1.113883.6.1"/><text><paragraph>Take 5{mark} mg once daily.</paragraph></text>'
    made = parse(Source.SPL, "", LABEL.format(section=section).encode())
    assert "512" not in made.text
    assert extract(made, b"").doses == ()


OASIS = 'xmlns:o="http://www.niso.org/standards/z39-96/ns/oasis-exchange/table"'


def test_a_cals_table_has_its_cells_and_spans() -> None:
    """Columns by name, rows that run on, a head and a foot: the grid is that of the page, with or without a namespace."""
    inner = (
        '<tgroup cols="3"><colspec colname="a"/><colspec colname="b"/><colspec colname="c"/>'
        '<thead><row><entry morerows="1">Arm</entry><entry namest="b" nameend="c">Events</entry></row>'
        "<row><entry>n</entry><entry>N</entry></row></thead>"
        "<tbody><row><entry>Velotril</entry><entry>21</entry><entry>63</entry></row>"
        '<row><entry colname="c">64</entry></row></tbody></tgroup>'
    )
    spaced = re.sub(r"<(/?)(?=[a-z])", r"<\1o:", f"<table>{inner}</table>").replace("<o:table>", f"<o:table {OASIS}>")
    for table in (f"<table>{inner}</table>", spaced):
        made = document(f"<table-wrap><caption><p>Events</p></caption>{table}</table-wrap>")
        cells = {(c.row, c.column): made.text[c.start : c.end] for c in made.tables[0].cells}
        assert not made.tables[0].image_only
        assert (cells[2, 1], cells[2, 2], cells[3, 2], cells[1, 1]) == ("21", "63", "64", "n")
        assert [c.column_span for c in made.tables[0].cells if c.row == 0] == [1, 2]
        assert (made.tables[0].rows, made.tables[0].columns) == (4, 3)


@pytest.mark.parametrize(
    "body",
    [
        "<table-wrap-group><label>Table 3</label><caption><p>WORDS 61</p></caption><table-wrap/></table-wrap-group>",
        "<boxed-text><caption><title>Key points</title><p>WORDS 61</p></caption><p>more</p></boxed-text>",
        "<boxed-text><label>Box 1</label><caption><p>WORDS 61</p></caption></boxed-text>",
        "<fig-group><caption><title>Curves</title><p>WORDS 61</p></caption><fig><caption><p>a</p></caption></fig></fig-group>",
        "<p>see <media><caption><p>WORDS 61</p></caption></media> there</p>",
        "<media><label>Film</label><caption><p>WORDS 61</p></caption></media>",
        "<supplementary-material><caption><p>own</p></caption><media><caption><p>WORDS 61</p></caption></media></supplementary-material>",
        "<table-wrap><table><tr><td>1</td></tr></table><attrib>WORDS 61</attrib></table-wrap>",
        "<table-wrap><caption><p>c</p></caption><p>WORDS 61</p></table-wrap>",
        "<p>deep <italic>in <media><caption><p>WORDS 61</p></caption></media></italic></p>",
    ],
)
def test_no_caption_vanishes(body: str) -> None:
    """Captions of groups, boxes, films and supplements, and text beside a table, stand in the document once."""
    assert document(body).text.count("WORDS 61") == 1


def test_the_caption_of_a_group_is_a_caption() -> None:
    """It is a block of its own kind with the label of its group."""
    made = document("<table-wrap-group><label>Table 3</label><caption><p>Doses</p></caption></table-wrap-group>")
    assert [made.text[b.start : b.end] for b in made.blocks if b.kind is BlockKind.CAPTION] == ["Table 3 Doses"]


RECORD = (
    '<PubmedArticle><MedlineCitation><PMID Version="1">76000001</PMID><Article><ArticleTitle>A letter</ArticleTitle></Article>'
    "</MedlineCitation></PubmedArticle>"
)


@pytest.mark.parametrize("notice", ["DeleteCitation", "DeleteDocument"])
@pytest.mark.parametrize("record", ["", RECORD])
def test_a_deletion_notice_is_a_failed_item_with_its_pmid(record: str, notice: str) -> None:
    """Each PMID of a notice is an item of its own that says what to do, beside articles and alone; the articles are read."""
    payload = f"<PubmedArticleSet>{record}<{notice}><PMID>76000002</PMID><PMID>76000003</PMID></{notice}></PubmedArticleSet>".encode()
    items = split(Source.PUBMED, payload)
    reasons = [item.reason.error for item in items if not isinstance(item, SplitItem)]
    assert [re.findall(r"PMID (\d+)", reason) for reason in reasons] == [["76000002"], ["76000003"]]
    assert all("delete" in item.reason.remedy for item in items if not isinstance(item, SplitItem))
    assert len(items) - len(reasons) == bool(record)


def test_a_label_of_the_older_form_has_ndc_and_unii() -> None:
    """Codes of medicines and active substances are identifiers, those of other code systems are not."""
    ndc, unii = ("2.16.840.1.113883.6.69", "2.16.840.1.113883.4.9")
    active = f'<activeIngredientSubstance><code code="Q1W2E3R4T5" codeSystem="{unii}"/></activeIngredientSubstance>'
    other = f'<inactiveIngredientSubstance><code code="X" codeSystem="{unii}"/></inactiveIngredientSubstance>'
    medicine = (
        f'<code code="0777-3105" codeSystem="{ndc}"/><name>Velotril</name><activeIngredient>{active}</activeIngredient>'
        f"<inactiveIngredient>{other}</inactiveIngredient>"
    )
    product = f"<manufacturedProduct><manufacturedMedicine>{medicine}</manufacturedMedicine></manufacturedProduct>"
    section = f"<subject>{product}</subject>"
    made = parse(Source.SPL, "", LABEL.format(section=section).encode())
    assert made.metadata.identifiers[1:] == (("ndc", "0777-3105"), ("unii", "Q1W2E3R4T5"))


WRAPPERS = ("italic", "bold", "underline", "named-content", "sup", "sub", "xref", "mystery")
LEAVES = st.text("0123456789.,", min_size=1, max_size=4)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    one = st.builds(lambda name, text: f"<{name}>{text}</{name}>", st.sampled_from(WRAPPERS), inner)
    names, numbers = st.sampled_from(["msup", "msub", "mfrac", "mover"]), st.integers(0, 99)
    raised = st.builds(lambda name, a, b: math(f"<{name}><mn>{a}</mn><mn>{b}</mn></{name}>"), names, numbers, numbers)
    return st.lists(inner | one | raised, min_size=1, max_size=4).map("".join)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(st.recursive(LEAVES, wrapped, max_leaves=8))
def test_generated_markup_never_joins_digits_of_two_levels(inner: str) -> None:
    """Whatever the nesting, the independent reading finds each number of the text in one text node or in touching ones."""
    raw = article(f"<p>n {inner} m</p>")
    found = judge(parse(Source.JATS, "", raw), raw)
    assert (found.problems, found.unaligned) == ((), ())


def assert_digits_stand(source: Source, raw: bytes, name: str) -> int:
    numbers = 0
    for item in split(source, raw):
        if isinstance(item, SplitItem):
            made = parse(source, item.doc_id, item.raw)
            found = judge(made, item.raw)
            assert (found.problems, found.unaligned, found.lost) == ((), (), ()), name
            extraction = extract(made, item.raw)
            values = [(r.spans, v) for r in extraction.effects for v in (r.value, r.ci_low, r.ci_high, r.p_value) if v is not None]
            values += [(dose.spans, dose.amount) for dose in extraction.doses]
            assert all(stated([span.quote for span in spans], value) for spans, value in values), name
            numbers += found.numbers
    return numbers


@pytest.mark.parametrize(("source", "folder"), [(Source.JATS, "jats"), (Source.SPL, "spl"), (Source.PUBMED, "pubmed")])
def test_every_number_of_the_sample_corpus_stands_in_its_source(source: Source, folder: str) -> None:
    """The independent reading agrees on the documents that ship with the project."""
    files = sorted((ROOT / "samples" / "corpus" / folder).glob("*.xml"))
    assert sum(assert_digits_stand(source, path.read_bytes(), path.name) for path in files) > 5


def test_every_number_of_real_labels_and_records_stands_in_its_source(real_labels, real_records) -> None:
    """The same over all real labels and PubMed records; the articles are judged by the bar ``markup``."""
    assert sum(assert_digits_stand(Source.SPL, raw, name) for name, raw in real_labels.items()) > 1000
    assert sum(assert_digits_stand(Source.PUBMED, raw, name) for name, raw in real_records.items()) > 1000
