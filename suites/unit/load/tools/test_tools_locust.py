"""A judged Locust run against a real server: every due request is a row, late ones count from when they were due."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from harness.core.errors import HarnessError, UsageError
from harness.core.verdict import Verdict
from harness.journal.events import LoadFinished, LoadPlanned, Measured, Window
from harness.load import locust_run
from harness.load.certificate import Certificate, CertificateChecker
from harness.load.locust import Locust, LocustDriver
from harness.scenario.parameters import decode_parameters

PROJECT = Path(__file__).resolve().parents[4]
KIND = {
    "op": "retrieve",
    "path": "/v1/retrieve",
    "key": "reader",
    "pool": "scenarios/requests/retrieve.jsonl",
    "expect_nonempty": "results",
}
Make = Callable[..., Any]


def run(place: Any, port: int, **parameters: Any) -> Any:
    if importlib.util.find_spec("locust") is None:
        pytest.skip("locust is not installed")
    place.project = PROJECT
    given = {"rate": "20 /s", "duration": "3 s", "requests": "ask", "judged": True, **parameters}
    LocustDriver().run(place.context(f"http://127.0.0.1:{port}", KIND), decode_parameters(Locust, given))
    return place.view()


def of(view: Any, kind: type[Any]) -> list[Any]:
    return [item.event for item in view.events(kind.NAME)]


def test_a_worker_that_is_told_of_users_does_not_stop_sending() -> None:
    """Locust alone makes its argument parser anew for each of some eighty options then: 50 ms a second."""
    words = (
        "from locust import argument_parser as a; import harness.load.locust_process; assert a.default_args_dict() is a.default_args_dict()"
    )
    subprocess.run([sys.executable, "-c", words], cwd=PROJECT, check=True, timeout=60)


def test_a_judged_run_leaves_a_row_for_each_due_request(place: Any, server: Make) -> None:
    """Burst's users, 10 of them, one error of each kind: every due request is a row with its outcome, phase, intent; a canary certifies."""
    scripted = server({1: "500", 2: "429", 3: "empty", 4: "never", 5: "reset"})
    given = {"file": "scenarios/locust/burst.py", "users": 10, "spawn_rate": "5 /s", "rate_per_user": "3 /s", "timeout": "1 s"}
    view = run(place, scripted.port, **given, warmup="1 s", duration="2 s")
    rows = view.samples("requests", "t")
    planned, finished = of(view, LoadPlanned)[0], of(view, LoadFinished)[0]
    assert planned.requests == 3 * (5 + 2 * 10)
    assert abs(rows.num_rows - planned.requests) <= 10  # users come when Locust lets them, some tenths of a second later
    outcomes = Counter(rows["outcome"].to_pylist())
    assert {"http_error", "rate_limited", "bad_body", "timeout", "connection_error", "ok"} <= set(outcomes), outcomes
    assert outcomes["ok"] >= 10
    assert set(rows["key"].to_pylist()) <= {"endpoint", "ae", "dose", "eligibility", "other", ""}
    sent = rows.filter(rows["sent_ns"].is_valid())
    assert ((sent["sent_ns"].to_numpy() - sent["intended_ns"].to_numpy()) >= -1_000_000).all()
    late = sent.filter(pc.equal(sent["outcome"], "timeout"))["request_id"][0].as_py().rpartition("-")  # the user that waited for it
    following = sent.filter(pc.equal(sent["request_id"], f"{late[0]}-{int(late[2]) + 1}"))
    assert following["sent_ns"][0].as_py() - following["intended_ns"][0].as_py() > 500_000_000  # was due meanwhile, and counts from then
    assert [(window.name, round((window.end_ns - window.start_ns) / 1e9)) for window in of(view, Window)] == [("warmup", 1), ("steady", 2)]
    assert (finished.engine, finished.intended, finished.sent) == ("locust", rows.num_rows, sent.num_rows)
    assert 10 <= next(event.value for event in of(view, Measured) if event.metric == "achieved") <= 100
    checks = CertificateChecker().check(view, "t", "load", decode_parameters(Certificate, {"tightest_limit": "1 s"}))
    assert {row.check.rpartition(".")[2] for row in checks} == {"canary", "schedule_lag", "shortfall", "saturation"}
    assert next(row for row in checks if row.check.endswith("saturation")).verdict is Verdict.PASS
    assert view.samples("canary", "t").num_rows >= 50
    assert len(view.events("table")) + len(view.events("note")) == 1  # Locust's own figures beside them, or why not
    assert b"X-API-Key: top-secret-key" in scripted.heads[0]
    files = [path for path in Path(place.run_folder).rglob("*") if path.is_file()]
    assert not [path for path in files if b"top-secret-key" in path.read_bytes()]
    assert not [path.name for path in files if ".samples." in path.name]


def test_a_locustfile_that_writes_no_samples_cannot_be_judged(place: Any, server: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other locustfile: an error that says what its users must be, long before the run would end."""
    monkeypatch.setattr(locust_run, "SAMPLES_WITHIN_S", 1.0)
    path = place.run_folder.parent / "own.py"
    path.write_text(
        "from locust import User, task\nclass Idle(User):\n    @task\n    def rest(self):\n        import time; time.sleep(0.5)\n"
    )
    with pytest.raises(HarnessError, match="wrote no samples: its users must be PlannedUsers"):
        run(place, server().port, file=str(path), duration="1 s")


def test_a_locustfile_that_is_not_there_is_named(place: Any) -> None:
    """File, place, remedy."""
    with pytest.raises(UsageError, match=r"none\.py: file: this locustfile is not there; correct"):
        run(place, 9, file="none.py")
