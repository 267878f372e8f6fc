"""What counts as found, and what clean runs are worth."""

from __future__ import annotations

import pytest

from harness.core.verdict import Verdict
from harness.defects.score import Finding, Tried, checks, false_alarm_bound, findings, score
from harness.run.protocols import CheckRow


def tried(defect: str, layers: tuple[str, ...], *red: str, reached: bool = True) -> Tried:
    found = tuple(Finding(check, check.partition(".")[0]) for check in red)
    return Tried(defect, "breaks", layers, found, reached, completed=True, seconds=1.0, run="r", trial="t")


def test_only_a_right_layer_finds():
    """Red elsewhere is no detection; a defect that never took effect is none either."""
    found = score(
        [
            tried("a", ("e2e",), "e2e.quotes", "shacl.refusals"),
            tried("b", ("shacl",), "e2e.quotes"),
            tried("c", ("e2e", "shacl"), "shacl.refusals"),
            tried("d", ("e2e",), "e2e.quotes", reached=False),
        ]
    )
    assert (found.found, found.total) == (2, 4)
    assert found.missed == ("b",)
    assert found.unreached == ("d",)
    assert {name: (layer.expected, layer.found) for name, layer in found.by_layer.items()} == {"e2e": (3, 2), "shacl": (2, 1)}


def test_what_could_not_be_judged_finds_nothing():
    """Only FAIL counts; the row that says whether the defect took effect judges the trial, not the system."""
    rows = [
        CheckRow(check="t.e2e.quotes", layer="e2e", verdict=Verdict.FAIL, reason="why"),
        CheckRow(check="t.e2e.tables", layer="e2e", verdict=Verdict.ERROR),
        CheckRow(check="t.defect_reached", layer="e2e", verdict=Verdict.FAIL),
    ]
    assert findings(rows, "t") == (Finding("e2e.quotes", "e2e", "why"),)


def test_checks_are_proved_under_the_names_of_the_suites_too():
    """A test that judges by the same function is proved by the same defects."""
    found = checks([tried("a", ("e2e",), "e2e.quotes"), tried("b", ("e2e",), "e2e.quotes")], {"e2e.quotes": ("suite.py::test",)})
    assert found == {"e2e.quotes": ["a", "b"], "suite.py::test": ["a", "b"]}


@pytest.mark.parametrize(("runs", "bound"), [(0, 1.0), (1, 0.95), (100, 0.0295), (300, 0.00994)])
def test_the_bound_of_clean_runs_is_about_three_over_n(runs, bound):
    """Exact at 95 %: 1 - 0.05^(1/N)."""
    assert false_alarm_bound(runs) == pytest.approx(bound, rel=0.01)
