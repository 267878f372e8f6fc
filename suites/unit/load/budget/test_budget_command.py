"""``harness budget``: limits of a file, Locust's statistics, a run folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.cli.main import main

BUDGET = "name: b\nphases: {burst: {p95: 250 ms, errors: 1 %, rate: 45 /s}}\nendpoints: {health: {p95: 100 ms}}\n"
STATS = "Name,Request Count,Failure Count,Requests/s,Failures/s,95%\nAggregated,6000,{failed},50,{rate},200\n"


@pytest.fixture
def budget(tmp_path: Path) -> Path:
    path = tmp_path / "b.yaml"
    path.write_text(BUDGET)
    return path


def test_a_file_alone_is_checked_and_shown(budget: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every limit with its place."""
    assert main(["budget", str(budget), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["limits"]
    assert {"phase": "burst", "endpoint": "health", "metric": "p95", "limit": "100 ms", "from": "endpoints.health"} in found


@pytest.mark.parametrize(("failed", "more", "code"), [(0, [], 4), (0, ["--accept-send"], 0), (3000, [], 1)])
def test_statistics_decide_the_exit_code(budget: Path, tmp_path: Path, failed: int, more: list[str], code: int) -> None:
    """0 PASS, 1 FAIL, 4 where only the send is known."""
    stats = tmp_path / "x_stats.csv"
    stats.write_text(STATS.format(failed=failed, rate=failed / 120))
    budget.write_text(BUDGET.partition("endpoints:")[0])
    assert main(["budget", str(budget), "--stats", str(stats), "--phase", "burst", *more]) == code


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--stats", "none.csv", "--phase", "burst"], "the statistics cannot be read"),
        (["--stats", "none.csv", "--phase", "brust"], "did you mean 'burst'"),
        (["--stats", "none.csv"], "--phase is missing"),
        (["--run", ".", "--phase", "burst"], "this is no run folder"),
        (["--run", ".", "--stats", "x"], "exclude each other"),
    ],
)
def test_wrong_usage_names_the_remedy(budget: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], wanted: str) -> None:
    """Exit code 2 and one line."""
    assert main(["budget", str(budget), *arguments]) == 2
    assert wanted in capsys.readouterr().err
