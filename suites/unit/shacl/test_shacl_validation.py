"""Validation out of process: focus nodes, violations, nested shapes, bounds; the checker and the command."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from harness.cli.shacl import arguments, execute
from harness.core.errors import HarnessError, UsageError
from harness.core.verdict import Verdict
from harness.run.judge import judge_trial
from harness.run.protocols import Target
from harness.run.registry import Registry
from harness.run.run import Run
from harness.run.trial import run_trial
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario
from harness.shacl.capture import capture_graph
from harness.shacl.checks import ShaclReportChecker
from harness.shacl.process import validate_files
from suites.wing.graph_rdf import GraphCapture

SHAPES = """
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix x: <urn:x:> .
x:Aged a sh:NodeShape ; sh:targetClass x:Person ; sh:property [ sh:path x:age ; sh:minInclusive 0 ; sh:message "too young" ] .
x:Named a sh:PropertyShape ; sh:targetSubjectsOf x:name ; sh:path x:name ; sh:minLength 2 ; sh:message "too short" .
x:Unused a sh:NodeShape ; sh:targetClass x:Robot ; sh:property [ sh:path x:model ; sh:minCount 1 ] .
"""
PREFIX = "@prefix x: <urn:x:> .\n"
GOOD = PREFIX + 'x:a a x:Person ; x:age 3 ; x:name "Ada" .\nx:r a x:Robot ; x:model "M" .'
BAD = PREFIX + 'x:a a x:Person ; x:age -3 ; x:name "A" .\nx:b a x:Person ; x:age 2 .'


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    path = tmp_path / "shapes.ttl"
    path.write_text(SHAPES, encoding="utf-8")
    return path


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def make(text: str, name: str = "data.ttl") -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return make


def test_focus_nodes_and_violations_are_counted_per_shape(shapes: Path, write: Any) -> None:
    """Each shape with a target tells how much it looked at; a nested shape's result counts for its owner."""
    report = validate_files(write(BAD, "data.ttl.gz"), [shapes])
    found = {shape.shape.rpartition(":")[2]: (shape.focus_nodes, shape.violations) for shape in report.shapes}
    assert found == {"Aged": (2, 1), "Named": (1, 1), "Unused": (0, 0)}
    aged = next(item for item in report.violations if item.shape.endswith("Aged"))
    assert (aged.focus_node, aged.path, aged.value, aged.message) == ("urn:x:a", "urn:x:age", "-3", "too young")
    assert not report.conforms


def test_bounds_end_the_validator(shapes: Path, write: Any) -> None:
    """A time bound and a memory bound each end in an error that names them, never in a hang."""
    data = write(PREFIX + "".join(f"x:n{number} a x:Person ; x:age {number} .\n" for number in range(20_000)))
    with pytest.raises(HarnessError, match="ended before it was done"):
        validate_files(data, [shapes], time_s=0.01)
    with pytest.raises(HarnessError, match="bounds: 64 MiB"):
        validate_files(data, [shapes], memory_bytes=64 << 20)


def test_unreadable_input_names_the_file(shapes: Path, write: Any) -> None:
    """No Turtle, or an unknown suffix: a usage error with the file's name."""
    with pytest.raises(UsageError, match=r"broken\.ttl"):
        validate_files(write("this is not turtle", "broken.ttl"), [shapes])
    with pytest.raises(UsageError, match=r"data\.csv.*known"):
        validate_files(write("a,b", "data.csv"), [shapes])


@pytest.mark.parametrize(("text", "code"), [(GOOD, 0), (BAD, 1), (PREFIX + 'x:a a x:Person ; x:age 3 ; x:name "Ada" .', 4)])
def test_the_command_exits_by_the_verdict(shapes: Path, write: Any, text: str, code: int, capsys: Any) -> None:
    """PASS 0, violations 1, a shape that looked at nothing 4; --json prints the report."""
    parser = argparse.ArgumentParser()
    arguments(parser, "shacl")
    data = write(text)
    assert execute(parser.parse_args([str(data), str(shapes), "--json"])) == code
    assert len(json.loads(capsys.readouterr().out)["shapes"]) == 3
    assert execute(parser.parse_args([str(data), str(shapes.parent / "shapes.ttl")])) == code


def test_missing_files_are_usage_errors(tmp_path: Path, write: Any) -> None:
    """A missing data file, and a folder without shapes."""
    parser = argparse.ArgumentParser()
    arguments(parser, "shacl")
    with pytest.raises(UsageError, match="not there"):
        execute(parser.parse_args([str(tmp_path / "none.ttl"), str(tmp_path)]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no shapes"):
        execute(parser.parse_args([str(write(GOOD)), str(tmp_path / "empty")]))


SCENARIO = b"""
name: graph
title: The stored graph keeps its shapes
layer: shacl
timeline: [{step: nothing, driver: nothing}]
probes: [{probe: camera, name: stored}]
checks: [{checker: shacl_report, with: {step: stored}}]
"""


def _judged(tmp_path: Path, shapes: Path, data: str) -> dict[str, Verdict]:
    class Nothing:
        name, parameters, metrics, requires = "nothing", GraphCapture, (), frozenset[str]()

        def run(self, context: Any, parameters: Any) -> None:
            return None

    class Camera:
        name, parameters, requires = "camera", GraphCapture, frozenset[str]()

        def capture(self, context: Any, parameters: Any) -> None:
            from rdflib import Graph

            capture_graph(context, "camera", Graph().parse(data=data, format="turtle").serialize(format="nt").encode(), [shapes])

    wings = {
        Reference("driver", "nothing"): Nothing,
        Reference("probe", "camera"): Camera,
        Reference("checker", "shacl_report"): ShaclReportChecker,
    }
    registry = Registry.built_in().added(wings)
    with Run(tmp_path / "reports", registry=registry, project=tmp_path, seed=1) as run:
        run.attach(Target("http://127.0.0.1:1", {}))
        result = run_trial(run, parse_scenario(SCENARIO, "g.yaml", registry))
        rows, _ = judge_trial(run.folder, registry, result.trial)
    return {row.check.rpartition(".")[2]: row.verdict for row in rows}


def test_the_checker_judges_the_stored_report(tmp_path: Path, shapes: Path) -> None:
    """A clean graph passes, violations fail, a shape that looked at nothing makes the coverage VACUOUS."""
    clean = _judged(tmp_path, shapes, GOOD)
    assert {clean[name] for name in ("graph", "violations", "coverage", "journal")} == {Verdict.PASS}
    broken = _judged(tmp_path, shapes, BAD)
    assert (broken["violations"], broken["coverage"], broken["journal"]) == (Verdict.FAIL, Verdict.VACUOUS, Verdict.PASS)
