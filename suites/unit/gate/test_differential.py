"""The gate's two engines: they agree, every refusal is confirmed, and a difference is nobody's decision."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from suites.unit.gate.random_batches import cases
from suites.unit.gate.scripted import UNIT, Scripted
from suites.unit.gate.test_shapes import ELSEWHERE, NEGATIVES
from system.evidence.graph import rdf
from system.evidence.graph.engine_reference import PyShacl
from system.evidence.graph.engines import ENGINE_FAILED, Engines, ShaclEngine, engines
from system.evidence.graph.gate import Gate
from system.evidence.graph.sampling import Tally
from system.platform.errors import BadInput, EnginesDiffer, GateRefused, PlatformError, Unavailable
from system.platform.ports import NodeRef

pytest.importorskip("shacl", reason="the Rust engine is not installed here: pySHACL answers alone")
from system.evidence.graph.engine_rust import Followed, RustShacl, Text

OTHER = msgspec.structs.replace(UNIT, value="mile")
OUTSIDE = NodeRef("Outcome", "outside")


@pytest.fixture(scope="module")
def rust() -> RustShacl:
    return RustShacl()


@pytest.fixture(scope="module")
def reference() -> PyShacl:
    return PyShacl()


def _never(_ref: NodeRef) -> bool:
    return False


def test_random_batches_get_the_same_report_from_both(rust: RustShacl, reference: PyShacl) -> None:
    """A seeded sample; the bar gate_differential does thousands."""
    found = [(case, rust.validate(case.batch, case.known), reference.validate(case.batch, case.known)) for case in cases(20, 24)]
    assert [case for case, one, other in found if one != other] == []
    assert 4 <= sum(not one for _, one, _ in found) <= 20, "both sound and broken batches"


@pytest.mark.parametrize("shape", sorted({**NEGATIVES, **ELSEWHERE}))
def test_each_shape_s_negative_gets_the_same_report_from_both(shape: str, draft: Any, rust: RustShacl, reference: PyShacl) -> None:
    """Focus node, path, value, shape and message do not depend on who answers."""
    change = NEGATIVES[shape] if shape in NEGATIVES else ELSEWHERE[shape][0]
    batch = change(draft).batch()
    assert shape in {issue.shape.rpartition("#")[2] for issue in rust.validate(batch, ())}
    assert rust.validate(batch, ()) == reference.validate(batch, ())


@pytest.mark.parametrize("value", ["NCT00000102\n", "NCT00000102\r\n", "\nNCT00000102", "NCT00000102 "])
def test_a_pattern_s_end_is_the_end_of_the_text_for_both(value: str, draft: Any, rust: RustShacl, reference: PyShacl) -> None:
    """Python's ``$`` also stands before a last line feed; XPath's, which SHACL means, does not."""
    batch = draft.node("study", nct=value).batch()
    (issue,) = rust.validate(batch, ())
    assert (issue.value, issue.shape.rpartition("#")[2]) == (value, "NctFormat")
    assert reference.validate(batch, ()) == (issue,)


@pytest.mark.parametrize(
    ("change", "shape"),
    [
        (lambda d: d.edge("HAS_AE", count=True), "AeCountWithinDenom"),
        (lambda d: d.edge("HAS_AE", denom=False), "AeCountWithinDenom"),
        (lambda d: d.edge("DERIVES_FROM evidence", start=False), "SpanOrder"),
        (lambda d: d.node("chunk", start=True), "SpanStartInChunk"),
        (lambda d: d.node("evidence", ci_low=False), "CiLow"),
        (lambda d: d.node("evidence", p_value=True), "PValue"),
    ],
)
def test_a_truth_value_is_no_number_for_both(change: Any, shape: str, draft: Any, rust: RustShacl, reference: PyShacl) -> None:
    """SPARQL orders none against the other, so every comparison of the two is a violation."""
    batch = change(draft).batch()
    issues = rust.validate(batch, ())
    assert shape in {issue.shape.rpartition("#")[2] for issue in issues}
    assert reference.validate(batch, ()) == issues


@pytest.mark.parametrize("value", ["00", "+1", "1.50", "-0.0", "1E3"])
def test_text_that_looks_like_a_number_is_told_as_written(value: str, draft: Any, rust: RustShacl, reference: PyShacl) -> None:
    """No engine normalises a value before it judges or tells it."""
    batch = draft.node("document", pmid=f"{value}x").batch()
    assert [issue.value for issue in rust.validate(batch, ())] == [f"{value}x"] == [i.value for i in reference.validate(batch, ())]


def test_what_is_left_out_changes_no_report(rust: RustShacl) -> None:
    """The triples that no shape follows are spared the engine; with all of them it says the same."""
    for case in cases(21, 60):
        whole = Text(case.batch, case.known, Followed(frozenset(), frozenset(), everything=True))
        results = rust._shapes.validate_text(whole.ntriples, format="ntriples").results
        assert tuple(sorted({whole.issue(result) for result in results})) == rust.validate(case.batch, case.known)


def test_a_refusal_is_confirmed_before_it_is_told(draft: Any) -> None:
    """The second engine judges the very same batch and outside nodes; what passes does not wait for it."""
    first, second, tally = Scripted("one", UNIT), Scripted("two", UNIT), Tally()
    batch = draft.ends("MEASURES", target=OUTSIDE).batch()
    with pytest.raises(GateRefused) as refused:
        Gate(Engines(first, second), tally=tally).check(batch, lambda ref: ref == OUTSIDE)
    assert [(issue.value, issue.shape) for issue in refused.value.issues] == [("furlong", "UnitShape")]
    assert second.asked == first.asked == [(batch, (OUTSIDE,))]
    assert (tally.confirmed.value, tally.refusals_differ.value) == (1, 0)
    silent = Scripted("two")
    Gate(Engines(Scripted("one"), silent)).check(batch, _never)
    assert silent.asked == []


@pytest.mark.parametrize("second", [(), (OTHER,), (UNIT, OTHER)], ids=["nothing", "another value", "one more"])
def test_a_difference_refuses_and_accepts_nothing(second: tuple[Any, ...], draft: Any) -> None:
    """Neither engine is believed: both reports come with the error."""
    tally = Tally()
    with pytest.raises(EnginesDiffer, match="not written") as differ:
        Gate(Engines(Scripted("one", UNIT), Scripted("two", *second)), tally=tally).check(draft.batch(), _never)
    assert {name: [issue.value for issue in issues] for name, issues in differ.value.reports.items()} == {
        "one": ["furlong"],
        "two": [issue.value for issue in second],
    }
    assert tally.refusals_differ.value == 1


@pytest.mark.parametrize("broken", ["one", "two"])
def test_an_engine_without_a_report_is_a_difference(broken: str, draft: Any) -> None:
    """A breakdown of one engine is kept as its report; it never counts as agreement, not even with another breakdown."""
    answers: dict[str, Any] = {"one": UNIT, "two": UNIT, broken: PlatformError("stack overflow")}
    with pytest.raises(EnginesDiffer) as differ:
        Gate(Engines(Scripted("one", answers["one"]), Scripted("two", answers["two"]))).check(draft.batch(), _never)
    (issue,) = differ.value.reports[broken]
    assert (issue.shape, issue.message) == (ENGINE_FAILED, "PlatformError: stack overflow")
    both = Engines(Scripted("one", ValueError("x")), Scripted("two", ValueError("x")))
    with pytest.raises(EnginesDiffer):
        Gate(both).check(draft.batch(), _never)


def test_a_panic_of_the_engine_is_an_error_of_its_own(draft: Any, rust: RustShacl, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Rust panic is no ``Exception`` in Python and would otherwise end the thread."""

    class Panic(BaseException): ...

    monkeypatch.setattr(rust, "_shapes", Scripted("shapes"))
    monkeypatch.setattr(rust._shapes, "validate_text", lambda *_a, **_k: (_ for _ in ()).throw(Panic("index out of bounds")), raising=False)
    with pytest.raises(PlatformError, match="index out of bounds"):
        rust.validate(draft.batch(), ())


def test_a_second_engine_that_is_away_leaves_no_answer(draft: Any) -> None:
    """An unconfirmed refusal is none: the caller is asked to try again."""
    with pytest.raises(Unavailable):
        Gate(Engines(Scripted("one", UNIT), Scripted("two", Unavailable("gate", "TimeoutError")))).check(draft.batch(), _never)


def test_the_first_engine_is_the_wheel(reference: PyShacl) -> None:
    """By default, and said."""
    pair = engines(reference)
    assert (type(pair.first), pair.second) == (RustShacl, reference)
    assert pair.told() == f"{pair.first.name}, confirmed by {reference.name}"


def test_without_the_wheel_the_reference_serves_and_says_so(
    draft: Any, reference: PyShacl, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A log line, a word for operators, and the same answers."""
    monkeypatch.setitem(sys.modules, "shacl", None)
    monkeypatch.delitem(sys.modules, "system.evidence.graph.engine_rust")
    pair = engines(reference)
    assert (pair.first, pair.second) == (reference, None)
    assert "alone" in pair.told()
    assert "answers alone" in caplog.text
    with pytest.raises(GateRefused) as refused:
        Gate(pair).check(draft.edge("HAS_AE", grade=9).batch(), _never)
    assert [issue.value for issue in refused.value.issues] == ["9"]
    Gate(pair).check(draft.batch(), _never)


def test_an_only_engine_that_breaks_down_is_an_error_not_a_refusal(draft: Any) -> None:
    """Nothing confirms, so nothing is told about the batch."""
    with pytest.raises(PlatformError, match="no report") as error:
        Gate(Engines(Scripted("one", ValueError("x")), None)).check(draft.batch(), _never)
    assert not isinstance(error.value, GateRefused)


def test_shapes_are_compiled_once(draft: Any, rust: RustShacl, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch pays for them."""
    monkeypatch.setattr("system.evidence.graph.engine_rust._compiled", None)
    assert rust.validate(draft.batch(), ()) == rust.validate(draft.batch(), ()) == ()


@pytest.mark.parametrize("engine", [RustShacl, PyShacl])
def test_shapes_that_cannot_be_read_name_their_file(engine: type[ShaclEngine], tmp_path: Path) -> None:
    """And a folder without any is refused too."""
    make: Any = engine
    with pytest.raises(BadInput, match="no shapes"):
        make(tmp_path)
    (tmp_path / "broken.ttl").write_text("this is no Turtle")
    with pytest.raises(BadInput) as bad:
        make(tmp_path)
    assert bad.value.place.endswith("broken.ttl")


DETAIL = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix eh: <https://evidence-harness.example/ns#> .
@prefix ehs: <https://evidence-harness.example/shapes#> .
ehs:ArmOfStudy a sh:PropertyShape ; sh:targetClass eh:Study ; sh:path eh:HAS_ARM ; sh:message "M" ; sh:node ehs:Named .
ehs:Named a sh:NodeShape ; sh:property [ sh:path eh:name ; sh:minLength 20 ; sh:message "N" ] .
"""


def test_details_of_a_result_are_none_of_the_results(draft: Any, tmp_path: Path) -> None:
    """What explains a violation (``sh:detail``) is not counted beside it, by neither engine."""
    (tmp_path / "detail.ttl").write_text(DETAIL)
    reports = [engine.validate(draft.batch(), ()) for engine in (RustShacl(tmp_path), PyShacl(tmp_path))]
    assert reports[0] == reports[1]
    assert [(issue.shape.rpartition("#")[2], issue.path) for issue in reports[0]] == [("ArmOfStudy", rdf.NAMESPACE + "HAS_ARM")]


CLOSED = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix eh: <https://evidence-harness.example/ns#> .
@prefix ehs: <https://evidence-harness.example/shapes#> .
ehs:Closed a sh:NodeShape ; sh:closed true ; sh:ignoredProperties ( rdf:type eh:key ) ; sh:message "M" ; """


@pytest.mark.parametrize(
    "target",
    ["sh:targetClass eh:Arm", "sh:targetSubjectsOf eh:name", "sh:targetObjectsOf eh:HAS_ARM", "sh:targetClass eh:Arm, eh:Study"],
)
def test_a_closed_shape_sees_every_property(target: str, draft: Any, tmp_path: Path) -> None:
    """However it is targeted: nothing that it could refuse is left out."""
    (tmp_path / "closed.ttl").write_text(f"{CLOSED}{target} .")
    reports = [engine.validate(draft.batch(), ()) for engine in (RustShacl(tmp_path), PyShacl(tmp_path))]
    assert reports[0] == reports[1]
    assert rdf.NAMESPACE + "name" in {issue.path for issue in reports[0]}
