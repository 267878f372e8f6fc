"""Reads the NDJSON report of Schemathesis: cases, failures and errors of each operation."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHOWN = 6
DETAIL_MAX = 400


@dataclasses.dataclass(slots=True)
class Tally:
    """What was tried on one operation. ``failures`` maps a check's name to how often it failed, ``details`` keeps the first of each."""

    cases: int = 0
    failed_cases: int = 0
    failures: Counter[str] = dataclasses.field(default_factory=Counter)
    details: dict[str, str] = dataclasses.field(default_factory=dict)

    def fail(self, check: str, detail: str) -> None:
        self.failures[check] += 1
        self.details.setdefault(check, " ".join(detail.split())[:DETAIL_MAX])

    def text(self) -> str:
        """``check ×n: first detail`` for each failing check, bounded."""
        return "; ".join(f"{check} x{count}: {self.details[check]}" for check, count in self.failures.most_common(SHOWN))


@dataclasses.dataclass(frozen=True, slots=True)
class FuzzReport:
    """``finished`` is false when the report breaks off; ``seed`` is the one that Schemathesis says it used."""

    operations: Mapping[str, Tally]
    finished: bool
    seed: int | None
    version: str
    errors: tuple[str, ...]  # that belong to no operation


def read_report(lines: Iterable[bytes], labels: Iterable[str]) -> FuzzReport:
    """Count per operation label (``METHOD /path``); a torn last line is left out."""
    tallies = {label: Tally() for label in labels}
    finished, seed, version = False, None, ""
    errors: list[str] = []
    for name, event in _events(lines):
        match name:
            case "Initialize":
                seed, version = event.get("seed"), str(event.get("schemathesis_version", ""))
            case "ScenarioFinished":
                _count(event.get("recorder", {}), tallies)
            case "NonFatalError" | "FatalError":
                _error(name, event, tallies, errors)
            case "EngineFinished":
                finished = True
            case _:
                pass
    return FuzzReport(tallies, finished, seed, version, tuple(errors))


def _events(lines: Iterable[bytes]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            return  # torn by the end of the process: nothing whole follows
        yield from value.items()


def _count(recorder: Mapping[str, Any], tallies: dict[str, Tally]) -> None:
    scenario = str(recorder.get("label", ""))
    for case_id, checks in recorder.get("checks", {}).items():
        case = recorder.get("cases", {}).get(case_id, {}).get("value", {})
        own = f"{case.get('method', '?')} {case.get('path', '?')}"
        # A case with a method that the path does not have was tried on behalf of its scenario's operation; stateful ones name none.
        tally = tallies.setdefault(own if own in tallies or scenario not in tallies else scenario, Tally())
        failed = [check for check in checks if check.get("status") == "failure"]
        tally.cases += 1
        tally.failed_cases += bool(failed)
        for check in failed:
            tally.fail(str(check.get("name", "?")), _detail(check, recorder, case_id))


def _detail(check: Mapping[str, Any], recorder: Mapping[str, Any], case_id: str) -> str:
    failure = check.get("failure_info", {}).get("failure", {})
    status = recorder.get("interactions", {}).get(case_id, {}).get("response", {}).get("status_code", "")
    return f"{failure.get('title', '')}: {failure.get('message', '')} (status {status})"


def _error(name: str, event: Mapping[str, Any], tallies: dict[str, Tally], errors: list[str]) -> None:
    value = event.get("value") or event.get("exception") or {}
    detail = f"{value.get('type', '')} {value.get('message', '')}" if isinstance(value, Mapping) else str(value)
    label = str(event.get("label", ""))
    if label in tallies:
        tallies[label].fail("error", detail)
    else:
        errors.append(f"{name} {label}: {detail}"[:DETAIL_MAX])
