"""Where a load run ends: in a page, and as marks on a dashboard. Against a recorder of Grafana's interface and a server of its own."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from suites.unit.load.publish.recorders import TOKEN, Grafana, Recorder

LIMIT_S = 120
LOAD_MS = 4_000
PROJECT = """
[target]
base_url = "{target}"
[requests.ask]
op = "ask"
path = "/"
method = "GET"
replayable = true
[publish.grafana]
url = "{grafana}"
"""
SCENARIO = """
name: told
title: A load that others are told of
layer: load
requires: [target]
timeline:
  - {step: ask, driver: open_loop, with: {rate: 60 /s, warmup: 1 s, duration: 4 s, requests: ask}}
phases:
  steady: {step: ask, from: 1 s, to: 5 s}
thresholds:
  - {id: p95, expr: "response_time{op=ask}: p(95) < 2 s in steady"}
checks:
  - checker: trial_completed
"""


class Answers(Recorder):
    """The system under load: an answer to everything."""

    def documented(self, request: http.server.BaseHTTPRequestHandler, body: bytes) -> tuple[int, Any]:
        return 200, {}


@pytest.fixture
def grafana() -> Iterator[Grafana]:
    with contextlib.closing(Grafana()) as recorder:
        yield recorder


@pytest.fixture
def run(tmp_path: Path, grafana: Grafana) -> Path:
    """The folder of a run of the scenario by the command that a user has."""
    (tmp_path / "told.yaml").write_text(SCENARIO, encoding="utf-8")
    environment = {**os.environ, "GRAFANA_TOKEN": TOKEN}
    command = [str(Path(sys.executable).with_name("harness")), "run", "told.yaml"]
    with contextlib.closing(Answers()) as target:
        (tmp_path / "harness.toml").write_text(PROJECT.format(target=target.url, grafana=grafana.url), encoding="utf-8")
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return (tmp_path / "reports" / "latest").resolve()


@pytest.mark.requirement("OPS-3.3")
def test_a_load_run_ends_in_a_page_and_as_marks_on_a_dashboard(run: Path, grafana: Grafana) -> None:
    """The page draws the load; Grafana has a region with an end for the run, the trial and the load, tagged with run and scenario."""
    page = (run / "report.html").read_text(encoding="utf-8")
    load = page.partition('<h2 id="load">')[2].partition("<h2 ")[0]
    assert "<h3>told</h3>" in load
    assert len(re.findall('<svg[^>]+role="img"', load)) == 4  # over time and by percentile, for a wide screen and a narrow one
    assert grafana.problems == []
    marks = list(grafana.annotations.values())
    assert all({"harness", f"run:{run.name}"} <= set(mark["tags"]) for mark in marks)
    assert all(mark["timeEnd"] > mark["time"] for mark in marks)
    of_scenario = [mark for mark in marks if "scenario:told" in mark["tags"]]
    (steady,) = (mark for mark in of_scenario if "phase:steady" in mark["tags"])
    assert abs(steady["timeEnd"] - steady["time"] - LOAD_MS) <= 1
    assert [tag for mark in of_scenario for tag in mark["tags"] if tag.startswith("outcome:")] == ["outcome:completed"]
    assert len(marks) > len(of_scenario)  # the run itself
    assert _published(run) == {"done"}


def _published(run: Path) -> set[str]:
    """What became of every attempt, as the run's own journal has it."""
    events = [json.loads(line) for line in (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
    return {str(event["data"]["outcome"]) for event in events if event["name"] == "publish.attempted"}
