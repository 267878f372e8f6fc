from __future__ import annotations

import time

import pytest

from system.evidence.sources.inline import Inline
from system.evidence.sources.xml import MAX_DEPTH, parse_xml
from system.platform.errors import BadInput

DTD = b'<!DOCTYPE a PUBLIC "-//NLM//DTD" "http://example.invalid/a.dtd">'


def text(raw: bytes) -> str:
    return Inline().text(parse_xml(raw, "a sample"))


def refusal(raw: bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        parse_xml(raw, "a sample")
    assert all(caught.value.reason().values())
    return caught.value


@pytest.mark.parametrize("head", [b"", DTD])
def test_named_characters_survive_without_their_dtd(head: bytes) -> None:
    """XHTML and ISO names become their characters, XML's own stay markup, unknown names stay visible."""
    assert text(head + b"<a>x&nbsp;&ge;&chi;&lsqb; &lt;b&gt; &nosuchname; &#945;</a>") == "x\xa0≥χ[ <b> &nosuchname; α"


def test_entity_bombs_and_external_entities_are_refused() -> None:
    """A document that declares entities is refused before anything is expanded."""
    bomb = b'<!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
    outside = b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>'
    for raw in (bomb, outside, b"<!-- <!DOCTYPE a> -->" + bomb):
        assert "entities" in refusal(raw).error


def test_a_syntax_error_names_line_and_column() -> None:
    """The place of a syntax error is a line and a column, also behind a long document type."""
    assert refusal(DTD + b"\n\n<a>\n<b></a>").place.startswith("line 4, column")


def test_depth_is_bounded() -> None:
    """Elements nested beyond the limit are refused, also beyond libxml2's own limit."""
    for depth in (MAX_DEPTH + 1, 400, 100_000):
        refusal(b"<a>" * depth + b"</a>" * depth)


def test_size_is_bounded() -> None:
    """A payload above the limit is refused without being parsed."""
    with pytest.raises(BadInput):
        parse_xml(b"<a>" + b"x" * 100 + b"</a>", "a sample", max_bytes=50)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04...", "ZIP"),
        (b'{"protocolSection": {}}', "ClinicalTrials.gov"),
        (b"<!DOCTYPE html><html><body><p>Hi<br></body></html>", "HTML"),
        ("<a/>".encode("utf-16"), "UTF-16"),
        ("<a/>".encode("utf-16-le"), "UTF-16"),
        ("<a/>".encode("utf-16-be"), "UTF-16"),
        (b'<?xml version="1.0" encoding="UTF-16"?><a/>', "UTF-16"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "no-such"),
        (b"plain words", "plain text"),
    ],
)
def test_what_is_no_xml_is_named(raw: bytes, kind: str) -> None:
    """The error says what the payload looks like."""
    assert kind in refusal(raw).error


def test_declared_single_byte_encodings_are_read() -> None:
    """A declared Latin-1 document is decoded by its declaration; wrong bytes name their offset."""
    assert text('<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1")) == "é"
    assert refusal(b"<a>ab\xe9</a>").place == "byte 5"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("10<sup>5</sup>", "10^5"),
        ("10<sup>−3</sup>", "10^−3"),
        ("m<sup>2</sup>", "m2"),
        ("1<sup>st</sup>", "1st"),
        ("CD4<sup>+</sup>", "CD4+"),
        ("Ca<sup>2+</sup>", "Ca2+"),
        ("<sup>14</sup>C", "14C"),
        ("H<sub>2</sub>O", "H2O"),
        ("12.3<sup>a</sup>", "12.3 a"),
        ("0.05<xref><sup>12</sup></xref>", "0.05 12"),
        ("0.05<sup><xref>12</xref></sup>", "0.05 12"),
        ("risk [<xref>12</xref>].", "risk [12]."),
        ("<i>Strep</i>tococcus", "Streptococcus"),
        ("a<br/>b", "a b"),
    ],
)
def test_inline_markup_neither_glues_nor_splits(inner: str, expected: str) -> None:
    """Raised and lowered text keeps numbers apart and words whole."""
    assert text(f"<a>{inner}</a>".encode()) == expected


def test_a_million_siblings_stay_fast() -> None:
    """A flat flood of elements is refused within seconds."""
    started = time.monotonic()
    refusal(b"<a>" + b"<b/>" * 1_000_000 + b"</a>")
    assert time.monotonic() - started < 5
