"""From a scenario and a seed to a plan. The same seed gives the same bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.core.errors import UsageError
from harness.core.seeds import Seeds
from harness.scenario.draws import draw_all, draw_duration_ns
from harness.scenario.model import PLAN_VERSION, Plan, PlannedAct, ProbeUse, Scenario, Step


def make_plan(scenario: Scenario, seed: int) -> Plan:
    """Draw everything random; each step has a stream of its own, so that editing one step leaves the others' draws alone."""
    seeds = Seeds(seed)
    steps = tuple(step.name for step in scenario.timeline)
    acts = [_act(scenario.name, "driver", step.driver, step, step.after, seeds) for step in scenario.timeline]
    acts += [_act(scenario.name, "probe", probe.probe, probe, probe.after or steps, seeds) for probe in scenario.probes]
    if cycle := find_cycle({act.name: act.after for act in acts}):
        raise UsageError(f"`after` goes in a circle: {' → '.join(cycle)}", file=scenario.file, remedy="remove one of them")
    return Plan(
        v=PLAN_VERSION,
        scenario=scenario.name,
        title=scenario.title,
        layer=scenario.layer,
        profile=scenario.profile,
        seed=seed,
        deadline_ns=scenario.deadline_ns,
        requires=scenario.requires,
        requirements=scenario.requirements,
        acts=tuple(acts),
        phases=scenario.phases,
        thresholds=scenario.thresholds,
        checks=scenario.checks,
        uncertified=scenario.uncertified,
        faults=scenario.faults,
    )


def _act(scenario: str, kind: str, uses: str, written: Step | ProbeUse, after: tuple[str, ...], seeds: Seeds) -> PlannedAct:
    return PlannedAct(
        name=written.name,
        kind=kind,
        uses=uses,
        parameters=draw_all(dict(written.parameters), seeds.stream(f"{scenario}/{written.name}/with")),
        offset_ns=draw_duration_ns(written.at, seeds.stream(f"{scenario}/{written.name}/at")),
        after=after,
    )


def find_cycle(after: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """A circle of names, first and last equal; empty when there is none. Names that are not keys are leaves."""
    done: set[str] = set()
    for start in sorted(after):
        trail: list[str] = []
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                done.add(trail.pop())
            elif name in trail:
                return (*trail[trail.index(name) :], name)
            elif name not in done and name in after:
                trail.append(name)
                stack.append((name, True))
                stack += [(following, False) for following in sorted(after[name], reverse=True)]
    return ()
