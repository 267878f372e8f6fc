"""Every statement is judged, by every shape that targets it, and a result stands at the shape that has it."""

from __future__ import annotations

from typing import Any

import pytest

from harness.cli.shacl import judged as verdict_of
from harness.core.verdict import Verdict
from harness.shacl.report import ShaclReport

IS_A = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <urn:k:Pump>"
ONE_LABEL = "k:OneLabel sh:targetClass k:Pump ; sh:property [ sh:path k:label ; sh:minCount 1 ; sh:maxCount 1 ] ."
CONTEXT = '"@context": {"k": "urn:k:"}'


def at(report: ShaclReport) -> dict[str, tuple[int, int]]:
    """Focus nodes and results of each shape."""
    return {item.shape.removeprefix("urn:k:"): (item.focus_nodes, item.violations) for item in report.shapes}


@pytest.mark.parametrize(
    ("name", "data", "focus", "results"),
    [
        ("d.nq", f'<urn:k:a> {IS_A} <urn:k:g> .\n<urn:k:b> {IS_A} .\n<urn:k:b> <urn:k:label> "b" .\n', 2, 1),
        ("d.nq", f'<urn:k:a> {IS_A} <urn:k:g> .\n<urn:k:a> <urn:k:label> "1" <urn:k:h> .\n<urn:k:a> <urn:k:label> "2" .\n', 1, 1),
        ("d.nq", f"<urn:k:a> {IS_A} _:g .\n", 1, 1),
        ("d.nq", f'_:a {IS_A} <urn:k:g> .\n_:a <urn:k:label> "1" <urn:k:h> .\n', 1, 0),
        ("d.nq", f'<urn:k:a> {IS_A} <urn:k:g> .\n<urn:k:a> <urn:k:label> "1" <urn:k:h> .\n<urn:k:a> <urn:k:label> "1" .\n', 1, 0),
        ("d.trig", "k:g { k:a a k:Pump . } k:h { k:a k:label '1', '2' . } k:b a k:Pump ; k:label '3' .", 2, 1),
        ("d.trig", "GRAPH k:g { k:a a k:Pump . } { k:b a k:Pump ; k:label '3' . }", 2, 1),
        ("d.trig", "[] { k:a a k:Pump . }", 1, 1),
        ("d.trig", "k:g { k:a a k:Pump . } k:h { k:a k:label '1' . }", 1, 0),
        ("d.jsonld", f'{{{CONTEXT}, "@id": "k:g", "@graph": [{{"@id": "k:a", "@type": "k:Pump"}}]}}', 1, 1),
        (
            "d.jsonld",
            (
                f'{{{CONTEXT}, "@graph": [{{"@id": "k:a", "@type": "k:Pump", "k:label": "1"}},'
                ' {"@id": "k:g", "@graph": [{"@id": "k:b", "@type": "k:Pump"}]}]}'
            ),
            2,
            1,
        ),
        (
            "d.json",
            (
                '[{"@id": "urn:k:g", "@graph": [{"@id": "urn:k:a", "@type": "urn:k:Pump"}]}, {"@id": "urn:k:h", "@graph":'
                ' [{"@id": "urn:k:a", "urn:k:label": "1"}]}, {"@id": "urn:k:a", "urn:k:label": "2"}]'
            ),
            1,
            1,
        ),
    ],
)
def test_statements_of_named_graphs_are_judged_with_all_others(judged: Any, name: str, data: str, focus: int, results: int) -> None:
    """Violations inside one graph, and those that exist only across graphs; the report says that there were some."""
    report = judged(ONE_LABEL, data, name)
    assert at(report) == {"OneLabel": (focus, results)}
    assert any("named graphs" in note for note in report.notes)


LABEL = "sh:property [ sh:path k:label ; sh:minCount 1 ] ."


@pytest.mark.parametrize(
    ("shapes", "data"),
    [
        ("k:Pump a owl:Class , sh:NodeShape ; " + LABEL, "k:p a k:Pump ."),
        ("k:Pump a rdfs:Class , sh:NodeShape ; " + LABEL, "k:p a k:Pump ."),
        (
            "k:Kind rdfs:subClassOf rdfs:Class . k:Finer rdfs:subClassOf k:Kind . k:Pump a k:Finer , sh:NodeShape ; " + LABEL,
            "k:p a k:Pump .",
        ),
        ("k:Kind rdfs:subClassOf owl:Class . k:Finer rdfs:subClassOf k:Kind . k:Pump a k:Finer ; " + LABEL, "k:p a k:Pump ."),
        ("owl:Class rdfs:subClassOf rdfs:Class . k:Pump a owl:Class , sh:NodeShape ; " + LABEL, "k:p a k:Pump ."),
        ("k:Pump a rdfs:Class ; " + LABEL, "k:p a k:Pump ."),
        ("k:Pump a owl:Class ; " + LABEL, "k:p a k:Gear . k:Gear rdfs:subClassOf k:Middle . k:Middle rdfs:subClassOf k:Pump ."),
        ("k:Pump a owl:Class , sh:PropertyShape ; sh:path k:label ; sh:minCount 1 .", "k:p a k:Pump ."),
    ],
)
def test_a_shape_that_is_a_class_targets_its_instances(judged: Any, shapes: str, data: str) -> None:
    """By owl:Class, rdfs:Class or a class of classes; typed as a shape or not; instances of subclasses in the data too."""
    report = judged(shapes, data)
    assert at(report) == {"Pump": (1, 1)}
    assert verdict_of(report) is Verdict.FAIL


def test_a_class_that_is_a_shape_keeps_its_results_beside_another_shape_of_that_class(judged: Any) -> None:
    """They do not move to the shape that has sh:targetClass."""
    other = " k:Other sh:targetClass k:Pump ; sh:property [ sh:path k:extra ; sh:maxCount 4 ] ."
    assert at(judged("k:Pump a owl:Class ; " + LABEL + other, "k:p a k:Pump .")) == {"Pump": (1, 1), "Other": (1, 0)}


SHARED = "k:Label sh:path k:label ; sh:minCount 1 . "


@pytest.mark.parametrize(
    ("shapes", "data", "wanted"),
    [
        (
            "k:A sh:targetClass k:a ; sh:property k:Label . k:B sh:targetClass k:b ; sh:property k:Label .",
            "k:1 a k:b .",
            {"A": (0, 0), "B": (1, 1)},
        ),
        (
            (
                "k:A sh:targetClass k:a ; sh:property k:Label . k:B sh:targetClass k:b ; sh:property k:Label ."
                " k:C sh:targetClass k:c ; sh:property k:Label ."
            ),
            "k:1 a k:a . k:2 a k:b ; k:label 5 . k:3 a k:c . k:4 a k:c .",
            {"A": (1, 1), "B": (1, 0), "C": (2, 2)},
        ),
        (
            (
                "k:A sh:targetClass k:a ; sh:property [ sh:path k:has ; sh:property k:Label ] ."
                " k:B sh:targetClass k:b ; sh:property [ sh:path k:has ; sh:property k:Label ] ."
            ),
            "k:1 a k:a ; k:has k:x . k:2 a k:b ; k:has k:y . k:y k:label 5 .",
            {"A": (1, 1), "B": (1, 0)},
        ),
        (
            (
                "k:A sh:targetClass k:a ; sh:property [ sh:path [ sh:inversePath k:of ] ; sh:property k:Label ] ."
                " k:B sh:targetClass k:b ; sh:property [ sh:path ( k:has k:has ) ; sh:property k:Label ] ."
                " k:C sh:targetClass k:c ; sh:property [ sh:path [ sh:oneOrMorePath k:has ] ; sh:property k:Label ] ."
            ),
            "k:1 a k:a . k:x k:of k:1 . k:2 a k:b ; k:has k:y . k:y k:has k:z ; k:label 1 . k:3 a k:c ; k:has k:v . k:v k:label 5 .",
            {"A": (1, 1), "B": (1, 1), "C": (1, 0)},
        ),
        (
            "k:A sh:targetClass k:a ; sh:property k:Label . k:B sh:targetClass k:b ; sh:property k:Label .",
            "k:1 a k:a , k:b .",
            {"A": (1, 1), "B": (1, 1)},
        ),
        (
            "k:A sh:targetClass k:a ; sh:property k:Label . k:B sh:targetClass k:b ; sh:property [ sh:path k:has ; sh:property k:Label ] .",
            "k:1 a k:a . k:2 a k:b ; k:has k:1 .",
            {"A": (1, 1), "B": (1, 1)},
        ),
        (
            "k:Label sh:targetSubjectsOf k:code . k:A sh:targetClass k:a ; sh:property k:Label .",
            "k:1 a k:a ; k:code 3 .",
            {"A": (1, 1), "Label": (1, 1)},
        ),
    ],
)
def test_a_result_of_a_shared_property_shape_stands_at_its_owner(
    judged: Any, shapes: str, data: str, wanted: dict[str, tuple[int, int]]
) -> None:
    """At the shape whose focus node it is, at the first level and below; a node of two owners counts once for each."""
    assert at(judged(SHARED + shapes, data)) == wanted


@pytest.mark.parametrize(
    ("shape", "data", "results"),
    [
        ("sh:node k:Deep", "k:1 a k:a .", 1),
        ("sh:property [ sh:path k:has ; sh:node k:Deep ]", "k:1 a k:a ; k:has k:x , k:y .", 2),
        ("sh:and ( k:Deep [ sh:nodeKind sh:IRI ] )", "k:1 a k:a .", 1),
        ("sh:or ( k:Deep [ sh:nodeKind sh:Literal ] )", "k:1 a k:a .", 1),
        ("sh:xone ( k:Deep [ sh:nodeKind sh:IRI ] )", "k:1 a k:a ; k:label 5 .", 1),
        ("sh:not k:Deep", "k:1 a k:a ; k:label 5 .", 1),
        ("sh:property [ sh:path k:has ; sh:qualifiedValueShape k:Deep ; sh:qualifiedMinCount 2 ]", "k:1 a k:a ; k:has k:x .", 1),
    ],
)
def test_what_a_shape_finds_inside_another_counts_once_and_at_the_shape_with_the_target(
    judged: Any, shape: str, data: str, results: int
) -> None:
    """The details of a result (sh:detail) are none of their own, however deep they lie."""
    deep = " k:Deep sh:node k:Deeper . k:Deeper sh:property [ sh:path k:label ; sh:minCount 1 ] ."
    report = judged(f"k:A sh:targetClass k:a ; {shape} .{deep}", data)
    assert at(report) == {"A": (1, results)}
    assert report.violation_count == results


def test_a_targeted_shape_that_another_uses_keeps_its_own_results(judged: Any) -> None:
    """sh:node to a shape with a target: each has what its own focus nodes break."""
    report = judged("k:A sh:targetClass k:a ; sh:node k:B . k:B sh:targetClass k:b ; " + LABEL, "k:1 a k:a . k:2 a k:b .")
    assert {(item.shape, item.focus_node) for item in report.violations} == {("urn:k:A", "urn:k:1"), ("urn:k:B", "urn:k:2")}


def test_shapes_without_a_name_are_told_apart_by_readable_names(judged: Any) -> None:
    """Three of them, two with the same target: three names that say the target, each with its own result."""
    shapes = "".join(
        f"[] sh:targetClass k:{target} ; sh:property [ sh:path k:{path} ; sh:minCount 1 ] .\n" for target, path in ("ax", "ay", "bx")
    )
    report = judged(shapes, "k:1 a k:a . k:2 a k:b .")
    assert [(shape.focus_nodes, shape.violations) for shape in report.shapes] == [(1, 1)] * 3
    assert len({shape.shape for shape in report.shapes}) == 3
    assert all("sh:targetClass" in shape.shape and "urn:eh:" not in shape.shape for shape in report.shapes)


@pytest.mark.parametrize(
    ("severity", "kept", "fails"),
    [
        ("sh:Info", "Info", {"info"}),
        ("sh:Warning", "Warning", {"info", "warning"}),
        ("sh:Violation", "Violation", {"info", "warning", "violation"}),
        ("k:Grave", "urn:k:Grave", {"info", "warning", "violation"}),
        ("<urn:own#Info>", "urn:own#Info", {"info", "warning", "violation"}),
    ],
)
def test_severity_is_kept_and_decides_by_the_least_that_fails(judged: Any, severity: str, kept: str, fails: set[str]) -> None:
    """SHACL's three, and one of the project's own, which counts as Violation whatever its IRI ends in."""
    report = judged(f"k:A sh:targetClass k:a ; sh:nodeKind sh:Literal ; sh:severity {severity} .", "k:1 a k:a .")
    assert report.shapes[0].severities == ((kept, 1),)
    assert report.violations[0].severity == kept
    for level in ("info", "warning", "violation"):
        assert verdict_of(report, level) is (Verdict.FAIL if level in fails else Verdict.PASS)
