"""Seeded defects of the differential: each makes one of its tests go red, so the tests are no decoration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from suites.unit.gate import test_differential as checks
from suites.unit.gate import test_sampling as sample_checks
from system.evidence.graph import engine_reference, gate
from system.evidence.graph.engines import Engines
from system.evidence.graph.sampling import Sample, Tally
from system.platform.errors import GateRefused

Arm = Callable[[pytest.MonkeyPatch], None]
Check = Callable[[Any], None]


def _confirms_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gate.Gate, "_confirm", lambda *_: None)


def _first_wins(patch: pytest.MonkeyPatch) -> None:
    def believed(batch: Any, first: Any, _second: Any, **_: Any) -> Exception:
        return GateRefused(tuple(issue.told() for issue in first[1]))

    patch.setattr(gate, "difference", believed)


def _second_wins(patch: pytest.MonkeyPatch) -> None:
    true = gate.Gate._confirm

    def confirm(self: gate.Gate, batch: Any, outside: Any, issues: Any) -> None:
        try:
            true(self, batch, outside, issues)
        except gate.EnginesDiffer as found:
            raise GateRefused(list(found.reports.values())[1]) from found

    patch.setattr(gate.Gate, "_confirm", confirm)


def _compared_by_shape(patch: pytest.MonkeyPatch) -> None:
    """Reports count as equal when as many issues name the same shapes."""
    true = gate.report
    patch.setattr(gate, "report", lambda *a: tuple(gate.Issue("", "", "", issue.shape, "") for issue in true(*a)))


def _second_sees_no_outside(patch: pytest.MonkeyPatch) -> None:
    true = gate.report
    patch.setattr(gate, "report", lambda engine, batch, known: true(engine, batch, () if engine.name == "two" else known))


def _breakdown_agrees(patch: pytest.MonkeyPatch) -> None:
    """An engine without a report is taken to agree."""

    def report(engine: Any, batch: Any, known: Any) -> Any:
        try:
            return engine.validate(batch, known)
        except Exception:  # noqa: BLE001 - the defect
            return (checks.UNIT,)

    patch.setattr(gate, "report", report)


def _samples_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sample, "offer", lambda *_: None)


def _sample_forgets(patch: pytest.MonkeyPatch) -> None:
    """A difference found behind the answer is counted and not kept."""
    true = gate.judge_sample
    patch.setattr(sample_checks, "judge_sample", lambda second, tally, _file, first: true(second, tally, lambda *_: None, first))


def _waits_for_its_turn(patch: pytest.MonkeyPatch) -> None:
    """The queue has no bound."""
    patch.setattr("system.evidence.graph.sampling.QUEUE_MAX", 10**9)


def _python_s_dollar(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(engine_reference, "_for_python", lambda shapes: shapes)


def _confirmed(draft: Any) -> None:
    checks.test_a_refusal_is_confirmed_before_it_is_told(draft)


def _undecided(draft: Any) -> None:
    checks.test_a_difference_refuses_and_accepts_nothing((checks.OTHER,), draft)


def _broken(draft: Any) -> None:
    checks.test_an_engine_without_a_report_is_a_difference("two", draft)


def _filed(_draft: Any) -> None:
    made: list[Sample] = []
    try:
        sample_checks.test_a_difference_behind_an_accepted_batch_is_filed(Tally(), made)
    finally:
        for one in made:
            one.close()


def _bounded(_draft: Any) -> None:
    made: list[Sample] = []
    try:
        sample_checks.test_a_slow_second_engine_slows_no_write(Tally(), made)
    finally:
        for one in made:
            one.close()


def _same_end(draft: Any) -> None:
    rust = pytest.importorskip("system.evidence.graph.engine_rust", exc_type=ImportError).RustShacl()
    checks.test_a_pattern_s_end_is_the_end_of_the_text_for_both("NCT00000102\n", draft, rust, engine_reference.PyShacl())


DEFECTS: dict[str, tuple[Arm, Check]] = {
    "the differential is wired to nothing": (_confirms_nothing, _confirmed),
    "a difference is settled for the first engine": (_first_wins, _undecided),
    "a difference is settled for the second engine": (_second_wins, _undecided),
    "reports are compared by shape alone": (_compared_by_shape, _undecided),
    "the second engine does not know the graph": (_second_sees_no_outside, _confirmed),
    "an engine that broke down counts as agreeing": (_breakdown_agrees, _broken),
    "nothing is sampled": (_samples_nothing, _filed),
    "what the sample finds is not kept": (_sample_forgets, _filed),
    "the sample's queue has no bound": (_waits_for_its_turn, _bounded),
    "patterns end where Python says": (_python_s_dollar, _same_end),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_turns_its_check_red(name: str, draft: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Green without the defect, red with it."""
    arm, check = DEFECTS[name]
    check(draft)
    monkeypatch.setattr(sample_checks, "PATIENCE_S", 0.5)
    arm(monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception, GateRefused, ValueError)):
        check(draft)


def test_the_gate_of_the_platform_has_both_engines() -> None:
    """What the defects are armed against is what is assembled."""
    pytest.importorskip("shacl", reason="without the Rust engine there is no differential")
    made = gate.Gate()
    assert isinstance(made._engines, Engines)
    assert made._engines.second is not None
