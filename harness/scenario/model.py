"""A scenario as it was written, and the plan that is drawn from it with a seed. Both are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from harness.core import jsonio

PLAN_VERSION = 2  # since 2 a plan holds its implied checks, and `faults` all steps that may do harm
Json = Any  # parameters belong to the wing: they are decoded into its own type before anything uses them


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A driver on the timeline; ``at`` counts from the end of the last step of ``after``, else from the trial's start."""

    name: str
    driver: str
    parameters: Mapping[str, Json]
    at: str
    after: tuple[str, ...]


class ProbeUse(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence to be captured, after the steps and probes of ``after`` (all steps when it names none)."""

    name: str
    probe: str
    parameters: Mapping[str, Json]
    at: str
    after: tuple[str, ...]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a step: ns from the start of the step."""

    name: str
    step: str
    from_ns: int
    to_ns: int


class ThresholdUse(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold by id, as text of the grammar of ``harness.thresholds``.

    ``unit`` and ``source`` are the declaration of its metric, kept in the plan so that judging needs no driver.
    """

    id: str
    expression: str
    requirements: tuple[str, ...] = ()
    unit: str = ""
    source: str = ""


class CheckUse(msgspec.Struct, frozen=True, kw_only=True):
    """A checker by id with its parameters."""

    id: str
    checker: str
    parameters: Mapping[str, Json]
    requirements: tuple[str, ...] = ()


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A scenario file after all its references were found good."""

    name: str
    title: str
    layer: str
    profile: str
    deadline_ns: int
    requires: tuple[str, ...]
    requirements: tuple[str, ...]
    timeline: tuple[Step, ...]
    probes: tuple[ProbeUse, ...]
    phases: tuple[Phase, ...]
    thresholds: tuple[ThresholdUse, ...]
    checks: tuple[CheckUse, ...]
    file: str
    text: str
    uncertified: str = ""  # why latency figures are INCONCLUSIVE whatever they are; blank where the checks decide
    faults: tuple[str, ...] = ()  # steps whose drivers declare the checks of a fault


class PlannedAct(msgspec.Struct, frozen=True, kw_only=True):
    """A step or probe with everything random drawn."""

    name: str
    kind: Annotated[str, msgspec.Meta(pattern="^(driver|probe)$")]
    uses: Annotated[str, msgspec.Meta(description="name of the driver or probe")]
    parameters: Mapping[str, Json]
    offset_ns: Annotated[int, msgspec.Meta(description="from the end of the last of `after`, else from the trial's start")]
    after: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a trial executes and a judge judges by: stored as ``trials/<trial>/plan.json`` and hashed into the journal."""

    v: int
    scenario: str
    title: str
    layer: str
    profile: str
    seed: int
    deadline_ns: int
    requires: tuple[str, ...]
    requirements: tuple[str, ...]
    acts: tuple[PlannedAct, ...]
    phases: tuple[Phase, ...]
    thresholds: tuple[ThresholdUse, ...]
    checks: tuple[CheckUse, ...]
    uncertified: str = ""
    faults: tuple[str, ...] = ()

    def drivers(self) -> tuple[str, ...]:
        """Names of the drivers on the timeline, each once, in order."""
        return tuple(dict.fromkeys(act.uses for act in self.acts if act.kind == "driver"))

    def encoded(self) -> bytes:
        """The one byte form of the plan."""
        return jsonio.pretty(msgspec.to_builtins(self))


def decode_plan(content: bytes) -> Plan:
    """A stored plan; raises ``msgspec.ValidationError`` or ``msgspec.DecodeError`` for anything else."""
    return msgspec.json.decode(content, type=Plan)
