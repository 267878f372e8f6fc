"""The open-loop engine in a process of its own against a scripted server: a row for every intended request, and true times."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from harness.core.errors import Blocked, HarnessError, UsageError
from harness.core.units import Duration, Rate
from harness.core.verdict import Verdict
from harness.journal.events import LoadFinished, LoadPlanned, Window
from harness.load.certificate import Bodies, BodiesChecker, Certificate, CertificateChecker, canary_errors_ms
from harness.load.histogram import LatencyHistogram
from harness.load.open_loop import OpenLoop, OpenLoopDriver
from suites.unit.waiting import reached

KIND = {"op": "ask", "path": "/ask", "key": "reader", "pool": "pool.jsonl", "expect_nonempty": "results"}
Make = Callable[..., Any]


def drive(place: Any, port: int, kind: dict[str, Any] = KIND, *, base: str = "", **parameters: Any) -> Any:
    """Run the driver to its end; the rows of the requests by intended time."""
    (place.project / "pool.jsonl").write_text('{"q": 1}\n{"q": 2}\n')
    given = {"rate": Rate.parse("60 /s"), "duration": Duration.parse("1 s"), "requests": "ask", **parameters}
    OpenLoopDriver().run(place.context(base or f"http://127.0.0.1:{port}", kind), OpenLoop(**given))
    return place.view().samples("requests", "t").sort_by("intended_ns")


def by_index(rows: Any) -> dict[int, dict[str, Any]]:
    """Rows by request number; a number must not come twice."""
    found = {int(row["request_id"].split("-")[1][:8]): row for row in rows.to_pylist()}
    assert len(found) == rows.num_rows
    return found


def p99_ms(values: Any) -> float:
    return float(np.quantile(np.asarray(values, dtype=np.float64), 0.99, method="inverted_cdf")) / 1e6


def test_a_stall_shows_in_every_request_intended_during_it(place: Any, server: Make) -> None:
    """The server stands still for 1 s: arrivals go on, response times are those of plan and server log, and the canary stays in band."""
    scripted = server({100: "stall"}, stall_s=1.0)
    rows = drive(place, scripted.port, rate=Rate.parse("100 /s"), duration=Duration.parse("3 s"), warmup=Duration.parse("500 ms"))
    found = by_index(rows)
    assert sorted(found) == list(range(350))
    assert Counter(row["outcome"] for row in found.values()) == {"ok": 350}
    measured = [found[index]["done_ns"] - found[index]["intended_ns"] for index in range(350)]
    truth = [scripted.written_ns[index] - found[index]["intended_ns"] for index in range(350)]
    assert p99_ms(measured) > 900
    assert p99_ms(measured) - p99_ms(truth) >= -1
    during = measured[105:195]  # each waits for the rest of the stall
    assert all(value / 1e9 >= 1.0 - (offset + 5) / 100 for offset, value in enumerate(during))
    planned = [item.event for item in place.view().events("window") if isinstance(item.event, Window)]
    assert [(window.name, round((window.end_ns - window.start_ns) / 1e9, 3)) for window in planned] == [("warmup", 0.5), ("steady", 3.0)]
    assert planned[0].start_ns == found[0]["intended_ns"]
    canaries = place.view().samples("canary", "t")
    assert canaries.num_rows == 70
    assert np.median(canary_errors_ms(canaries)) < 5
    held = canaries["known_delay_ns"].to_numpy()
    assert held.min() >= 4_900_000
    late = np.quantile(canary_errors_ms(canaries), 0.99)
    if abs(p99_ms(measured) - p99_ms(truth)) > max(1.0, 0.01 * p99_ms(truth)):
        assert late > 1, "the figure is wrong and the canary does not say so"
        pytest.skip(f"this machine delayed the generator: p99 of the canary's error {late:.1f} ms")


def test_every_intended_request_is_one_row_whatever_becomes_of_it(place: Any, server: Make) -> None:
    """Resets, 500, 429, wrong bodies and silence each are one row of their own kind; nothing is dropped, repeated or called good."""
    script = {5: "reset", 9: "500", 13: "429", 17: "empty", 21: "not json", 25: "never", 29: "never"}
    scripted = server(script)
    rows = drive(place, scripted.port, timeout=Duration.parse("400 ms"))
    found = by_index(rows)
    assert sorted(found) == list(range(60))
    expected = {5: "connection_error", 9: "http_error", 13: "rate_limited", 17: "bad_body", 21: "bad_body", 25: "timeout", 29: "timeout"}
    assert {index: row["outcome"] for index, row in found.items() if row["outcome"] != "ok"} == expected
    assert Counter(scripted.seen) == dict.fromkeys(range(60), 1)
    assert found[25]["done_ns"] is None
    assert found[25]["sent_ns"] is not None
    finished = next(item.event for item in place.view().events("load.finished") if isinstance(item.event, LoadFinished))
    assert (finished.intended, finished.sent, finished.completed) == (60, 60, 57)
    planned = next(item.event for item in place.view().events("load.planned") if isinstance(item.event, LoadPlanned))
    assert (planned.requests, planned.canary_rate_per_s) == (60, 20.0)
    bodies = BodiesChecker().check(place.view(), "t", "load", Bodies(step="load"))[0]
    assert (bodies.verdict, bodies.value) == (Verdict.FAIL, "53 of 55 bodies right")


def test_the_path_of_the_base_url_is_kept_and_the_key_goes_nowhere_else(place: Any, server: Make) -> None:
    """Requests go below the base URL's own path with the role's key; plan, journal and logs never hold the key."""
    scripted = server()
    drive(place, scripted.port, base=f"http://127.0.0.1:{scripted.port}/api/", duration=Duration.parse("200 ms"))
    assert scripted.heads[0].startswith(b"POST /api/ask HTTP/1.1\r\n")
    assert b"X-API-Key: top-secret-key" in scripted.heads[0]
    files = [path for path in place.run_folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"top-secret-key" in path.read_bytes()]


@pytest.mark.parametrize(
    ("base", "error", "message"),
    [
        ("http://192.0.2.1:80", Blocked, "192.0.2.1 is not on this machine"),
        ("http://127.0.0.1.example.org", Blocked, "not on this machine"),
        ("https://127.0.0.1:8443", Blocked, "https"),
        ("127.0.0.1:8000", UsageError, "base_url"),
    ],
)
def test_load_goes_to_this_machine_only(place: Any, base: str, error: type[Exception], message: str) -> None:
    """An address elsewhere, or one the generator cannot speak to, is refused before anything is started."""
    with pytest.raises(error, match=message):
        drive(place, 0, base=base)
    assert place.view().events("load.planned") == ()


def test_a_trial_that_is_ended_ends_the_engine(place: Any, server: Make) -> None:
    """When the trial stops, the engine and the canary end at once; what was sent before is on disk."""
    scripted = server()
    watcher = threading.Thread(target=lambda: reached(lambda: len(scripted.seen) > 40, 20.0) and place.stopping.set())
    watcher.start()
    with pytest.raises(HarnessError, match="before its plan was done"):
        drive(place, scripted.port, duration=Duration.parse("60 s"))
    watcher.join()
    assert place.view().samples("requests", "t").num_rows > 5
    assert _children() == []


def _children() -> list[str]:
    import psutil

    found = [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]
    return [" ".join(child.cmdline()) for child in found if "harness.load" in " ".join(child.cmdline())]


def test_an_engine_that_fails_is_an_error_with_its_exit_code(tmp_path: Path) -> None:
    """The engine with a broken plan exits non-zero and says why."""
    (tmp_path / "plan.json").write_text("{}")
    command = [sys.executable, "-m", "harness.load.engine", str(tmp_path / "plan.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=os.environ)
    assert done.returncode == 1
    assert "missing required field" in done.stderr


def test_a_fleet_shares_one_plan(place: Any, server: Make) -> None:
    """Three processes, one start: each id of the plan once, each its own canary, one certificate, histograms that merge exactly."""
    scripted = server({7: "429"})
    rows = drive(place, scripted.port, rate=Rate.parse("90 /s"), processes=3)
    assert sorted(by_index(rows)) == list(range(90))
    gaps = np.diff(rows["intended_ns"].to_numpy())
    assert abs(gaps - 1e9 / 90).max() <= 1
    view = place.view()
    said = [item.event for item in view.events("load.generator")]
    assert sorted(event.worker for event in said) == [0, 1, 2]
    assert view.samples("canary", "t").num_rows == 3 * 20
    done = next(item.event for item in view.events("load.finished"))
    assert (done.intended, done.completed, done.detail) == (90, 90, "3 processes; 1 rate-limited")
    events = [item.event for item in view.events("histogram") if item.event.name == "response_time"]
    merged = LatencyHistogram.merged(map(LatencyHistogram.of_event, events))
    good = rows.filter(pc.equal(rows["outcome"], "ok"))
    whole = LatencyHistogram()
    whole.record(good["done_ns"].to_numpy() - good["intended_ns"].to_numpy(), never=1)
    assert (len(events), merged) == (3, whole)
    judged = CertificateChecker().check(view, "t", "load", Certificate(tightest_limit=Duration.parse("800 ms")))
    assert [row.check.rpartition(".")[2] for row in judged] == ["canary", "schedule_lag", "shortfall", "saturation"]
    assert (judged[0].verdict, judged[0].reason) == (Verdict.INCONCLUSIVE, "p95 needs 200 canaries")
    assert (judged[2].verdict, judged[3].verdict) == (Verdict.PASS, Verdict.PASS)
