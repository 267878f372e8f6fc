"""What a k6 script intends, as ``k6 inspect`` reads it out of its options: which rates, how many requests, with how many VUs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import HarnessError, UsageError, listing

CANARY = "canary"
ARRIVALS = ("constant-arrival-rate", "ramping-arrival-rate")
INSPECT_LIMIT_S = 60.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class K6Scenario(msgspec.Struct, frozen=True):
    """One arrival-rate scenario: straight pieces of (seconds, rate at its begin, rate at its end), per second."""

    name: str
    pieces: tuple[tuple[float, float, float], ...]
    vus: int
    max_vus: int

    @property
    def peak_per_s(self) -> float:
        return max(max(first, last) for _, first, last in self.pieces)

    @property
    def requests(self) -> int:
        """About how many iterations it starts."""
        return round(sum(seconds * (first + last) / 2 for seconds, first, last in self.pieces))

    @property
    def duration_s(self) -> float:
        return sum(seconds for seconds, _, _ in self.pieces)


class K6Plan(msgspec.Struct, frozen=True):
    """All scenarios of a script but the canary's."""

    scenarios: tuple[K6Scenario, ...]

    @property
    def peak_per_s(self) -> float:
        """The highest rate of any of its scenarios."""
        return max(scenario.peak_per_s for scenario in self.scenarios)

    @property
    def requests(self) -> int:
        return sum(scenario.requests for scenario in self.scenarios)

    def refuse_unreachable(self, latency_s: float, file: str) -> None:
        """``UsageError`` when VUs cannot send their rate while an answer takes ``latency_s`` (a VU has one request at a time)."""
        for scenario in self.scenarios:
            needed = scenario.peak_per_s * latency_s
            if scenario.vus < needed:
                raise UsageError(
                    f"{scenario.vus} VUs send at most {scenario.vus / latency_s:g}/s while an answer takes {latency_s:g} s, "
                    f"the plan wants {scenario.peak_per_s:g}/s: iterations would be dropped",
                    file=file,
                    place=f"scenarios.{scenario.name}.preAllocatedVUs",
                    remedy=f"preallocate at least {int(needed) + 1}: those made later come too late for the iteration that needed them",
                )


def inspect(program: Path, script: Path, environment: Mapping[str, str], folder: Path) -> K6Plan:
    """Ask k6 what the script intends; ``UsageError`` for a script it refuses or one that waits for answers (closed loop)."""
    command = [str(program), "inspect", "--include-system-env-vars", str(script)]
    try:
        done = subprocess.run(
            command, env=dict(environment), cwd=folder, capture_output=True, text=True, timeout=INSPECT_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise HarnessError(f"`k6 inspect {script.name}` did not end within {INSPECT_LIMIT_S:.0f} s") from None
    if done.returncode != 0:
        raise UsageError(f"k6 refuses this script: {done.stderr.strip()[-600:]}", file=script.name, remedy="correct what k6 says")
    try:
        return read_options(json.loads(done.stdout), script.name)
    except (KeyError, TypeError, ValueError) as error:
        raise HarnessError(f"what `k6 inspect` says of {script.name} cannot be read: {type(error).__name__}: {error}") from None


def read_options(options: Mapping[str, Any], file: str) -> K6Plan:
    """The plan in the options of a script."""
    scenarios = options.get("scenarios") or {}
    found = [_scenario(name, table, file) for name, table in scenarios.items() if name != CANARY]
    if not found:
        raise UsageError("the script has no scenarios", file=file, place="options", remedy="give scenarios with an arrival rate")
    return K6Plan(tuple(found))


def _scenario(name: str, table: Mapping[str, Any], file: str) -> K6Scenario:
    executor = table["executor"]
    if executor not in ARRIVALS:
        raise UsageError(
            f"{executor} waits for answers before it sends again: a stalled system would slow the load down and hide itself",
            file=file,
            place=f"scenarios.{name}.executor",
            remedy=f"use one of {listing(ARRIVALS)}",
        )
    each_s = seconds_of(table.get("timeUnit") or "1s")
    if executor == ARRIVALS[0]:
        rate = table["rate"] / each_s
        pieces = [(seconds_of(table["duration"]), rate, rate)]
    else:
        rates = [table.get("startRate") or 0, *(stage["target"] for stage in table["stages"])]
        lengths = [seconds_of(stage["duration"]) for stage in table["stages"]]
        pieces = [(length, rates[n] / each_s, rates[n + 1] / each_s) for n, length in enumerate(lengths)]
    vus = int(table["preAllocatedVUs"])
    return K6Scenario(name, tuple(pieces), vus, int(table.get("maxVUs") or vus))


def seconds_of(text: str) -> float:
    """A duration as Go writes it (``1m0s``); raises ``ValueError`` for anything else."""
    if not text or _DURATION.sub("", text):
        raise ValueError(f"{text!r} is no duration")
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))
