"""The published JSON Schema of a scenario file: ``python -m harness.scenario.schema`` writes docs/scenario.schema.json."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from harness.core import jsonio

NAME_PATTERN = r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$"
PROFILES = ("embedded", "local", "compose", "k8s", "any")
MAX_STEPS = 200
SCHEMA_PATH = Path("docs/scenario.schema.json")

_NAME = {"type": "string", "pattern": NAME_PATTERN, "description": "letters, digits, _ . -; starts with a letter"}
_NAMES = {"type": "array", "items": _NAME, "maxItems": MAX_STEPS, "uniqueItems": True}
_AFTER = {"anyOf": [_NAME, _NAMES], "description": "a step or probe, or a list of them, that must have ended"}
_DURATION = {"type": "string", "description": "a duration with its unit: 800 ms, 5 s, 15 min"}
_AT = {"type": "string", "description": "a duration, or uniform(a, b): drawn from the run's seed when the plan is made"}
_WITH = {"type": "object", "description": "parameters, as the driver, probe or checker declares them (load: docs/load.schema.json)"}
_REQUIREMENTS = {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True}


def _object(description: str, required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": required,
        "properties": properties,
        "additionalProperties": False,
    }


_STEP = _object("a driver that acts", ["step", "driver"], **{"step": _NAME, "driver": _NAME, "with": _WITH, "at": _AT, "after": _AFTER})
_PROBE = _object("evidence to capture", ["probe"], **{"probe": _NAME, "name": _NAME, "with": _WITH, "at": _AT, "after": _AFTER})
_PHASE = _object(
    "a stretch of a step, from its first arrival", ["step", "from", "to"], **{"step": _NAME, "from": _DURATION, "to": _DURATION}
)
_THRESHOLD = _object(
    "one statement on a metric",
    ["id", "expr"],
    id=_NAME,
    expr={"type": "string", "description": "metric{tags}: agg op value unit [in phase] [every window]"},
    requirements=_REQUIREMENTS,
)
_CHECK = _object("a checker that judges", ["checker"], **{"checker": _NAME, "id": _NAME, "with": _WITH, "requirements": _REQUIREMENTS})


def _list(item: dict[str, Any], *, least: int = 0) -> dict[str, Any]:
    return {"type": "array", "items": item, "minItems": least, "maxItems": MAX_STEPS}


SCENARIO_SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Evidence Harness scenario",
    **_object(
        "what happens to a running system, and what must hold",
        ["name", "title", "layer", "timeline"],
        name=_NAME,
        title={"type": "string", "minLength": 1, "maxLength": 200},
        layer=_NAME,
        profile={"enum": list(PROFILES), "description": "deployment that it is written for"},
        deadline={**_DURATION, "description": "the trial is stopped after this long; 10 min when not given"},
        requires={**_NAMES, "description": "capabilities without which the run is BLOCKED"},
        requirements=_REQUIREMENTS,
        timeline=_list(_STEP, least=1),
        probes=_list(_PROBE),
        phases={"type": "object", "additionalProperties": _PHASE, "propertyNames": {"pattern": NAME_PATTERN}},
        thresholds=_list(_THRESHOLD),
        checks=_list(_CHECK),
        uncertified={
            "type": "boolean",
            "description": "true: no certificate for the latency figures, whose checks are INCONCLUSIVE then; false when not given",
        },
    ),
}


def main(arguments: list[str]) -> int:
    """Write the schema to the given file, or to docs/."""
    jsonio.write_atomic(Path(arguments[0]) if arguments else SCHEMA_PATH, jsonio.pretty(SCENARIO_SCHEMA))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
