"""Shapes in scenario files: errors with file and line, the published schema, the dry run."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
import yaml

from harness.cli.dry_run import COLUMNS, write_csv
from harness.core import jsonio
from harness.core.errors import UsageError, UsageErrors
from harness.load.shape.schema import PATH, load_schema
from harness.run.project import load_project
from harness.run.registry import Registry
from harness.run.timeline import scenario_timeline
from harness.scenario.loader import load_scenario, parse_scenario
from harness.scenario.model import Scenario

PROJECT = Path(__file__).resolve().parents[4]
TABLES = {"requests": {"ask": {"op": "ask", "path": "/ask", "pool": "pool.jsonl"}, "tell": {"op": "tell", "path": "/tell"}}}
SHIPPED = sorted(
    path for path in (PROJECT / "scenarios").glob("load_*.yaml") if "open_loop" in path.read_text() or "driver: knee" in path.read_text()
)


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


def scenario(registry: Registry, *steps: str, file: str = "s.yaml") -> Scenario:
    """A scenario of these steps; the first one stands in line 5."""
    text = "name: s\ntitle: t\nlayer: load\ntimeline:\n" + "".join(steps)
    return parse_scenario(text.encode(), file, registry)


def step(name: str, parameters: str, more: str = "", driver: str = "open_loop") -> str:
    return f"  - step: {name}\n    driver: {driver}\n{more}    with:\n" + "".join(f"      {line}\n" for line in parameters.splitlines())


DEEP = """shape:
  kind: sum
  parts:
    - shape: {kind: poisson, rate: 5/s}
    - shape:
        kind: spike
        base: 9/s
        peak: 5/s
        at: 1 s
        for: 1 s"""
WRONG = {  # the first of these lines is line 10 of the file
    "unknown kind": ("shape: {kind: rampp, from: 1/s}", 10, r"'rampp' \(did you mean 'ramp'\?\); known: bursts, constant"),
    "unknown key": ("shape:\n  kind: ramp\n  frm: 1/s", 11, r"`frm` \(did you mean 'from'\?\); known: arrivals, from, over, to"),
    "wrong unit": ("shape:\n  kind: ramp\n  from: 1/s\n  to: 2 s", 13, "'2 s' is a time, not a number per time"),
    "old word": ("rate: 5 /s\nshape: posson", 11, r"'posson' \(did you mean 'poisson'\?\); known: constant, poisson"),
    "no rate": ("shape: poisson", 8, "give `rate`, or a `shape` with its rates"),
    "two rates": ("rate: 5 /s\nshape: {kind: constant, rate: 5/s}", 8, "`rate` stands beside a `shape`"),
    "too long": ("shape:\n  kind: steps\n  rates: [1/s, 2/s]\n  each: 10 s", 8, "steps needs 20 s, the window has 10 s"),
    "deep": (DEEP, 15, "the peak 5 /s is not above the base 9 /s"),
    "hour": ("shape: {kind: diurnal, base: 5/s, multiplier: 2, peak_hour: 24, trough_hour: 3}", 10, "`float` < 24"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_shape_names_file_line_and_the_nearest_word(name: str, registry: Registry) -> None:
    """What is wrong inside a shape is found when the scenario is loaded, at its line."""
    lines, line, message = WRONG[name]
    with pytest.raises(UsageError, match=rf"s\.yaml:{line}:.*{message}"):
        scenario(registry, step("a", f"duration: 10 s\nrequests: ask\n{lines}"))


def test_several_mistakes_in_one_file_are_all_said(registry: Registry) -> None:
    """A wrong shape does not hide the wrong mix of the next step."""
    with pytest.raises(UsageErrors) as raised:
        scenario(
            registry,
            step("a", "duration: 10 s\nrequests: ask\nshape: {kind: rampp}"),
            step("b", "duration: 10 s\nrate: 5/s\nmix: {operations: {ask: {weigth: 1}}}"),
        )
    assert [("rampp" in str(error), "weigth" in str(error)) for error in raised.value.errors] == [(True, False), (False, True)]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_load_scenarios_fit_the_published_schema(path: Path, registry: Registry) -> None:
    """Every open-loop and knee step of the project validates against docs/load.schema.json, and loads."""
    validator = jsonschema.Draft202012Validator(load_schema())
    for item in yaml.safe_load(path.read_text())["timeline"]:
        if (name := f"driver {item['driver']}") in load_schema()["properties"]:
            validator.validate({name: item["with"]})
    project = load_project(PROJECT)
    load_scenario(path, registry.with_tables(project.wing_tables(), project.folder))


def test_the_published_schema_is_that_of_the_code_and_refuses_what_the_code_refuses() -> None:
    """docs/load.schema.json is generated; a wrong kind, key or missing rate fits it as little."""
    assert (PROJECT / PATH).read_bytes() == jsonio.pretty(load_schema())
    validator = jsonschema.Draft202012Validator(load_schema())
    good = {"duration": "1 s", "requests": "ask", "shape": {"kind": "ramp", "from": "1/s", "to": "2/s"}}
    assert validator.is_valid({"driver open_loop": good})
    for shape in ({"kind": "rampp"}, {"kind": "ramp", "from": "1/s"}, {"kind": "ramp", "from": "1/s", "to": "2/s", "frm": 1}):
        assert not validator.is_valid({"driver open_loop": {**good, "shape": shape}})


# --- the dry run ------------------------------------------------------------------------------------------------------


def dry(made: Scenario, registry: Registry, folder: Path, seed: int = 1) -> tuple[list[dict[str, str]], tuple[str, ...], str]:
    (folder / "pool.jsonl").write_text('{"q": 1}\n{"q": 2}\n{"q": 3}\n')
    timeline = scenario_timeline(made, registry, folder, TABLES, seed)
    stream = io.StringIO()
    count = write_csv(timeline, stream)
    rows = list(csv.DictReader(io.StringIO(stream.getvalue())))
    assert stream.getvalue().splitlines()[0] == ",".join(COLUMNS)
    assert count == sum(row["body"] != "" for row in rows)
    return rows, timeline.notes, stream.getvalue()


def test_the_dry_run_prints_every_step_and_every_request_in_order(registry: Registry, tmp_path: Path) -> None:
    """Two overlapping steps: starts with their offsets, requests merged by time, bodies and operations as they would be sent."""
    made = scenario(
        registry,
        step("a", "duration: 2 s\nrate: 2 /s\nrequests: ask"),
        step("b", "duration: 1 s\nrate: 3 /s\nrequests: tell", "    at: 500 ms\n"),
        step("c", "duration: 1 s\nrate: 1 /s\nrequests: tell", "    at: 1 s\n    after: [a, b]\n"),
    )
    rows, notes, _ = dry(made, registry, tmp_path)
    assert notes == ()
    assert [(int(row["t_ns"]) // 1_000_000, row["op"], row["step"]) for row in rows] == [
        (0, "driver:open_loop", "a"),
        (0, "ask", "a"),
        (500, "ask", "a"),
        (500, "driver:open_loop", "b"),
        (500, "tell", "b"),
        (833, "tell", "b"),
        (1000, "ask", "a"),
        (1166, "tell", "b"),
        (1500, "ask", "a"),
        (3000, "driver:open_loop", "c"),
        (3000, "tell", "c"),
    ]
    assert sorted(row["body"] for row in rows if row["op"] == "ask")[:3] in (["0", "0", "1"], ["0", "1", "1"], ["0", "1", "2"])


def test_the_dry_run_is_the_same_to_the_byte_for_the_same_seed(registry: Registry, tmp_path: Path) -> None:
    """Random arrivals, bodies and draws of the scenario come from the seed alone."""
    made = scenario(registry, step("a", "duration: 5 s\nrequests: ask\nshape: {kind: poisson, rate: 20/s}", "    at: uniform(0 s, 1 s)\n"))
    first, again, other = (dry(made, registry, tmp_path, seed)[2] for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_what_nobody_can_know_beforehand_is_said(registry: Registry, tmp_path: Path) -> None:
    """A step after a knee search begins when that has ended: its times are the earliest possible, and a note says so."""
    made = scenario(
        registry,
        step("k", "from: 1/s\nto: 9/s\np95: 1 s\nrequests: ask", driver="knee"),
        step("a", "duration: 1 s\nrate: 1 /s\nrequests: ask", "    after: k\n"),
    )
    rows, notes, _ = dry(made, registry, tmp_path)
    assert [row["op"] for row in rows] == ["driver:knee", "driver:open_loop", "ask"]
    assert notes == ("a begins when k has ended, which nobody knows: its times are the earliest possible",)


def test_a_dry_run_replayed_gives_the_same_arrivals(registry: Registry, tmp_path: Path) -> None:
    """The CSV of a dry run is a trace: replaying its requests gives the arrivals it printed."""
    made = scenario(registry, step("a", "duration: 3 s\nrequests: ask\nshape: {kind: poisson, rate: 20/s}"))
    rows, _, text = dry(made, registry, tmp_path)
    lines = [line for line in text.splitlines() if ",driver:" not in line]
    (tmp_path / "trace.csv").write_text("\n".join(lines) + "\n")
    again, _, _ = dry(
        scenario(registry, step("a", "duration: 3 s\nrequests: ask\nshape: {kind: trace, file: trace.csv}")), registry, tmp_path
    )
    times, replayed = ([int(row["t_ns"]) for row in found if row["op"] == "ask"] for found in (rows, again))
    assert replayed == [time - times[0] for time in times]


def test_what_cannot_be_planned_is_an_error_of_the_dry_run(registry: Registry, tmp_path: Path) -> None:
    """An unknown request kind and a trace that is not there stop it, with their places."""
    with pytest.raises(UsageError, match=r"there is no request kind 'aks'.*did you mean 'ask'"):
        dry(scenario(registry, step("a", "duration: 1 s\nrate: 1 /s\nrequests: aks")), registry, tmp_path)
    with pytest.raises(UsageError, match=r"none\.csv: the trace cannot be read"):
        dry(scenario(registry, step("a", "duration: 1 s\nrequests: ask\nshape: {kind: trace, file: none.csv}")), registry, tmp_path)


def test_names_that_a_spreadsheet_would_run_are_neutralised(registry: Registry, tmp_path: Path) -> None:
    """An operation called =1+1 is printed as text."""
    tables: dict[str, Any] = {"requests": {"ask": {"op": "=1+1", "path": "/"}}}
    made = scenario(registry, step("a", "duration: 1 s\nrate: 1 /s\nrequests: ask"))
    stream = io.StringIO()
    write_csv(scenario_timeline(made, registry, tmp_path, tables, 1), stream)
    assert "'=1+1" in stream.getvalue()
    assert msgspec.json.encode(stream.getvalue())


EXAMPLES = re.findall(r"```yaml\n(.*?)```", (PROJECT / "docs" / "load-shapes.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_manual_load(example: str, registry: Registry) -> None:
    """Every example of docs/load-shapes.md is a step that can be planned."""
    made = scenario(registry, step("a", example.rstrip()))
    assert made.timeline[0].parameters
    assert jsonschema.Draft202012Validator(load_schema()).is_valid({"driver open_loop": yaml.safe_load(example)})
