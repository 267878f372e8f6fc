"""Shapes and data that cannot be used: told before anything is judged, with file, line and remedy, all at once."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from harness.core.errors import UsageError, UsageErrors

HEAD = "k:Rod a sh:NodeShape ;\n  sh:targetClass k:rod ;\n"  # lines 6 and 7
GOOD = "  sh:property [\n    sh:path k:mass ;\n    sh:minCount 1 ;\n    sh:pattern '^[0-9]' ] ;\n"  # lines 8 to 11
DATA = "k:r3 a k:rod ; k:mass 12 ."
REST = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#rest>"
FIRST = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#first>"


@pytest.mark.parametrize(
    ("shapes", "line", "words"),
    [
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ;\n    sh:minCount -2 ] .", 14, "sh:minCount is '-2'"),
        (HEAD + GOOD + '  sh:property [\n    sh:path k:span ;\n\n    sh:maxCount "6" ] .', 15, "sh:maxCount is '6'"),
        (HEAD + GOOD + "  sh:property [\n    sh:minCount 1.5 ;\n    sh:path k:span ] .", 13, "sh:minCount is '1.5'"),
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ;\n    sh:maxCount 99999999999999999999 ] .", 14, "sh:maxCount"),
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ,\n      k:size ;\n    sh:minCount 1 ] .", 13, "sh:path stands twice"),
        (HEAD + GOOD + "  sh:property [\n    sh:minCount 2 ] .", 12, "without sh:path"),
        (HEAD + GOOD + '  sh:property [\n    sh:path "span" ;\n    sh:minCount 1 ] .', 13, "sh:path is no property path"),
        (HEAD + GOOD + "  sh:property [\n    sh:path () ;\n    sh:minCount 1 ] .", 13, "sh:path is no property path"),
        (HEAD + GOOD + "  sh:property [\n    sh:path ( k:span ) ;\n    sh:minCount 1 ] .", 13, "sh:path is no property path"),
        (HEAD + GOOD + "  sh:property [\n    sh:path _:way ;\n    sh:minCount 1 ] .\n_:way sh:inversePath _:way .", 13, "no property path"),
        (HEAD + GOOD + '  sh:node "Rod" .', 12, "sh:node is 'Rod'"),
        (HEAD + GOOD + '  sh:property "mass" .', 12, "sh:property is 'mass'"),
        (HEAD + GOOD + "  sh:property k:Nowhere .", 12, "no file describes it"),
        (HEAD + GOOD + f"  sh:in [ {FIRST} k:r3 ] .", 12, "sh:in is no list"),
        (HEAD + GOOD + '  sh:in "r3" .', 12, "sh:in is no list"),
        (HEAD + GOOD + f"  sh:in _:l .\n_:l {FIRST} k:r3 ; {REST} _:l .", 12, "sh:in is no list"),
        (HEAD + GOOD + f"  sh:or _:l .\n_:l {FIRST} [ sh:nodeKind sh:IRI ] ; {REST} _:l .", 12, "sh:or is no list"),
        (HEAD + GOOD + "  sh:and () .", 12, "sh:and is an empty list"),
        (HEAD + GOOD + '  sh:xone ( [ sh:nodeKind sh:IRI ] "r3" ) .', 12, "'r3' in the list of sh:xone"),
        (HEAD + GOOD + "  sh:property [ sh:path k:span ;\n    sh:languageIn ( 5 ) ] .", 13, "'5' in the list of sh:languageIn"),
        (HEAD + GOOD + '  sh:closed true ;\n  sh:ignoredProperties ( "mass" ) .', 13, "'mass' in the list of sh:ignoredProperties"),
        (HEAD + GOOD + "  sh:nodeKind sh:Iri .", 12, "sh:nodeKind is sh:Iri"),
        (HEAD + GOOD + '  sh:nodeKind "IRI" .', 12, "sh:nodeKind is 'IRI'"),
        (HEAD + "  # sh:nodeKind k:Iron is not meant\n  sh:message 'sh:nodeKind k:Iron' ;\n  sh:nodeKind k:Iron .", 10, "is 'urn:k:Iron'"),
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ;\n    sh:pattern '([0-9' ] .", 14, "invalid sh:pattern"),
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ;\n    sh:pattern 'a' ; sh:flags 'zz' ] .", 14, "sh:flags"),
        (HEAD + GOOD + "  sh:property [\n    sh:path k:span ;\n    sh:flags 'i' ] .", 14, "sh:flags without sh:pattern"),
        (HEAD + GOOD + "  sh:sparql [\n    sh:select 'SELECT WHERE' ] .", 12, "SPARQL"),
        (HEAD + GOOD + "  sh:minCount 1 .", 12, "sh:minCount at a shape without sh:path"),
        (HEAD + GOOD + '  sh:closed "yes" .', 12, "sh:closed is 'yes'"),
        (HEAD + GOOD + '  sh:severity "Info" .', 12, "sh:severity is 'Info'"),
        ("k:Rod sh:targetClass k:rod ;\n  sh:nodeKind sh:IRI .\nk:Bar\n  sh:targetNode [] ;\n  sh:nodeKind sh:IRI .", 9, "is a blank node"),
        ('k:Rod a sh:NodeShape ;\n  sh:nodeKind sh:IRI ;\n  sh:targetClass "rod" .', 8, "sh:targetClass is 'rod'"),
        (("[] sh:targetClass k:rod ;\n sh:property [ sh:path k:mass ; sh:maxCount 3 ] .\n[] sh:targetClass k:bar ;\n"
         "  sh:property [ sh:path k:span ;\n    sh:maxCount 'q' ] ."), 10, "sh:maxCount is 'q'"),
        (HEAD + "  sh:property [\n    sh:path k:mass ;\n    sh:node [\n      sh:property [ sh:path k:unit ;\n"
         "        sh:maxCount 'x' ] ] ;\n    sh:maxCount 1 ] .", 12, "sh:maxCount is 'x'"),
    ],
)  # fmt: skip
def test_a_malformed_shape_is_refused_at_its_line(judged: Any, shapes: str, line: int, words: str) -> None:
    """The line of the very statement, also where the same words stand before it, in comments, in texts or in other brackets."""
    with pytest.raises(UsageError) as raised:
        judged(shapes, DATA)
    assert not isinstance(raised.value, UsageErrors)
    assert (raised.value.file, raised.value.line) == ("shapes.ttl", line), raised.value
    assert words in str(raised.value)
    assert raised.value.remedy


@pytest.mark.parametrize(
    ("shapes", "line"),
    [
        (HEAD + "  sh:not k:Rod .", 6),
        (HEAD + "  sh:property [ sh:path k:part ; sh:node k:Rod ] .", 6),
        (HEAD + "  sh:and ( k:Bar ) .\nk:Bar sh:or ( [ sh:nodeKind sh:IRI ] k:Rod ) .", 9),
        ("k:Free sh:targetClass k:rod ; sh:nodeKind sh:IRI .\nk:Rod sh:node k:Bar .\nk:Bar sh:xone ( k:Rod [ sh:nodeKind sh:IRI ] ) .", 8),
        (HEAD + "  sh:property [ sh:path k:part ; sh:qualifiedValueShape k:Rod ; sh:qualifiedMinCount 1 ] .", 6),
    ],
)
def test_shapes_that_use_themselves_are_refused(judged: Any, shapes: str, line: int) -> None:
    """Directly, or by way of others and of lists of them."""
    with pytest.raises(UsageError, match=rf"shapes\.ttl:{line}: .*the shape uses itself; .*break the circle"):
        judged(shapes, DATA)


def test_everything_that_is_wrong_is_told_at_once(judged: Any) -> None:
    """Each at its line, in the order of the file; the same wrong value twice gives two lines."""
    with pytest.raises(UsageErrors) as raised:
        judged(
            HEAD + "  sh:nodeKind k:Iron ;\n  sh:property [\n    sh:path k:mass ;\n    sh:minCount -3 ] ;\n"
            "  sh:property [\n    sh:minCount -3 ;\n    sh:path k:span ] .\n"
            "k:Bar sh:not k:Bar .\nk:Bolt sh:node k:Nut .\nk:Nut sh:node k:Bolt .",
            DATA,
        )
    assert [error.line for error in raised.value.errors] == [8, 11, 13, 15, 16]


def test_two_patterns_that_are_none_are_both_told(judged: Any) -> None:
    """And the one before them, which is right, is not."""
    bad = "  sh:property [ sh:path k:span ;\n    sh:pattern '(' ] ;\n  sh:property [ sh:path k:size ;\n    sh:pattern '[' ] ."
    with pytest.raises(UsageErrors) as raised:
        judged(HEAD + GOOD + bad, DATA)
    assert [error.line for error in raised.value.errors] == [13, 15]


SHAPES = HEAD + "  sh:nodeKind sh:IRI ."
PACKED = gzip.compress(b"<urn:k:r3> <urn:k:mass> 12 .\n" * 400)


@pytest.mark.parametrize("use", ["shacl", "pyshacl"])
@pytest.mark.parametrize(
    ("name", "data", "place"),
    [
        ("d.ttl", "k:r3 a k:rod .\n\nk:r3 k:mass .\n", r"d\.ttl:8: "),
        ("d.ttl", "k:r3 a k:rod .\nk:r3 z:mass 12 .\n", r"d\.ttl:7: "),
        ("d.trig", "k:g { k:r3 a k:rod .\n k:r3 k:mass }", r"d\.trig:7: "),
        ("d.nt", "<urn:k:r3> <urn:k:mass> <urn:k:12> .\n<urn:k:r3> <urn:k:mass> twelve .\n", r"d\.nt:2: "),
        ("d.nq", "<urn:k:r3> <urn:k:mass> <urn:k:12> .\n<urn:k:r3> <urn:k:mass> twelve .\n", r"d\.nq:2: "),
        ("d.json", '{"@id":\n\n twelve}', r"d\.json:3: "),
        ("d.json", "", r"d\.json:1: "),
        ("d.rdf", "<a>\n<b></a>", r"d\.rdf:2: "),
        ("d.rdf", "", r"d\.rdf:1: "),
        ("d.ttl", "# fünf\n<urn:k:r3> <urn:k:mass> 'zwölf' .".encode("latin-1"), r"d\.ttl:1: not UTF-8; save it as UTF-8"),
        ("d.csv", "a,b", r"d\.csv: unknown kind of file '\.csv'; known: .*\.ttl"),
        ("d.ttl.gz", PACKED[: len(PACKED) // 2], r"d\.ttl\.gz: cannot be read: "),
        ("d.ttl.gz", b"no gzip", r"d\.ttl\.gz: cannot be read: "),
        ("d.ttl.gz", PACKED[:14] + b"\xff\xff\xff" + PACKED[17:], r"d\.ttl\.gz: cannot be read: "),
    ],
)
def test_data_that_cannot_be_read_is_refused_with_its_line(judged: Any, name: str, data: Any, place: str, use: Any) -> None:
    """Whichever engine reads it, and whichever parser."""
    with pytest.raises(UsageError, match=place):
        judged(SHAPES, data, name, use)


@pytest.mark.parametrize(
    ("shapes", "line"),
    [(SHAPES + "\nk:Bar a sh:NodeShape\nk:Bolt a sh:NodeShape .", 10), ("<urn:k:Rod>\n <urn:k:name>\n 'Stäb' .".encode("latin-1"), 3)],
)
def test_shapes_that_cannot_be_read_are_refused_with_their_line(judged: Any, shapes: Any, line: int) -> None:
    """Turtle that breaks off, and bytes that are no UTF-8."""
    with pytest.raises(UsageError, match=rf"shapes\.ttl:{line}: "):
        judged(shapes, DATA)
