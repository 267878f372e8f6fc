"""A small foreign project whose run stands still in a phase of choice, so that its ending can be tried there in seconds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.bars.support import PROJECT

PHASES = ("start", "test", "load", "fault", "judging", "reporting")
MARK = "phase"  # this file says that the phase is reached
JUDGED = "judged"  # the checker of `judging` has judged once
NEXT = "next"  # and this one that a further test was started
SLOW_START_S = "HARNESS_TOY_START_S"

HEAD = """
import pathlib, threading, time
import pytest
from harness.suites.tables import kill_scenario_text, load_scenario_text

HERE = pathlib.Path(__file__).resolve().parents[2]

def stand():
    (HERE / "phase").touch()
    threading.Event().wait(90)

def go(work):
    {go}

def trial(scenario, tmp_path, text):
    path = tmp_path / "trial.yaml"
    path.write_text(text, encoding="utf-8")
    scenario(path)
"""
TAIL = """
def test_next():
    (HERE / "next").touch()
"""
OBEDIENT = "work()"
STUBBORN = """while True:
        try:
            work()
        except (KeyboardInterrupt, Exception):
            time.sleep(0.05)"""
TESTS = {
    "start": "def test_start(harness_session):\n    go(harness_session.target)\n",
    "test": "def test_test(target):\n    go(stand)\n",
    "load": "def test_load(scenario, harness_session, tmp_path):\n"
    "    text = load_scenario_text(harness_session.project.tables)\n    go(lambda: trial(scenario, tmp_path, text))\n",
    "fault": "def test_fault(scenario, harness_session, tmp_path):\n"
    "    text = kill_scenario_text(harness_session.project.tables)\n    go(lambda: trial(scenario, tmp_path, text))\n",
    "judging": "def test_judging(scenario, target):\n    scenario(HERE / 'judged slowly.yaml')\n",
    "reporting": "def test_reporting(harness_session, target):\n    harness_session.run.publish(lambda folder, summary: go(stand))\n",
}
WINGS = """
import pathlib, threading, time
import msgspec
from harness.core.verdict import Verdict
from harness.run.protocols import trial_row

HERE = pathlib.Path(__file__).resolve().parent

def stand():
    (HERE / "phase").touch()
    threading.Event().wait(90)

def go(work):
    {go}

class Nothing(msgspec.Struct, frozen=True):
    pass

class Idle:
    name, parameters, metrics, requires = "idle", Nothing, (), frozenset()
    def run(self, context, parameters):
        pass

class Slow:
    name, parameters = "slow", Nothing
    def check(self, view, trial, layer, parameters):
        if (HERE / "judged").exists():
            go(stand)
        (HERE / "judged").touch()
        return [trial_row(trial, layer, "slow", Verdict.PASS)]
"""
JUDGED_SLOWLY = """
name: judged_slowly
title: Judged slowly
layer: judging
timeline:
  - {step: nothing, driver: idle}
checks:
  - checker: slow
"""
TABLES = """
[wings.drivers]
idle = "toy_wing:Idle"
[wings.checkers]
slow = "toy_wing:Slow"
"""
SLOW_START = """import os, pathlib, time
if os.environ.get("HARNESS_TOY_START_S"):
    (pathlib.Path(__file__).resolve().parent / "phase").touch()
    time.sleep(float(os.environ["HARNESS_TOY_START_S"]))
"""


def make_toy(folder: Path, *, stubborn: bool = False) -> Path:
    """The project in ``folder``, which is made; ``stubborn``: its tests and wings catch KeyboardInterrupt and go on."""
    go = STUBBORN if stubborn else OBEDIENT
    source = PROJECT / "examples" / "foreign"
    folder.mkdir(parents=True)
    for name in ("docker-compose.yml", "requests.jsonl"):
        shutil.copyfile(source / name, folder / name)
    (folder / "service.py").write_text(SLOW_START + (source / "service.py").read_text(encoding="utf-8"), encoding="utf-8")
    layers = "".join(f'[layers.{name}]\nsuite = "suites/{name}"\n' for name in PHASES)
    configuration = (source / "harness.toml").read_text(encoding="utf-8")
    head, _, rest = configuration.partition("[layers.contract]")
    rest = rest.partition("[contract]")[2].replace('at = "3 s"', 'at = "1 s"').replace('duration = "12 s"', 'duration = "40 s"')
    (folder / "harness.toml").write_text(f"{head}{layers}{TABLES}[contract]{rest}", encoding="utf-8")
    for name, text in TESTS.items():
        (folder / "suites" / name).mkdir(parents=True)
        (folder / "suites" / name / f"test_{name}.py").write_text(HEAD.replace("{go}", go) + text + TAIL, encoding="utf-8")
    (folder / "toy_wing.py").write_text(WINGS.replace("{go}", go), encoding="utf-8")
    (folder / "judged slowly.yaml").write_text(JUDGED_SLOWLY, encoding="utf-8")
    return folder


def environment(temporary: Path, **more: str) -> dict[str, str]:
    """Of a run in the toy: a temp folder of its own, by which everything it starts can be told."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS", "EH_"))}
    return {**mine, "TMPDIR": str(temporary), "PYTEST_ADDOPTS": "-p no:schemathesis", **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness.cli.main", *arguments]


def start(toy: Path, arguments: Sequence[str], variables: dict[str, str], **options: Any) -> subprocess.Popen[bytes]:
    """``harness …`` in the toy, in a session of its own."""
    given = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True} | options
    return subprocess.Popen(command(*arguments), cwd=toy, env=variables, **given)


def run_folder(toy: Path) -> Path | None:
    """The newest run folder there is."""
    found = sorted(path for path in (toy / "reports").glob("*Z-*") if path.is_dir() and not path.name.endswith("-report"))
    return found[-1] if found else None


def events(folder: Path | None) -> list[dict[str, Any]]:
    """The whole lines of its journal."""
    path = folder / "journal.jsonl" if folder is not None else None
    lines = path.read_bytes().split(b"\n")[:-1] if path is not None and path.is_file() else []
    return [json.loads(line) for line in lines]


def reached(toy: Path, phase: str) -> bool:
    """Whether the run stands in that phase."""
    step = {"load": "load", "fault": "kill"}.get(phase)
    if step is None:
        return (toy / MARK).exists()
    return any(line["name"] == "step.started" and line["data"]["step"] == step for line in events(run_folder(toy)))
