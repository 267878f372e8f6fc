"""Literals are judged as they are written, in every form of RDF: "007" is not 7, and "no" is no boolean."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.shacl import judged as verdict_of
from harness.core.verdict import Verdict

XSD = "http://www.w3.org/2001/XMLSchema#"


@pytest.mark.parametrize(
    ("written", "constraint", "passes"),
    [
        ("0042", "sh:in ( 42 )", False),
        ("0042", "sh:in ( 0042 )", True),
        ('"0042"^^xsd:integer', "sh:in ( 0042 )", True),
        ("0042", 'sh:hasValue "0042"^^xsd:integer', True),
        ("+9", "sh:hasValue 9", False),
        ('"+9"^^xsd:integer', "sh:hasValue +9", True),
        ("-0", "sh:in ( 0 )", False),
        ("0042", 'sh:pattern "^00"', True),
        ('"42"^^xsd:integer', 'sh:pattern "^00"', False),
        ("0042", "sh:minLength 4", True),
        ("+9", "sh:maxLength 1", False),
        ("0042", "sh:minInclusive 42 ; sh:maxInclusive 42", True),
        ("2.70", "sh:in ( 2.7 )", False),
        ('"2.70"^^xsd:decimal', "sh:in ( 2.70 )", True),
        ("2.70", 'sh:pattern "70$"', True),
        ("2.70", "sh:minLength 4", True),
        ("2.70", "sh:minInclusive 2.7 ; sh:maxInclusive 2.7", True),
        ('"0"^^xsd:boolean', "sh:hasValue false", False),
        ('"1"^^xsd:boolean', "sh:hasValue true", False),
        ('"1"^^xsd:boolean', "sh:datatype xsd:boolean", True),
        ('"0"^^xsd:boolean', 'sh:in ( "0"^^xsd:boolean )', True),
        ('"no"^^xsd:boolean', "sh:hasValue false", False),
        ('"no"^^xsd:boolean', "sh:datatype xsd:boolean", False),
        ("false", "sh:hasValue false", True),
        ('"2023-02-29"^^xsd:date', "sh:datatype xsd:date", False),
        ('"2028-02-29"^^xsd:date', "sh:datatype xsd:date", True),
        ('"2028-2-9"^^xsd:date', "sh:datatype xsd:date", False),
        ('"2028-02-29Z"^^xsd:date', 'sh:in ( "2028-02-29"^^xsd:date )', False),
        ('"2028-02-29T08:00:00.0"^^xsd:dateTime', 'sh:hasValue "2028-02-29T08:00:00"^^xsd:dateTime', False),
        ('"Maß"@DE', 'sh:hasValue "Maß"@de', True),
        ('"Maß"@DE-at', 'sh:languageIn ( "de" )', True),
        ('"Maß"@DE-at , "Mass"@de-AT', "sh:uniqueLang true", False),
        ('"Maß"@de', 'sh:hasValue "Maß"', False),
        ('"mm"^^xsd:string', 'sh:hasValue "mm"', True),
        ('"mm"', 'sh:in ( "mm"^^xsd:string )', True),
        ('"mm"', "sh:datatype xsd:string", True),
        ("3.0E0", "sh:hasValue 3e0", False),
        ("3e0", "sh:hasValue 3e0", True),
        ('"3.0E0"^^xsd:double', "sh:hasValue 3.0E0", True),
        ("3.0E0", 'sh:pattern "E"', True),
        ("3e0", "sh:maxLength 3", True),
        ('"4.0"^^xsd:integer', "sh:datatype xsd:integer", False),
        ('"four"^^xsd:integer', "sh:minInclusive 1", False),
        ('"290"^^xsd:byte', "sh:datatype xsd:byte", False),
        ('"\\u00e4"', 'sh:hasValue "ä"', True),
        ('"a\\u0308"', 'sh:hasValue "ä"', False),
    ],
)
def test_a_literal_is_the_term_that_was_written(judged: Any, written: str, constraint: str, passes: bool) -> None:
    """Leading zeros and signs, trailing zeros, other words for true and false, tags, exponents: as in the file, for both engines."""
    report = judged(f"k:S sh:targetSubjectsOf k:size ; sh:property [ sh:path k:size ; {constraint} ] .", f"k:v k:size {written} .")
    assert verdict_of(report) is (Verdict.PASS if passes else Verdict.FAIL)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("042", "42", False),
        ("042", '"042"^^xsd:integer', True),
        ("2.70", "2.7", False),
        ('"mm"', '"mm"^^xsd:string', True),
        ('"mm"@EN', '"mm"@en', True),
        ('"1"^^xsd:boolean', "true", False),
        ("3e0", "3.0E0", False),
    ],
)
def test_equals_and_disjoint_compare_terms(judged: Any, one: str, other: str, equal: bool) -> None:
    """Not numbers: each of the two is right exactly where the other is wrong."""
    for word, right in (("equals", equal), ("disjoint", not equal)):
        report = judged(
            f"k:S sh:targetSubjectsOf k:size ; sh:property [ sh:path k:size ; sh:{word} k:bore ] .", f"k:v k:size {one} ; k:bore {other} ."
        )
        assert verdict_of(report) is (Verdict.PASS if right else Verdict.FAIL)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("d.nt", f'<urn:k:v> <urn:k:size> "0042"^^<{XSD}integer> .\n'),
        ("d.nq", f'<urn:k:v> <urn:k:size> "0042"^^<{XSD}integer> <urn:k:g> .\n'),
        ("d.trig", "k:g { k:v k:size 0042 . }"),
        ("d.jsonld", f'{{"@id": "urn:k:v", "urn:k:size": {{"@value": "0042", "@type": "{XSD}integer"}}}}'),
        (
            "d.rdf",
            (
                '<r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:k="urn:k:"><r:Description r:about="urn:k:v">'
                f'<k:size r:datatype="{XSD}integer">0042</k:size></r:Description></r:RDF>'
            ),
        ),
    ],
)
def test_every_form_of_rdf_keeps_what_is_written(judged: Any, name: str, data: str) -> None:
    """The four digits, whichever parser reads them."""
    report = judged('k:S sh:targetSubjectsOf k:size ; sh:property [ sh:path k:size ; sh:pattern "^00" ; sh:minLength 4 ] .', data, name)
    assert verdict_of(report) is Verdict.PASS


def test_a_byte_order_mark_before_the_first_word_is_none_of_the_text(judged: Any) -> None:
    """Of the data and of the shapes, as editors of Windows write it."""
    shapes = b"\xef\xbb\xbf<urn:k:S> <http://www.w3.org/ns/shacl#targetNode> 0042 ; <http://www.w3.org/ns/shacl#minLength> 4 ."
    assert verdict_of(judged(shapes, b"\xef\xbb\xbf<urn:k:v> <urn:k:size> 0042 .")) is Verdict.PASS
