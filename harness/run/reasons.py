"""Rows that follow from one reason say so in a word: what made every request of a step fail stands once, in front of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

from harness.core.errors import HarnessError
from harness.core.verdict import Verdict
from harness.run.protocols import CheckRow, Explained, RunView
from harness.run.registry import Registry
from harness.scenario.model import Plan
from harness.thresholds.grammar import parse_threshold

SAMPLES = "samples:"
SHARE = "%"


def explain(view: RunView, registry: Registry, plan: Plan, trial: str, layer: str) -> Explained:
    """What the checkers that the plan's drivers name (``explains``) tell; nothing where none does, or its samples cannot be read."""
    known = registry.names("driver")
    names = [getattr(registry.driver(name), "explains", "") for name in plan.drivers() if name in known]
    for name in dict.fromkeys(name for name in names if name and name in registry.names("checker")):
        told = getattr(registry.checker(name), "explain", None)
        try:
            return told(view, trial, layer) if told is not None else Explained()
        except HarnessError:  # the checks that read the same samples say what is wrong with them
            return Explained()
    return Explained()


def with_reasons(rows: Sequence[CheckRow], plan: Plan, explained: Explained, first: Sequence[CheckRow]) -> Iterator[CheckRow]:
    """The rows, those that follow from a reason of ``first`` shortened to its name; a broken limit on errors tells what they were."""
    steps = _steps(plan)
    all_of_them = bool(explained.whole) and explained.whole == explained.looked_at
    shares = _shares(plan)
    for row in rows:
        name = row.check.removeprefix(f"{row.trial}.")
        step = steps.get(name)
        if row.verdict is Verdict.PASS:
            yield row
        elif first and _follows(row, name, step, explained, plan, all_of_them=all_of_them):
            yield dataclasses.replace(row, reason=f"follows from {first[0].check}")
        elif name in shares and (met := _met(explained, step)):
            yield dataclasses.replace(row, reason=f"{row.reason}; failed: {met}" if row.reason else f"failed: {met}")
        else:
            yield row


def _steps(plan: Plan) -> dict[str, str]:
    """The step that a check or threshold looks at, where it names one."""
    named = {use.id: str(use.parameters["step"]) for use in plan.checks if use.parameters.get("step")}
    for use in plan.thresholds:
        if step := dict(parse_threshold(use.expression).tags).get("step"):
            named[use.id] = step
    return named


def _shares(plan: Plan) -> frozenset[str]:
    return frozenset(use.id for use in plan.thresholds if use.source.startswith(SAMPLES) and use.unit == SHARE)


def _follows(row: CheckRow, name: str, step: str | None, explained: Explained, plan: Plan, *, all_of_them: bool) -> bool:
    if step is not None:
        return step in explained.whole
    from_samples = any(use.id == name and use.source.startswith(SAMPLES) for use in plan.thresholds)
    return all_of_them and (from_samples or row.verdict is Verdict.VACUOUS)


def _met(explained: Explained, step: str | None) -> str:
    if step is not None:
        return explained.met.get(step, "")
    return "; ".join(said if len(explained.met) == 1 else f"{name}: {said}" for name, said in explained.met.items())
