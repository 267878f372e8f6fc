"""Checks that a scenario has whether it lists them or not: what its thresholds and its faults imply. It cannot opt out.

A limit on a latency brings the checker that vouches for the load's clock, a fault those that prove its effect and its undoing. A check that
is written keeps its id, place and requirements, and gets at least the parameters the need asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.scenario.catalogue import Catalogue, Need
from harness.scenario.model import CheckUse, Scenario

SAID = "uncertified: the scenario says so; its latency figures are not to be believed"
UNVOUCHED = "uncertified: no check vouches for the clock behind"


def with_implied(scenario: Scenario, catalogue: Catalogue, *, uncertified: bool) -> Scenario:
    """The scenario with its implied checks; with ``uncertified`` without those of latency, and with the word in its place."""
    steps = {step.name: step.driver for step in scenario.timeline}
    implied = catalogue.implied(steps, [use.expression for use in scenario.thresholds])
    needs = {name: need for name, need in implied.checks.items() if need.steps or not uncertified}
    reason = SAID if uncertified else f"{UNVOUCHED} {', '.join(implied.unvouched)}" if implied.unvouched else ""
    checks = (*_widened(scenario.checks, needs, catalogue), *_added(scenario.checks, needs, catalogue))
    faults = tuple(step for step in steps if any(step in need.steps for need in needs.values()))
    return msgspec.structs.replace(scenario, checks=checks, uncertified=reason, faults=faults)


def _widened(checks: Sequence[CheckUse], needs: Mapping[str, Need], catalogue: Catalogue) -> list[CheckUse]:
    """The written checks; of two of one checker the first answers for the need."""
    open_needs = dict(needs)
    found = []
    for use in checks:
        need = open_needs.pop(use.checker, None)
        wider: Mapping[str, Any] = use.parameters if need is None else catalogue.implied_parameters(use.checker, need, use.parameters)
        found.append(msgspec.structs.replace(use, parameters=wider))
    return found


def _added(checks: Sequence[CheckUse], needs: Mapping[str, Need], catalogue: Catalogue) -> list[CheckUse]:
    written, taken = {use.checker for use in checks}, {use.id for use in checks}
    return [
        CheckUse(
            id=name if name not in taken else f"{name}.implied",
            checker=name,
            parameters=catalogue.implied_parameters(name, need, {}),
        )
        for name, need in needs.items()
        if name not in written
    ]
