"""``--engine``: the same plan by another engine. Every ``open_loop`` step of a scenario becomes one of that engine's driver.

What the other engine cannot keep is refused before the run: a run that quietly did something else would compare nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from harness.core.errors import UsageError, listing
from harness.scenario.model import Scenario, Step
from harness.scenario.parameters import ParameterError, decode_parameters

OURS, LOCUST = "ours", "locust"
ENGINES = (OURS, LOCUST)
KEPT = ("rate", "duration", "warmup", "requests", "timeout", "seed_stream")


def with_engine(scenario: Scenario, engine: str) -> Scenario:
    """The scenario with its open-loop steps given to ``engine``; ``UsageError`` names the step and the parameter it cannot keep."""
    if engine == OURS:
        return scenario
    if not any(step.driver == "open_loop" for step in scenario.timeline):
        raise UsageError("no step of this scenario is open_loop", file=scenario.file, place="--engine", remedy="run it without --engine")
    return msgspec.structs.replace(scenario, timeline=tuple(_given_to_locust(step, scenario.file) for step in scenario.timeline))


def _given_to_locust(step: Step, file: str) -> Step:
    if step.driver != "open_loop":
        return step
    from harness.load.locust import Locust  # imported when asked for: the module needs pyarrow

    given: Mapping[str, Any] = step.parameters
    place = f"timeline.{step.name}"
    if given.get("shape", "constant") != "constant":
        raise UsageError(
            f"Locust cannot keep shape {given['shape']!r}: its users ask at a constant rate",
            file=file,
            place=f"{place}.shape",
            remedy="use shape: constant, or a locustfile with a LoadTestShape (driver locust)",
        )
    if unknown := sorted(set(given) - {*KEPT, "shape"}):
        remedy = f"it keeps {listing(KEPT)}; use the driver locust with a locustfile of your own for more"
        raise UsageError(f"Locust cannot keep {unknown[0]!r}", file=file, place=f"{place}.{unknown[0]}", remedy=remedy)
    parameters = {**{key: given[key] for key in KEPT if key in given}, "judged": True}
    try:
        decode_parameters(Locust, parameters)
    except ParameterError as error:
        raise UsageError(error.message, file=file, place=f"{place}: {error.place}", remedy=error.remedy) from None
    return msgspec.structs.replace(step, driver="locust", parameters=parameters)
