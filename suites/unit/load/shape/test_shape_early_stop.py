"""A step that is ended before its plan: readable, no shortfall, recorded as stopped. The knee driver against a real server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from harness.core.verdict import Verdict
from harness.journal.events import KneeStep, LoadFinished, LoadStopped, Measured
from harness.load.certificate import Certificate, CertificateChecker
from harness.load.open_loop import OpenLoop, drive, planned_step
from harness.load.shape.knee_driver import KneeDriver, KneeSearch
from harness.load.shape.mix_check import MixCheck, MixChecker
from harness.scenario.parameters import decode_parameters

KIND = {"op": "ask", "path": "/ask", "pool": "pool.jsonl"}
Make = Callable[..., Any]


def test_a_stopped_step_leaves_the_beginning_of_its_plan(place: Any, server: Make) -> None:
    """Of 30 s at 50/s one second is driven: a row for each arrival that was due, none unsent, and the journal says why it ended."""
    (place.project / "pool.jsonl").write_text('{"q": 1}\n{"q": 2}\n')
    context = place.context(f"http://127.0.0.1:{server().port}", KIND)
    plan, mix = planned_step(context, decode_parameters(OpenLoop, {"rate": "50 /s", "duration": "30 s", "requests": "ask"}))
    context.journal.emit(mix)
    began = time.monotonic()
    seen: list[float] = []

    def until() -> str:
        seen.append(time.monotonic())
        return "it is clear" if seen[-1] - seen[0] > 1.0 else ""

    drive(context, plan, until)
    assert time.monotonic() - began < 20
    view = place.view()
    stopped = next(one.event for one in view.events(LoadStopped.NAME))
    finished = next(one.event for one in view.events(LoadFinished.NAME))
    assert isinstance(stopped, LoadStopped) and isinstance(finished, LoadFinished)
    rows = view.samples("requests", "t").sort_by("intended_ns")
    assert (stopped.reason, stopped.planned) == ("it is clear", 1500)
    assert rows.num_rows == stopped.due == finished.intended == finished.sent
    assert 20 <= rows.num_rows < 400
    assert set(rows["outcome"].to_pylist()) == {"ok"}
    assert np.array_equal(np.diff(rows["intended_ns"].to_numpy()), np.diff(plan.offsets_ns[: rows.num_rows]))
    shortfall = next(row for row in CertificateChecker().check(view, "t", "load", _certificate()) if row.check == "t.certificate.shortfall")
    assert shortfall.verdict is Verdict.PASS
    assert MixChecker().check(view, "t", "load", MixCheck())[0].verdict is Verdict.PASS


def _certificate() -> Certificate:
    return decode_parameters(Certificate, {"tightest_limit": "1 s"})


def test_the_knee_driver_ends_a_hopeless_step_early_and_journals_what_it_found(place: Any, server: Make) -> None:
    """A server that never answers in time breaks at once: the step is stopped, no capacity is measured, every step is in the journal."""
    (place.project / "pool.jsonl").write_text('{"q": 1}\n')
    late = dict.fromkeys(range(100_000), "500")
    context = place.context(f"http://127.0.0.1:{server(late).port}", KIND)
    given = {
        "from": "90 /s",
        "to": "180 /s",
        "p95": "4 s",
        "each": "4 s",
        "warmup": "0 s",
        "settle": "0 s",
        "requests": "ask",
        "steps_max": 1,
    }
    KneeDriver().run(context, decode_parameters(KneeSearch, given))
    view = place.view()
    steps = [one.event for one in view.events(KneeStep.NAME) if isinstance(one.event, KneeStep)]
    assert [step.step for step in steps] == ["01-load"]
    assert steps[0].rate_per_s == 90.0
    assert {step.outcome for step in steps} <= {"breaks", "inconclusive"}  # inconclusive: this machine was busy just then
    if steps[0].outcome == "breaks":
        assert "requests failed" in steps[0].reason
        stopped = next(one.event for one in view.events(LoadStopped.NAME))
        assert isinstance(stopped, LoadStopped)
        assert stopped.due < stopped.planned
    assert view.events(Measured.NAME) == ()
