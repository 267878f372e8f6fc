"""The engines are held against each other: a difference decides nothing, and both answers are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from harness.cli.shacl import judged as verdict_of
from harness.core.errors import HarnessError
from harness.core.verdict import Verdict
from harness.journal.events import ShapeChecked
from harness.shacl import judging
from harness.shacl.checks import ShaclReportChecker, ShaclReportParameters
from harness.shacl.engines import EngineBroke, Findings, PyShacl, RustShacl
from harness.shacl.report import IdleShape, ShaclReport, ShapeResult, Violation, decode_report

SHAPES = "k:Lamp sh:targetClass k:lamp ; sh:property [ sh:path k:watt ; sh:minCount 1 ; sh:maxInclusive 60 ] ."
GOOD = "k:l1 a k:lamp ; k:watt 40 . k:l2 a k:lamp ; k:watt 25 ."
BAD = "k:l1 a k:lamp ; k:watt 75 . k:l2 a k:lamp ."


class Planted:
    """The reference engine with a fault."""

    name = "pySHACL planted"

    def __init__(self, fault: Callable[[Findings], Findings]) -> None:
        self._fault = fault
        self.asked = 0

    def judge(self, shapes: Any, data: Any) -> Findings:
        self.asked += 1
        return self._fault(PyShacl().judge(shapes, data))


def forgets(found: Findings) -> Findings:
    return msgspec.structs.replace(found, results=found.results[1:])


def forgets_all(found: Findings) -> Findings:
    return msgspec.structs.replace(found, results=())


def invents(found: Findings) -> Findings:
    more = msgspec.structs.replace(found.results[0], focus="<urn:k:l9>") if found.results else None
    return msgspec.structs.replace(found, results=(*found.results, *([more] if more else [])))


def other_severity(found: Findings) -> Findings:
    changed = [msgspec.structs.replace(one, severity="http://www.w3.org/ns/shacl#Info") for one in found.results]
    return msgspec.structs.replace(found, results=tuple(changed))


def other_value(found: Findings) -> Findings:
    return msgspec.structs.replace(found, results=tuple(msgspec.structs.replace(one, value='"75"') for one in found.results))


def sees_less(found: Findings) -> Findings:
    return msgspec.structs.replace(found, focus={shape: frozenset(sorted(nodes)[1:]) for shape, nodes in found.focus.items()})


def gives_up(found: Findings) -> Findings:
    raise EngineBroke("planted gave up")


def same(found: Findings) -> Findings:
    return found


def _plant(monkeypatch: Any, *engines: Any) -> None:
    monkeypatch.setattr(judging, "engines", lambda: engines)


@pytest.mark.parametrize("fault", [forgets, forgets_all, invents, other_severity, other_value, sees_less, gives_up])
def test_a_refusal_that_the_other_engine_does_not_confirm_decides_nothing(judged: Any, monkeypatch: Any, fault: Any) -> None:
    """ERROR, exit 5, with each difference and what both found."""
    _plant(monkeypatch, RustShacl(), Planted(fault))
    report = judged(SHAPES, BAD, use="confirmed")
    assert report.differences
    assert verdict_of(report).exit_code == 5
    assert report.violation_count == 2, "what the first one found is kept"
    kept = {forgets: 1, forgets_all: 0, invents: 3, gives_up: 0}
    assert len(report.reference) == kept.get(fault, 2)
    assert "shacl " in report.validator
    assert "planted" in report.validator


@pytest.mark.parametrize("fault", [sees_less, gives_up])
def test_a_graph_that_is_accepted_is_checked_by_the_other_engine_only_where_that_is_asked_for(
    judged: Any, monkeypatch: Any, fault: Any
) -> None:
    """confirmed does not ask it, both does."""
    planted = Planted(fault)
    _plant(monkeypatch, RustShacl(), planted)
    assert (verdict_of(judged(SHAPES, GOOD, use="confirmed")), planted.asked) == (Verdict.PASS, 0)
    assert (verdict_of(judged(SHAPES, GOOD, use="both")), planted.asked) == (Verdict.ERROR, 1)


def test_a_first_engine_that_forgets_everything_is_found_out_by_both(judged: Any, monkeypatch: Any) -> None:
    """It accepts; the reference does not."""
    _plant(monkeypatch, Planted(forgets_all), PyShacl())
    report = judged(SHAPES, BAD, use="both")
    assert verdict_of(report) is Verdict.ERROR
    assert len(report.reference) == 2


def test_a_first_engine_that_gives_up_is_an_error_and_no_answer(judged: Any, monkeypatch: Any) -> None:
    """Nothing is judged by it."""
    _plant(monkeypatch, Planted(gives_up), PyShacl())
    with pytest.raises(HarnessError, match="gave up"):
        judged(SHAPES, GOOD, use="confirmed")


@pytest.mark.parametrize(("data", "asked", "verdict"), [(BAD, 1, Verdict.FAIL), (GOOD, 0, Verdict.PASS)])
def test_a_refusal_that_is_confirmed_is_told_with_both_engines(
    judged: Any, monkeypatch: Any, data: str, asked: int, verdict: Verdict
) -> None:
    """And an accepted graph names the one that judged."""
    planted = Planted(same)
    _plant(monkeypatch, RustShacl(), planted)
    report = judged(SHAPES, data, use="confirmed")
    assert (planted.asked, verdict_of(report), report.reference) == (asked, verdict, ())
    assert ("planted" in report.validator) == bool(asked)


@pytest.mark.parametrize(("data", "verdict"), [(BAD, Verdict.FAIL), (GOOD, Verdict.PASS)])
def test_where_the_wheel_is_absent_pyshacl_serves_and_says_so(judged: Any, monkeypatch: Any, data: str, verdict: Verdict) -> None:
    """In confirmed and in both; asked for alone it is nothing to tell; the wheel alone is refused by name."""
    _plant(monkeypatch, PyShacl())
    for use, notes in (("confirmed", (judging.ALONE,)), ("both", (judging.ALONE,)), ("pyshacl", ())):
        report = judged(SHAPES, data, use=use)
        assert (verdict_of(report), report.notes) == (verdict, notes)
        assert report.validator.startswith("pySHACL ")
    with pytest.raises(HarnessError, match="shacl is not installed"):
        judged(SHAPES, data, use="shacl")


@pytest.mark.parametrize(("use", "name"), [("shacl", "shacl "), ("pyshacl", "pySHACL ")])
def test_one_engine_alone_judges_and_is_named(judged: Any, use: str, name: str) -> None:
    """Both give the same."""
    report = judged(SHAPES, BAD, use=use)
    assert report.validator.startswith(name)
    assert " and " not in report.validator
    assert [(item.shape, item.focus_nodes, item.violations) for item in report.shapes] == [("urn:k:Lamp", 2, 2)]


OLD = b"""{"validator": "pyshacl 0.30.1", "triples": 9, "conforms": %s,
"shapes": [{"shape": "urn:k:Lamp", "focus_nodes": 3, "violations": %d}],
"violation_count": %d, "violations": []}"""


@pytest.mark.parametrize(("old", "verdict"), [(OLD % (b"true", 0, 0), Verdict.PASS), (OLD % (b"false", 2, 2), Verdict.FAIL)])
def test_reports_from_before_severities_are_judged_as_before(old: bytes, verdict: Verdict) -> None:
    """At every level that fails."""
    report = decode_report(old)
    assert [verdict_of(report, level) for level in ("info", "warning", "violation")] == [verdict] * 3
    rows = _rows(report)
    assert (rows["violations"], rows["engines"], rows["coverage"]) == (verdict, Verdict.PASS, Verdict.PASS)


def _rows(report: ShaclReport, journal: Sequence[tuple[str, int, int]] | None = None, **parameters: Any) -> dict[str, Verdict]:
    told = journal if journal is not None else [(item.shape, item.focus_nodes, item.violations) for item in report.shapes]

    class View:
        def evidence(self, name: str, trial: str) -> bytes:
            return msgspec.json.encode(report)

        def events(self, name: str, trial: str) -> list[Any]:
            events = [
                ShapeChecked(trial=trial, shape=shape, focus_nodes=nodes, violations=count, detail="") for shape, nodes, count in told
            ]
            return [type("Item", (), {"event": event}) for event in events]

    view: Any = View()
    rows = ShaclReportChecker().check(view, "t", "shacl", ShaclReportParameters(step="s", **parameters))
    return {row.check.rpartition(".")[2]: row.verdict for row in rows}


LAMP = ShapeResult("urn:k:Lamp", 2, 0)
CLEAN = ShaclReport("shacl 0.3.4", 6, conforms=True, shapes=(LAMP,), violation_count=0, violations=())
BROKEN = msgspec.structs.replace(
    CLEAN,
    conforms=False,
    shapes=(ShapeResult("urn:k:Lamp", 2, 1, (("Warning", 1),)),),
    violation_count=1,
    violations=(Violation("urn:k:l1", "urn:k:watt", "75", "urn:k:Lamp", "more than 60", "Warning"),),
)


@pytest.mark.parametrize(
    ("report", "more", "row", "verdict"),
    [
        (CLEAN, {}, "engines", Verdict.PASS),
        (msgspec.structs.replace(BROKEN, differences=("only one of them: k:l1",)), {}, "engines", Verdict.ERROR),
        (CLEAN, {}, "violations", Verdict.PASS),
        (BROKEN, {}, "violations", Verdict.FAIL),
        (BROKEN, {"fail_on": "warning"}, "violations", Verdict.FAIL),
        (BROKEN, {"fail_on": "violation"}, "violations", Verdict.PASS),
        (msgspec.structs.replace(CLEAN, conforms=False), {}, "violations", Verdict.FAIL),
        (CLEAN, {}, "coverage", Verdict.PASS),
        (msgspec.structs.replace(CLEAN, shapes=(LAMP, ShapeResult("urn:k:Bulb", 0, 0))), {}, "coverage", Verdict.VACUOUS),
        (msgspec.structs.replace(CLEAN, idle=(IdleShape("urn:k:Bulb", "it is deactivated"),)), {}, "coverage", Verdict.VACUOUS),
        (msgspec.structs.replace(CLEAN, shapes=()), {}, "coverage", Verdict.VACUOUS),
        (CLEAN, {"journal": ()}, "journal", Verdict.FAIL),
        (CLEAN, {"journal": (("urn:k:Lamp", 1, 0),)}, "journal", Verdict.FAIL),
        (CLEAN, {"journal": (("urn:k:Lamp", 2, 3),)}, "journal", Verdict.FAIL),
        (CLEAN, {}, "journal", Verdict.PASS),
        (CLEAN, {"minimum_triples": 7}, "graph", Verdict.VACUOUS),
        (msgspec.structs.replace(CLEAN, triples=None), {}, "graph", Verdict.VACUOUS),
    ],
)
def test_each_row_of_the_checker_is_decided_by_its_own_part_of_the_report(
    report: ShaclReport, more: dict[str, Any], row: str, verdict: Verdict
) -> None:
    """engines, violations, coverage, journal and graph."""
    assert _rows(report, **more)[row] is verdict
