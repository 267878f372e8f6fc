"""The tests behind the rows: how long each took, and which part of its id is its own name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from harness.journal.events import TestOutcome
from harness.report.folder import RunFolder

_LAST_NAME = re.compile(r"::(?P<name>[^:\[]+(?:\[.*)?)$", re.DOTALL)


def tests_by_row(folder: RunFolder) -> dict[str, TestOutcome]:
    """The outcome of each test, by the id of its row: a node that was run twice has two rows, the second called ``node #2``."""
    seen: Counter[str] = Counter()
    return {_row_id(outcome, seen): outcome for outcome in folder.of(TestOutcome)}


def ends_by_row(folder: RunFolder) -> Iterator[tuple[str, str]]:
    """Row id and wall time at which the test ended, ISO 8601."""
    seen: Counter[str] = Counter()
    for wall, outcome in folder.walls(TestOutcome):
        yield _row_id(outcome, seen), wall


def durations(folder: RunFolder) -> dict[str, float]:
    """Seconds of each test, by the id of its row."""
    return {check: outcome.duration_s for check, outcome in tests_by_row(folder).items()}


def parent_and_name(check: str, outcomes: Mapping[str, TestOutcome]) -> tuple[str, str]:
    """A row's id in two: what holds the check, and its own name, which may hold ``::`` in its brackets; the first may be empty."""
    outcome = outcomes.get(check)
    if outcome is not None and outcome.name:
        name = check[len(outcome.node) - len(outcome.name) :]
        return outcome.node.removesuffix(outcome.name).removesuffix("::"), name
    found = _LAST_NAME.search(check)  # a journal from before names were recorded, or a row that is no test
    return ("", check) if found is None else (check[: found.start()], found["name"])


def _row_id(outcome: TestOutcome, seen: Counter[str]) -> str:
    seen[outcome.node] += 1
    again = seen[outcome.node]
    return f"{outcome.node} #{again}" if again > 1 else outcome.node
