"""The driver ``back_pressure``: watches the mode of retrieve while a scenario slows the reranker and lets it go again.

It says when the platform was in which mode, as windows that thresholds may name, and how long it took from the seeded slowdown to
overload mode and from its end back to normal. It acts on nothing itself: the steps ``slow`` and ``well`` of the scenario do.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import httpx
import msgspec

from harness.core.units import Duration
from harness.journal.events import Measured, Window
from harness.run.protocols import MetricSpec, StepContext

POLL_S = 0.25
SETTLE_S = 3.0  # requests that began before a change still come in the old way
NS = 1_000_000_000


class BackPressureStep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Watches for ``duration``; ``slow`` and ``well`` are the steps that arm and end the slowdown."""

    duration: Duration
    slow: str
    well: str


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A mode as it was first seen."""

    at_ns: int
    mode: str


class BackPressureDriver:
    """Asks /ready."""

    name: ClassVar[str] = "back_pressure"
    parameters: ClassVar[type[msgspec.Struct]] = BackPressureStep
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("overload_after", "s", "measured"),
        MetricSpec("normal_after", "s", "measured"),
        MetricSpec("mode_changes", "1", "measured"),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: BackPressureStep) -> None:
        end_ns = context.now_ns() + parameters.duration.ns
        changes: list[Change] = []
        with httpx.Client(base_url=context.target.base_url, timeout=5.0) as client:
            while context.now_ns() < end_ns and not context.stop():
                mode = _mode(client)
                if mode and (not changes or changes[-1].mode != mode):
                    changes.append(Change(context.now_ns(), mode))
                context.wait(POLL_S)
        _report(context, parameters, changes)


def _mode(client: httpx.Client) -> str:
    """What /ready says; empty when it does not answer."""
    try:
        return str(client.get("/ready").json()["retrieve"])
    except (httpx.HTTPError, ValueError, KeyError):
        return ""


def _report(context: StepContext, parameters: BackPressureStep, changes: list[Change]) -> None:
    """Windows and figures; what never happened has none, so that its threshold is not met."""
    _figure(context, "mode_changes", "1", float(max(0, len(changes) - 1)))
    slow, well = context.window(parameters.slow), context.window(parameters.well)
    if slow is None or well is None:
        return
    tripped = next((one.at_ns for one in changes if one.mode == "overload" and one.at_ns >= slow[1]), None)
    released = next((one.at_ns for one in changes if one.mode == "normal" and one.at_ns >= well[1]), None)
    _window(context, "before", slow[0] - 10 * NS, slow[0])
    if tripped is None:
        return
    _figure(context, "overload_after", "s", (tripped - slow[1]) / NS)
    _window(context, "tripping", slow[1], tripped)
    _window(context, "overload", tripped + round(SETTLE_S * NS), well[0])
    if released is not None:
        _figure(context, "normal_after", "s", (released - well[1]) / NS)
        _window(context, "recovered", released + round(SETTLE_S * NS), context.now_ns())


def _figure(context: StepContext, metric: str, unit: str, value: float) -> None:
    context.journal.emit(Measured(trial=context.trial, metric=metric, unit=unit, value=value))


def _window(context: StepContext, name: str, start_ns: int, end_ns: int) -> None:
    if end_ns > start_ns:
        context.journal.emit(
            Window(trial=context.trial, kind="phase", name=name, start_ns=start_ns, end_ns=end_ns, tags={"step": context.step})
        )
