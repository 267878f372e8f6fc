"""What a scenario would do, said without doing it: every step's start, and each request of the drivers that can tell.

A driver that knows its timeline beforehand has a method ``rehearse``; it reads files and draws from its seed, and touches neither
network nor system. With the seed of a run the rehearsal is that run's first trial, to the nanosecond from each step's start.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.core.seeds import Seeds
from harness.run.registry import Registry
from harness.scenario.catalogue import Reference
from harness.scenario.model import Plan, PlannedAct, Scenario
from harness.scenario.parameters import decode_parameters
from harness.scenario.plan import make_plan

Sending = tuple[int, str, int, int]  # ns from the step's start, operation, number of the body in its pool, number of the principal


@dataclasses.dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a driver may look at: the project's files and its seed."""

    step: str
    seed: int
    project: Path
    configuration: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class StepTimeline:
    """``duration_ns`` is None where the answers decide how long the step takes. ``sendings`` are sorted by time."""

    duration_ns: int | None
    sendings: Iterator[Sending]


@runtime_checkable
class Rehearsing(Protocol):
    """A driver that can say its timeline."""

    def rehearse(self, rehearsal: Rehearsal, parameters: Any) -> StepTimeline: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """A line of the timeline, ns from the trial's start. ``op`` is ``driver:NAME`` or ``probe:NAME`` where a step begins; no body then."""

    t_ns: int
    op: str
    body: int | None
    principal: int | None
    step: str


@dataclasses.dataclass(frozen=True, slots=True)
class ScenarioTimeline:
    """``notes``: what nobody can know beforehand, a sentence each."""

    rows: Iterator[Row]
    notes: tuple[str, ...]
    sends: int  # steps that said their requests


def scenario_timeline(
    scenario: Scenario, registry: Registry, project: Path, configuration: Mapping[str, Any], root_seed: int
) -> ScenarioTimeline:
    """The timeline of the first trial of a run with that seed. Raises ``UsageError`` for what a driver cannot plan."""
    plan = make_plan(scenario, Seeds(root_seed).derive(f"trial/{scenario.name}"))
    timelines = {act.name: _rehearsed(act, plan, registry, project, configuration) for act in plan.acts}
    starts, notes = _starts(plan.acts, timelines)
    rows = heapq.merge(*(_rows(act, starts[act.name], timelines[act.name]) for act in plan.acts), key=lambda row: row.t_ns)
    return ScenarioTimeline(rows, notes, sum(timeline is not None for timeline in timelines.values()))


def _rehearsed(act: PlannedAct, plan: Plan, registry: Registry, project: Path, configuration: Mapping[str, Any]) -> StepTimeline | None:
    if act.kind != "driver":
        return None
    driver = registry.driver(act.uses)
    if not isinstance(driver, Rehearsing):
        return None
    parameters = decode_parameters(registry.parameters(Reference("driver", act.uses)), act.parameters)
    return driver.rehearse(Rehearsal(act.name, Seeds(plan.seed).derive(act.name), project, configuration), parameters)


def _starts(acts: Sequence[PlannedAct], timelines: Mapping[str, StepTimeline | None]) -> tuple[dict[str, int], tuple[str, ...]]:
    """When each act begins at the earliest, and which ones may begin later: those after a step whose length nobody knows."""
    starts: dict[str, int] = {}
    ends: dict[str, int] = {}
    open_ended: set[str] = set()
    notes: list[str] = []
    waiting = list(acts)
    while waiting:  # ends: `after` has no circles, the plan refused them
        act = next(one for one in waiting if all(name in ends for name in one.after))
        waiting.remove(act)
        starts[act.name] = max((ends[name] for name in act.after), default=0) + act.offset_ns
        timeline = timelines[act.name]
        length_ns = timeline.duration_ns if timeline is not None else None
        ends[act.name] = starts[act.name] + (length_ns or 0)
        if unknown := [name for name in act.after if name in open_ended]:
            notes.append(f"{act.name} begins when {', '.join(unknown)} has ended, which nobody knows: its times are the earliest possible")
        if length_ns is None or unknown:
            open_ended.add(act.name)
    return starts, tuple(notes)


def _rows(act: PlannedAct, start_ns: int, timeline: StepTimeline | None) -> Iterator[Row]:
    yield Row(start_ns, f"{act.kind}:{act.uses}", None, None, act.name)
    if timeline is not None:
        for t_ns, op, body, principal in timeline.sendings:
            yield Row(start_ns + t_ns, op, body, principal, act.name)
