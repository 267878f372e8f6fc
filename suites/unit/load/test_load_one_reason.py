"""A whole trial whose requests all fail for one reason: it stands first, what follows from it refers to it, and the page begins with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli.console import Console
from harness.cli.summary_table import print_summary
from harness.core.verdict import Verdict
from harness.report.publish import publishers
from harness.run.protocols import Target
from harness.run.recheck import recheck
from harness.run.registry import Registry
from harness.run.run import FinishedRun, Run
from harness.run.trial import run_trial
from harness.scenario.loader import parse_scenario

SCENARIO = b"""
name: asked
title: A short load
layer: load
timeline:
  - {step: load, driver: open_loop, with: {rate: 100 /s, duration: 2 s, requests: ask}}
thresholds:
  - {id: few_errors, expr: "errors{op=fetch}: rate <= 5 %"}
  - {id: quick, expr: "response_time: p(95) < 2 s"}
checks:
  - {checker: bodies, with: {step: load}}
"""


CONFIGURATION = {"requests": {"ask": {"op": "fetch", "path": "/f", "key": "reader"}}}
SECRET = "never-to-be-seen"


@pytest.fixture
def finished(tmp_path: Path, server: Callable[..., Any]) -> Callable[[str, int], FinishedRun]:
    """``finished(action, every)``: a run in which the server does that with each ``every``-th request."""

    def make(action: str, every: int) -> FinishedRun:
        scripted = server(dict.fromkeys(range(0, 200, every), action))
        registry = Registry.discover()
        with Run(tmp_path / "reports", registry=registry, project=tmp_path, seed=3, publishers=publishers()) as run:
            run.configuration = CONFIGURATION
            run.attach(Target(f"http://127.0.0.1:{scripted.port}", {"reader": SECRET}))
            run_trial(run, parse_scenario(SCENARIO, "s.yaml", registry))
        assert run.finished is not None
        assert recheck(run.folder, run.finished.manifest_sha256, registry).identical
        return run.finished

    return make


def test_one_reason_stands_first_and_once_in_rows_terminal_and_page(
    finished: Callable[[str, int], FinishedRun], capsys: pytest.CaptureFixture[str]
) -> None:
    """Every request is answered 401."""
    done = finished("401", 1)
    rows = {row.check.partition(".")[2]: row for row in done.summary.rows if row.trial}
    said = "all 200 requests of step load were answered 401 Unauthorized: the key of role reader is refused"
    assert next(iter(rows)) == "one_reason"
    assert rows["one_reason"].verdict is Verdict.FAIL
    assert (rows["one_reason"].reason or "").startswith(said)
    following = {name for name, row in rows.items() if (row.reason or "").startswith("follows from asked")}
    assert following >= {"few_errors", "quick", "bodies"}
    print_summary(done, Console(), as_json=False)
    out = " ".join(capsys.readouterr().out.split())
    assert out.count(said) == 1
    assert out.index(said) < out.index("few_errors")
    page = (done.folder / "report.html").read_text()
    assert page.index(said) < page.index("few_errors")
    assert all(word in page for word in ("Failures of step load", "The first failed request of each kind", "100.00 %"))
    assert [path.name for path in done.folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()] == []


def test_a_tenth_of_503_is_told_at_the_limit_it_breaks(finished: Callable[[str, int], FinishedRun]) -> None:
    """By status and count; there is no one reason."""
    rows = {row.check.partition(".")[2]: row for row in finished("503", 10).summary.rows if row.trial}
    assert "one_reason" not in rows
    assert rows["few_errors"].verdict is Verdict.FAIL
    assert "failed: 20 × 503 Service Unavailable" in (rows["few_errors"].reason or "")
