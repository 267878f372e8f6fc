"""Locust beside our own load: a subprocess whose figures are taken over, or an error that says what it left instead."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, Table
from harness.load.locust import Locust, LocustDriver
from harness.load.locust_figures import journal_figures

HEAD = "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,"
HEAD += "Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%\n"
ASK = "POST,ask,30,1,21,21.5,20.1,33.0,16,10.1,0.3,21,22,22,22,23,24,30,33,33,33,33\n"
AGGREGATED = ASK.replace("POST,ask", ",Aggregated")
KIND = {"op": "ask", "path": "/ask", "key": "reader", "pool": "pool.jsonl"}
GIVEN = Locust(rate=Rate.parse("10 /s"), duration=Duration.parse("3 s"), file="locustfile.py", requests="ask")
FILE = """
import os
from pathlib import Path
from locust import FastHttpUser, constant_throughput, task

class Asking(FastHttpUser):
    wait_time = constant_throughput(1)

    @task
    def ask(self):
        headers = {"X-Request-ID": "locust-00000001", "X-API-Key": os.environ["EH_LOAD_KEY"]}
        self.client.post("/ask", data=Path(os.environ["EH_LOCUST_POOL"]).read_bytes(), headers=headers, name="ask")
"""


def write_stand_in(place: Any, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """``python -m locust`` in the driver's process becomes a package of the test with this code."""
    folder = place.project / "stand in"
    (folder / "locust").mkdir(parents=True)
    (folder / "locust" / "__init__.py").write_text("")
    (folder / "locust" / "__main__.py").write_text("import sys, pathlib\nprefix = sys.argv[sys.argv.index('--csv') + 1]\n" + code)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: True)


def run(place: Any, base: str = "http://127.0.0.1:9") -> Any:
    LocustDriver().run(place.context(base, KIND), GIVEN)
    return place.view()


def of(view: Any, kind: type[Any]) -> Any:
    return next(item.event for item in view.events(kind.NAME))


def test_its_aggregate_becomes_a_table_that_nobody_judges(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The aggregate row is taken as Locust wrote it, failures counted; exit 1 only says that requests failed."""
    csv = HEAD + ASK + AGGREGATED
    write_stand_in(place, monkeypatch, f"pathlib.Path(prefix + '_stats.csv').write_text({csv!r})\nsys.exit(1)")
    view = run(place)
    table, finished = of(view, Table), of(view, LoadFinished)
    assert dict(zip(table.columns, table.rows[0], strict=True)) == {
        "requests": "30", "failures": "1", "requests/s": "10.1", "p50 ms": "21", "p95 ms": "24", "p99 ms": "33", "max ms": "33.0",
    }  # fmt: skip
    assert (finished.engine, finished.intended, finished.sent, finished.completed) == ("locust", 30, 30, 29)
    assert "judged by nobody" in table.note


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        (None, "left no statistics"),
        ("", "left no aggregate row"),
        (HEAD + ASK, "left no aggregate row"),
        (HEAD.replace("Request Count", "# requests") + AGGREGATED, "_stats.csv is not what Locust writes: KeyError: 'Request Count'"),
        (HEAD.replace("95%", "p95") + AGGREGATED, "KeyError: '95%'"),
        (HEAD + ",Aggregated,30", "is not what Locust writes: (TypeError|ValueError)"),
        (HEAD + AGGREGATED.replace("30,1", "N/A,1"), "is not what Locust writes: ValueError"),
    ],
)
def test_statistics_that_cannot_be_read_are_an_error(place: Any, csv: str | None, message: str) -> None:
    """A missing, torn or differently headed file is named; no figure is made up."""
    path = place.run_folder / "trials" / "t" / "load.locust_stats.csv"
    if csv is not None:
        path.write_text(csv)
    with pytest.raises(HarnessError, match=message):
        journal_figures(place.context("http://127.0.0.1:9", KIND), 30, path)
    assert place.view().events("table") == ()


def test_a_failing_locust_is_an_error_with_its_exit_code(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exit other than 0 and 1 ends the step."""
    write_stand_in(place, monkeypatch, "sys.exit(3)")
    with pytest.raises(HarnessError, match="exit 3"):
        run(place)


def test_a_locust_that_hangs_is_ended_with_the_trial(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the trial is ended the subprocess goes too."""
    write_stand_in(place, monkeypatch, "import time\ntime.sleep(60)")
    place.stopping.set()
    with pytest.raises(HarnessError, match="ended before"):
        run(place)


def test_without_the_package_the_step_is_blocked(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Locust is optional: BLOCKED with what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(Blocked, match=r"pip install 'evidence-harness\[load\]'"):
        run(place)


def test_a_real_locust_run_gives_figures(place: Any, server: Any) -> None:
    """Three seconds of the real thing: requests arrive with the key, figures are journaled."""
    if importlib.util.find_spec("locust") is None:
        pytest.skip("locust is not installed")
    (place.project / "locustfile.py").write_text(FILE)
    (place.project / "pool.jsonl").write_text('{"q": 1}')
    scripted = server()
    view = run(place, f"http://127.0.0.1:{scripted.port}")
    assert of(view, LoadFinished).sent >= 10
    assert of(view, LoadFinished).completed == of(view, LoadFinished).sent
    assert b"X-API-Key: top-secret-key" in scripted.heads[0]
    files = [path for path in Path(place.run_folder).rglob("*") if path.is_file()]
    assert not [path for path in files if b"top-secret-key" in path.read_bytes()]
