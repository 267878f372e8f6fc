"""What judges nothing is never PASS: the shape is named with the reason, or refused; beside each stands the same shape put right."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.shacl import judged as verdict_of
from harness.core.errors import UsageError
from harness.core.verdict import Verdict

VALVE = "k:Valve sh:targetClass k:valve ; "
OTHER = " k:Other sh:targetClass k:valve ; sh:property [ sh:path k:extra ; sh:maxCount 9 ] ."
BORE = "sh:property [ sh:path k:bore ; sh:minCount 1 ]"
DATA = "k:v7 a k:valve ; k:bore 40 ."
QUERY = 'sh:select "SELECT $this WHERE { $this a <urn:k:tap> }"'
CASES = {  # what judges nothing; the shape that is named; a word of the reason; the same put right
    "deactivated shape": (VALVE + "sh:deactivated true ; " + BORE, "Valve", "deactivated", VALVE + "sh:deactivated false ; " + BORE),
    "deactivated property": (
        VALVE + "sh:property [ sh:path k:bore ; sh:minCount 1 ; sh:deactivated true ] ; sh:nodeKind sh:IRI",
        "the property bore of Valve",
        "deactivated",
        VALVE + BORE + " ; sh:nodeKind sh:IRI",
    ),
    "constraint-free": (VALVE + 'sh:name "valve"', "Valve", "no constraint", VALVE + "sh:nodeKind sh:IRI"),
    "constraint-free property": (VALVE + 'sh:property [ sh:path k:bore ; sh:description "mm" ]', "Valve", "checks anything", VALVE + BORE),
    "least count of 0": (VALVE + "sh:property [ sh:path k:bore ; sh:minCount 0 ]", "Valve", "checks anything", VALVE + BORE),
    "untargeted": ("k:Valve a sh:NodeShape ; " + BORE, "Valve", "no target", VALVE + BORE),
    "untargeted, used by what is idle": (
        "k:Valve sh:node k:Inner . k:Inner sh:nodeKind sh:IRI",
        "Valve",
        "no target",
        VALVE + "sh:node k:Inner . k:Inner sh:nodeKind sh:IRI",
    ),
    "sh:js alone": (VALVE + 'sh:js [ sh:jsFunctionName "f" ]', "Valve", "sh:js is not evaluated", VALVE + BORE),
    "sh:js beside another": (VALVE + 'sh:js [ sh:jsFunctionName "f" ] ; ' + BORE, "Valve", "sh:js is not evaluated", VALVE + BORE),
    "sh:expression alone": (VALVE + "sh:expression [ sh:path k:bore ]", "Valve", "sh:expression is not", VALVE + BORE),
    "sh:expression beside another": (VALVE + "sh:expression [ sh:path k:bore ] ; " + BORE, "Valve", "sh:expression is not", VALVE + BORE),
    "SPARQL target": (
        "k:Valve sh:target [ a <http://www.w3.org/ns/shacl#SPARQLTarget> ; sh:select 'SELECT ?this { ?this a <urn:k:valve> }' ] ; " + BORE,
        "Valve",
        "sh:target is not evaluated",
        VALVE + BORE,
    ),
    "SPARQL target beside another": (
        VALVE + "sh:target [ a <http://www.w3.org/ns/shacl#SPARQLTarget> ; sh:select 'SELECT ?this { ?this a <urn:k:tap> }' ] ; " + BORE,
        "Valve",
        "sh:target is not evaluated",
        VALVE + BORE,
    ),
    "sh:node to nowhere": (VALVE + "sh:node k:Inwards", "Inwards", "no file describes it", VALVE + "sh:node k:Inner . k:Inner " + BORE),
    "sh:and with one of nowhere": (
        VALVE + "sh:and ( k:Inwards [ sh:nodeKind sh:IRI ] )",
        "Inwards",
        "no file describes it",
        VALVE + "sh:and ( k:Inner [ sh:nodeKind sh:IRI ] ) . k:Inner " + BORE,
    ),
    "only sh:closed false": (
        VALVE + "sh:closed false ; sh:ignoredProperties ( k:bore )",
        "Valve",
        "no constraint",
        VALVE + "sh:closed true ; sh:ignoredProperties ( k:bore <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> )",
    ),
    "only uniqueLang false": (
        VALVE + "sh:property [ sh:path k:bore ; sh:uniqueLang false ]",
        "Valve",
        "checks anything",
        VALVE + "sh:property [ sh:path k:bore ; sh:uniqueLang true ]",
    ),
    "qualifiedValueShape without counts": (
        VALVE + "sh:property [ sh:path k:bore ; sh:qualifiedValueShape [ sh:nodeKind sh:Literal ] ]",
        "Valve",
        "checks anything",
        VALVE + "sh:property [ sh:path k:bore ; sh:qualifiedValueShape [ sh:nodeKind sh:Literal ] ; sh:qualifiedMaxCount 3 ]",
    ),
    "deactivated query": (
        VALVE + f"sh:sparql [ sh:deactivated true ; {QUERY} ]",
        "Valve",
        "no constraint",
        VALVE + f"sh:sparql [ {QUERY} ]",
    ),
    "deactivated query beside another": (
        VALVE + f"sh:sparql [ sh:deactivated true ; {QUERY} ] ; " + BORE,
        "Valve",
        "sh:sparql is deactivated",
        VALVE + f"sh:sparql [ {QUERY} ] ; " + BORE,
    ),
    "used, and deactivated": (
        VALVE + "sh:node k:Inner . k:Inner sh:deactivated true ; " + BORE,
        "Inner",
        "deactivated",
        VALVE + "sh:node k:Inner . k:Inner " + BORE,
    ),
    "misspelt kind of shape": ("k:Valve a sh:NodeShap", "Valve", "sh:NodeShap is no word of SHACL", VALVE + BORE),
}


def _short(name: str) -> str:
    return name.replace("urn:k:", "")


@pytest.mark.parametrize("case", CASES)
def test_a_shape_that_judges_nothing_is_vacuous_by_name(judged: Any, case: str) -> None:
    """Alone, and beside a shape that does judge."""
    idle, named, reason, _ = CASES[case]
    for shapes in (f"{idle} .", f"{idle} .{OTHER}"):
        report = judged(shapes, DATA)
        assert verdict_of(report) is Verdict.VACUOUS
        assert any(_short(item.shape) == named and reason in item.reason for item in report.idle), report.idle


@pytest.mark.parametrize("case", CASES)
def test_the_same_shape_put_right_passes(judged: Any, case: str) -> None:
    """So that none of them is VACUOUS for another reason."""
    report = judged(f"{CASES[case][3]} .", DATA)
    assert verdict_of(report) is Verdict.PASS, (report.idle, report.violations)


def test_an_untargeted_shape_that_a_targeted_one_uses_is_covered(judged: Any) -> None:
    """It judges, through its user."""
    report = judged(f"{VALVE} sh:node k:Inner . k:Inner a sh:NodeShape ; {BORE} .", DATA)
    assert (verdict_of(report), report.idle) == (Verdict.PASS, ())


def test_a_misspelt_class_in_the_target_looks_at_nothing(judged: Any) -> None:
    """Named among the shapes that have no focus nodes."""
    report = judged(f"k:Valve sh:targetClass k:vavle ; {BORE} .{OTHER}", DATA)
    assert (verdict_of(report), report.unseen) == (Verdict.VACUOUS, ("urn:k:Valve",))


@pytest.mark.parametrize(
    ("shapes", "word", "meant"),
    [
        (VALVE + "sh:property [ sh:path k:bore ; sh:minlength 1 ]", "sh:minlength", "sh:minLength"),
        (VALVE + "sh:property [ sh:path k:bore ; sh:datatyp xsd:integer ]", "sh:datatyp", "sh:datatype"),
        (VALVE + "sh:propery [ sh:path k:bore ; sh:minCount 1 ]", "sh:propery", "sh:property"),
        ("k:Valve a sh:NodeShape ; sh:targetclass k:valve ; " + BORE, "sh:targetclass", "sh:targetClass"),
        (VALVE + BORE + " ; a sh:Nodeshape", "sh:Nodeshape", "sh:NodeShape"),
        (VALVE + BORE + " ; sh:deactivate true", "sh:deactivate", "sh:deactivated"),
    ],
)
def test_a_misspelt_word_is_refused_with_the_nearest(judged: Any, shapes: str, word: str, meant: str) -> None:
    """Engines pass over what they do not know: it is never left to them."""
    with pytest.raises(UsageError, match=rf"shapes\.ttl:6: .*no word {word} .*did you mean '{meant}'"):
        judged(f"{shapes} .", DATA)


def test_shapes_files_without_a_shape_are_vacuous_and_say_so(judged: Any) -> None:
    """Nothing looked at anything."""
    report = judged("k:v7 k:bore 40 .", DATA)
    assert (verdict_of(report), report.notes) == (Verdict.VACUOUS, ("no shape stands in the shapes files",))
