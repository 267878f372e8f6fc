"""The budget file: what holds where, and what is refused with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.load.budget.file import ALL, limits_for
from harness.load.budget.reading import load_budget, parse_budget

PROJECT = Path(__file__).resolve().parents[4]
FILE = PROJECT / "scenarios" / "budgets" / "medkg.yaml"

# phase, endpoint, metric, limit (blank: none), where the file says it
HOLDS = [
    ("burst", ALL, "p50", "320 ms", "phases.burst"),
    ("burst", ALL, "p95", "900 ms", "phases.burst"),
    ("burst", ALL, "p99", "1500 ms", "phases.burst"),
    ("burst", ALL, "errors", "1 %", "phases.burst"),
    ("burst", ALL, "rate", "45 /s", "phases.burst"),
    ("steady", ALL, "p50", "300 ms", "phases.steady"),
    ("steady", ALL, "p95", "800 ms", "phases.steady"),
    ("steady", ALL, "p99", "1200 ms", "phases.steady"),
    ("steady", ALL, "errors", "0.5 %", "phases.steady"),
    ("steady", ALL, "rate", "10 /s", "phases.steady"),
    ("burst", "retrieve", "p50", "", ""),  # the group belongs to the endpoint: it gives no P50
    ("burst", "retrieve", "p95", "900 ms", "endpoints.retrieve"),
    ("burst", "retrieve", "rate", "", ""),  # throughput is never inherited
    ("steady", "retrieve", "p95", "800 ms", "phases.steady.endpoints.retrieve"),
    ("steady", "retrieve", "errors", "0.5 %", "phases.steady"),
    ("burst", "extract", "p50", "", ""),  # not the default P50 of 350 ms, which no extraction meets
    ("burst", "extract", "p99", "2600 ms", "endpoints.extract"),
    ("steady", "health", "p95", "100 ms", "endpoints.health"),
    ("steady", "health", "p99", "", ""),  # not the default P99 of 1500 ms
    ("burst", "chunk", "p95", "900 ms", "phases.burst"),  # no row of its own: the phase's
    ("burst", "chunk", "p50", "320 ms", "phases.burst"),
    ("", "chunk", "p50", "350 ms", "defaults"),  # and without a phase the defaults
    ("", "chunk", "errors", "1 %", "defaults"),
    ("", ALL, "p99", "1500 ms", "defaults"),
]


@pytest.mark.parametrize(("phase", "endpoint", "metric", "limit", "source"), HOLDS)
def test_the_most_specific_place_says_what_holds(phase: str, endpoint: str, metric: str, limit: str, source: str) -> None:
    """Phase's endpoint before endpoint before phase before defaults; the percentiles as one group, throughput never inherited."""
    found = {one.metric: one for one in limits_for(load_budget(FILE), phase, endpoint)}
    assert (str(found[metric].quantity), found[metric].source) == (limit, source) if limit else metric not in found


def test_an_endpoint_without_percentiles_takes_the_whole_group_of_its_phase() -> None:
    """An endpoint that limits errors only is held to every percentile of the phase, none mixed from elsewhere."""
    budget = parse_budget(b"name: x\ndefaults: {p99: 9 s, errors: 1 %}\nphases: {a: {p95: 1 s}}\nendpoints: {e: {errors: 2 %}}\n", "b.yaml")
    found = {one.metric: str(one.quantity) for one in limits_for(budget, "a", "e")}
    assert found == {"p95": "1 s", "errors": "2 %"}


BROKEN = [
    (b"", r"b\.yaml:1: the file is empty; write name"),
    (b"- a\n", r"b\.yaml:1: a budget is keys with values"),
    (b"nme: x\n", r"b\.yaml:1:1: .*'nme' \(did you mean 'name'\?\); known: burn_rates, defaults"),
    (b"title: x\n", r"b\.yaml:1:1: .*name.*needed: name"),
    (b"name: x\ndefaults: {p50: 3 mss}\n", r"b\.yaml:2:\d+: defaults\.p50: .*'mss' \(did you mean 'ms'\?\)"),
    (b"name: x\nendpoints:\n  ok: {p50: 1 s}\n  health: {p59: 3 ms}\n", r"b\.yaml:4:12: endpoints\.health\.p59: .*did you mean 'p\d\d'"),
    (b"name: x\nphases:\n  burst: 3\n", r"b\.yaml:3:10: phases\.burst: .*write limits like"),
    (
        b"name: x\nphases:\n  burst:\n    endpoints:\n      a: {p95: 3 s}\n      b: {p95: 3 s, q: 1}\n",
        r"b\.yaml:6:\d+: phases\.burst\.endpoints\.b\.q",
    ),
    (b"name: x\ndefaults: {p50: 9 ms, p95: 3 ms}\n", r"b\.yaml:2:\d+: defaults: a lower percentile has a higher limit"),
    (b"name: x\ndefaults: {errors: 0 %}\n", r"b\.yaml:2.*can never be shown"),
    (b"name: x\ndefaults: {errors: 100 %}\n", r"b\.yaml:2.*allows everything to fail"),
    (b"name: x\ndefaults: {p95: 10 /s}\n", r"b\.yaml:2.*not a time"),
    (b"name: x\nendpoints: {all: {p95: 1 s}}\n", r"b\.yaml:2:13: endpoints\.all: 'all' is the row over every endpoint"),
    (b"name: x\nobjectives:\n  - {name: a, share: 90 %}\n", r"b\.yaml:3:5: objectives\[0\]: a: a burn of 14\.4 can never be seen.*is 10"),
    (b"name: x\nobjectives:\n  - {name: a, share: 100 %}\n", r"b\.yaml:3:.*leaves no budget"),
    (b"name: x\nobjectives:\n  - {name: a, share: 99 %}\n  - {name: a, share: 98 %}\n", r"b\.yaml:.*two objectives have one name"),
    (b"name: x\nburn_rates:\n  - {rate: 2, long: 1 min, short: 5 min}\n", r"b\.yaml:3:.*shorter than the long one"),
    (b"name: x\nname: y\n", r"b\.yaml:2:1: name: the key 'name' is given twice"),
]


@pytest.mark.parametrize(("content", "wanted"), BROKEN)
def test_a_wrong_file_is_refused_with_its_place(content: bytes, wanted: str) -> None:
    """File, line and what to do instead stand in the error."""
    with pytest.raises(UsageError) as caught:
        parse_budget(content, "b.yaml")
    assert re.search(wanted, str(caught.value)), str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the path and the remedy."""
    with pytest.raises(UsageError, match=r"none\.yaml: the budget cannot be read: No such file"):
        load_budget(tmp_path / "none.yaml")
