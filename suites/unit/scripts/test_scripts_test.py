"""The test run and what CI runs: every stage is run, one failure is enough, everything has a bound."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

PROJECT = Path(__file__).parents[3]
STAGES = ("format", "lint", "types", "import rules", "tests")


@pytest.fixture
def ran(test_script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The commands that were run; ``fails`` holds words of commands that shall fail."""
    seen: dict[str, Any] = {"commands": [], "fails": set()}

    def run(command: list[str], **_options: Any) -> SimpleNamespace:
        seen["commands"].append(command)
        return SimpleNamespace(returncode=int(any(word in part for word in seen["fails"] for part in command)))

    class Beside:
        def __init__(self, command: list[str], **_options: Any) -> None:
            self.code = run(command).returncode

        def wait(self) -> int:
            return self.code

        def kill(self) -> None: ...

    monkeypatch.setattr(test_script.subprocess, "run", run)
    monkeypatch.setattr(test_script.subprocess, "Popen", Beside)
    return seen


def test_all_green_is_exit_0_with_coverage_judged_last(
    test_script: ModuleType, ran: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Format, lint, types, import rules, the sessions of pytest under coverage, then the floor over all."""
    assert test_script.main([]) == 0
    said = [line.split(": ")[1] for line in capsys.readouterr().out.splitlines() if "the session" not in line]
    assert said == [*STAGES, "all green"]
    sessions = [command for command in ran["commands"] if command[1:5] == ["-m", "coverage", "run", "--branch"]]
    assert len(sessions) == len(test_script.BESIDE) + 1
    assert ran["commands"][-2][3] == "combine"
    assert f"--fail-under={test_script.COVERAGE_FLOOR_PERCENT}" in ran["commands"][-1]
    assert test_script.COVERAGE_FLOOR_PERCENT >= 70


@pytest.mark.parametrize(
    ("word", "stage"),
    [("ruff", "format, lint"), ("mypy", "types"), ("lint-imports", "import rules"), ("pytest", "tests"), ("report", "tests")],
)
def test_every_stage_is_run_and_any_failure_fails(
    test_script: ModuleType, ran: dict[str, Any], capsys: pytest.CaptureFixture[str], word: str, stage: str
) -> None:
    """A failed stage is named at the end and the others are run all the same; too little coverage fails the tests."""
    ran["fails"].add(word)
    assert test_script.main([]) == 1
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == f"test: failed: {stage}"
    assert all(f"test: {name}: " in out for name in STAGES)


def test_a_selection_of_tests_has_no_coverage_floor(test_script: ModuleType, ran: dict[str, Any]) -> None:
    """Arguments go to pytest; ``--static`` stops before it."""
    assert test_script.main(["-k", "something"]) == 0
    assert ran["commands"][-1][-2:] == ["-k", "something"]
    ran["commands"].clear()
    assert test_script.main(["--static"]) == 0
    assert len(ran["commands"]) == 4


def test_the_sessions_hold_every_test_once(test_script: ModuleType, ran: dict[str, Any]) -> None:
    """What the sessions beside take the main one leaves out, no folder is in two, and every folder named is there."""
    test_script.main([])
    *beside, others = [command for command in ran["commands"] if "pytest" in command]
    folders = [word for command in beside for word in command if word.startswith("suites/unit/")]
    assert len(set(folders)) == len(folders)
    assert [f"--ignore={folder}" for folder in folders] == [word for word in others if word.startswith("--ignore")]
    assert all((PROJECT / folder).is_dir() for folder in folders)
    assert "suites/unit" in others


CI = (PROJECT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_ci_script_is_whole_and_may_be_run() -> None:
    """It parses, is executable, and stops at the first failure it does not handle."""
    subprocess.run(["bash", "-n", str(PROJECT / ".ci" / "run")], check=True, timeout=20)
    assert os.access(PROJECT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in CI


def test_every_step_of_ci_has_a_bound_within_its_budget() -> None:
    """Set-up, tests, verify: each runs under ``timeout``; a bound ends what hangs, it is not the time that the step should take."""
    assert "timeout --signal=INT --kill-after=" in CI
    bounds = {name.strip('"'): int(seconds) for seconds, name in re.findall(r'^\s*step (\d+) ("[^"]+"|\w+)', CI, re.MULTILINE)}
    assert bounds.keys() >= {"setup", "test", "verify --full"}
    assert bounds["test"] <= 25 * 60
    assert bounds["verify --full"] <= 25 * 60
    assert sum(bounds.values()) <= 75 * 60


def test_ci_calls_only_modules_that_there_are() -> None:
    """Every ``-m`` module of the script is a file of the project."""
    missing = [name for name in re.findall(r"-m (scripts\.\w+)", CI) if not (PROJECT / (name.replace(".", "/") + ".py")).is_file()]
    assert missing == []
