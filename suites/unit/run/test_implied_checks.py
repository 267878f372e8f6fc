"""What a scenario implies it cannot leave out: latency brings its certificate, a fault its proof and its residue."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest

from harness.core.verdict import Verdict
from harness.journal.events import FaultIntended
from harness.run.protocols import CheckRow, RunView, StepContext
from harness.run.registry import Registry
from harness.run.trial import run_trial
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario
from harness.scenario.model import Scenario

LOAD = """
name: quick
title: A load without any check
layer: load
timeline:
  - {step: load, driver: open_loop, with: {rate: 90 /s, duration: 20 s, requests: ask}}
thresholds:
"""
KILLS = """
name: drill
title: Two kills and no word of proof
layer: chaos
timeline:
  - {step: first, driver: kill, with: {service: db}}
  - {step: second, driver: kill, with: {service: web}, after: first}
"""


def loaded(text: str) -> Scenario:
    return parse_scenario(textwrap.dedent(text).encode(), "s.yaml", Registry.discover())


def with_limits(*expressions: str, more: str = "") -> Scenario:
    return loaded(LOAD + "".join(f"  - {{id: t{n}, expr: '{text}'}}\n" for n, text in enumerate(expressions)) + more)


def parameters(scenario: Scenario, checker: str) -> list[Any]:
    return [use.parameters for use in scenario.checks if use.checker == checker]


@pytest.mark.parametrize(
    "expression",
    [
        "response_time: p(95) < 700 ms",
        "service_time{op=ask}: mean < 700 ms",
        "first_byte_time: max <= 700 ms",
        "response_time: median < 700 ms",
        "event_gap: p(90) < 700 ms",
    ],
)
def test_the_first_latency_limit_brings_its_certificate(expression: str) -> None:
    """In every form, with the limit as its band."""
    assert parameters(with_limits(expression), "certificate") == [{"tightest_limit": "0.7 s"}]


@pytest.mark.parametrize("expression", ["errors: rate <= 2 %", "schedule_lag: p(95) < 10 ms"])
def test_what_is_no_latency_of_the_system_brings_none(expression: str) -> None:
    """Errors need no clock; the lag is the generator's own."""
    scenario = with_limits(expression)
    assert (parameters(scenario, "certificate"), scenario.uncertified) == ([], "")


def test_the_tightest_tail_is_the_limit() -> None:
    """A median beside tails is bounded by what bounds them."""
    scenario = with_limits("response_time: p(95) < 700 ms", "service_time: max < 2 s", "response_time: p(50) < 90 ms")
    assert parameters(scenario, "certificate") == [{"tightest_limit": "0.7 s"}]


@pytest.mark.parametrize(("written", "counts"), [("3 h", "0.7 s"), ("700 ms", "0.7 s"), ("150 ms", "0.15 s")])
def test_a_written_certificate_may_ask_for_more_and_never_for_less(written: str, counts: str) -> None:
    """A limit of 3 h would vouch for anything."""
    more = f"checks:\n  - {{checker: certificate, id: mine, with: {{tightest_limit: {written}}}}}\n"
    scenario = with_limits("response_time: p(95) < 700 ms", more=more)
    assert [(use.id, use.parameters) for use in scenario.checks] == [("mine", {"tightest_limit": counts})]


def test_uncertified_is_said_and_brings_no_certificate() -> None:
    """The word stands in the plan, for the judge."""
    scenario = with_limits("response_time: p(95) < 700 ms", more="uncertified: true\n")
    assert parameters(scenario, "certificate") == []
    assert scenario.uncertified.startswith("uncertified:")


def test_a_fault_brings_its_proof_and_its_residue() -> None:
    """Every step that is a fault, in one check each."""
    scenario = loaded(KILLS)
    assert (parameters(scenario, "proof_of_effect"), parameters(scenario, "no_residue")) == ([{"faults": ["first", "second"]}], [{}])


def test_a_written_proof_covers_all_faults() -> None:
    """Listing one of two faults leaves neither out."""
    scenario = loaded(KILLS + "checks:\n  - {checker: proof_of_effect, with: {faults: [second]}}\n")
    assert parameters(scenario, "proof_of_effect") == [{"faults": ["second", "first"]}]


class Nothing(msgspec.Struct, frozen=True):
    pass


class Liar:
    """Does harm and declares nothing."""

    name: ClassVar[str] = "liar"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing
    metrics: ClassVar[tuple[Any, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: Nothing) -> None:
        fault = FaultIntended(trial=context.trial, fault=context.step, kind="lie", target="db", undo="none", at_ns=context.now_ns())
        context.journal.emit(fault)


class OpenLiar(Liar):
    """Declares what asks for the undoing that it never does."""

    name: ClassVar[str] = "open_liar"
    implies: ClassVar[tuple[str, ...]] = ("residue",)


class Residue:
    name: ClassVar[str] = "residue"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing

    def check(self, view: RunView, trial: str, layer: str, parameters: Nothing) -> Sequence[CheckRow]:
        left = len(view.events("fault.intended", trial=trial)) - len(view.events("fault.undone", trial=trial))
        return [CheckRow(check=self.name, layer=layer, verdict=Verdict.FAIL if left else Verdict.PASS)]


@pytest.mark.parametrize(
    ("driver", "row", "verdict"), [("liar", "drill.fault_declared.hit", "ERROR"), ("open_liar", "drill.residue", "FAIL")]
)
def test_a_fault_without_undo_never_passes(make_run: Any, registry: Registry, driver: str, row: str, verdict: str) -> None:
    """Declared or not."""
    wings = {Reference("driver", "liar"): Liar, Reference("driver", "open_liar"): OpenLiar, Reference("checker", "residue"): Residue}
    wide = registry.added(wings)
    text = f"name: drill\ntitle: t\nlayer: chaos\ntimeline: [{{step: hit, driver: {driver}}}]\n"
    with make_run(registry=wide) as run:
        run_trial(run, parse_scenario(text.encode(), "s.yaml", wide))
    assert {one.check: str(one.verdict) for one in run.finished.summary.rows}[row] == verdict


def test_an_uncertified_latency_is_inconclusive_with_that_word(make_run: Any, scenario: Any, shop_text: str) -> None:
    """A figure that would pass, and a certificate that would too."""
    with make_run() as run:
        run_trial(run, scenario(shop_text + "\nuncertified: true\n"))
    rows = {row.check: row for row in run.finished.summary.rows}
    assert rows["shop.p95"].verdict is Verdict.INCONCLUSIVE
    assert rows["shop.p95"].reason.startswith("uncertified")
