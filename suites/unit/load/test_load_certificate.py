"""Checkers of load look at samples only: each way in which figures may lie has its own verdict and cause."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import LoadFinished, LoadGenerator
from harness.load.certificate import Bodies, BodiesChecker, Certificate, CertificateChecker
from harness.run.protocols import MetricSpec
from harness.run.threshold_rows import check_threshold
from harness.thresholds.grammar import parse_threshold

MS = 1_000_000
LIMIT = Certificate(tightest_limit=Duration.parse("100 ms"))  # the band is 5 ms


def canaries(error_ms: float = 0.4, count: int = 240, **more: Any) -> list[dict[str, Any]]:
    """``count`` canaries held 5 ms by their server and seen ``error_ms`` later."""
    row = {"sent_ns": 0, "known_delay_ns": 5 * MS, "outcome": "ok", **more}
    return [{**row, "intended_ns": n * 50 * MS, "done_ns": n * 50 * MS + 5 * MS + round(error_ms * MS)} for n in range(count)]


def requests(lag_ms: float = 0.1, count: int = 300, outcome: str = "ok", **more: Any) -> list[dict[str, Any]]:
    """``count`` good requests of 20 ms service, sent ``lag_ms`` late."""
    rows = []
    for number in range(count):
        intended = number * 10 * MS
        sent = intended + round(lag_ms * MS)
        rows.append({"op": "ask", "step": "load", "intended_ns": intended, "sent_ns": sent, "done_ns": sent + 20 * MS, "status": 200})
        rows[-1] |= {"outcome": outcome, "bytes": 3, "request_id": f"load-{number:08d}", **more}
    return rows


def generator(**changes: Any) -> LoadGenerator:
    """What a process says that was nowhere near its limits."""
    quiet = {"worker": 0, "cpu_share": 0.3, "connections_most": 40, "connections_max": 8_000, "connections_refused_by_cap": 0}
    pauses = {"gc_pauses": 3, "gc_total_s": 0.002, "gc_max_s": 0.001, "lag_p99_s": 0.0002, "peak_rss_bytes": 1 << 27}
    return LoadGenerator(trial="t", step="load", **{**quiet, **pauses, **changes})


def finished(intended: int, engine: str = "ours") -> LoadFinished:
    return LoadFinished(trial="t", step="load", engine=engine, intended=intended, sent=intended, completed=intended, cpu_share=0.3)


def judged(place: Any, asked: list[dict[str, Any]], canary: list[dict[str, Any]], *said: Any) -> dict[str, Any]:
    place.rows("requests", asked)
    place.rows("canary", canary)
    place.emit(*(said or (generator(),)))
    rows = CertificateChecker().check(place.view(), "t", "load", LIMIT)
    return {row.check.removeprefix("t.certificate."): row for row in rows}


def test_figures_that_may_be_believed_have_four_passes(place: Any) -> None:
    """In band, on time, nothing unsent, nobody at a limit."""
    rows = judged(place, requests(), canaries())
    assert {row.verdict for row in rows.values()} == {Verdict.PASS}
    assert rows["canary"].value == "p95 error 0.40 ms over 240 canaries"


@pytest.mark.parametrize(
    ("asked", "canary", "name", "verdict", "reason"),
    [
        (requests(), canaries(error_ms=5.5), "canary", Verdict.INCONCLUSIVE, "out of band"),
        (requests(), canaries(count=199), "canary", Verdict.INCONCLUSIVE, "needs 200"),
        (requests(), [], "canary", Verdict.VACUOUS, "no canary ran"),
        (requests(), canaries(outcome="timeout", done_ns=None), "canary", Verdict.INCONCLUSIVE, "out of band"),
        (requests(lag_ms=5.5), canaries(), "schedule_lag", Verdict.INCONCLUSIVE, "sent late"),
        ([], canaries(), "schedule_lag", Verdict.VACUOUS, "nothing was sent"),
        (requests(outcome="unsent", sent_ns=None, done_ns=None), canaries(), "schedule_lag", Verdict.VACUOUS, "nothing was sent"),
        (requests(outcome="unsent", sent_ns=None, done_ns=None), canaries(), "shortfall", Verdict.INCONCLUSIVE, "300 intended requests"),
        ([*requests(), *requests(count=1, outcome="unsent", sent_ns=None)], canaries(), "shortfall", Verdict.INCONCLUSIVE, "1 intended"),
        ([], canaries(), "shortfall", Verdict.VACUOUS, "nothing was intended"),
    ],
)
def test_each_doubt_has_its_row_and_cause(place: Any, asked: Any, canary: Any, name: str, verdict: Verdict, reason: str) -> None:
    """Canary out of band, too few or none, late sends, a shortfall: never PASS, and the reason says which."""
    row = judged(place, asked, canary)[name]
    assert (row.verdict, reason in row.reason) == (verdict, True), row


@pytest.mark.parametrize(
    ("said", "verdict", "reason"),
    [
        ([generator()], Verdict.PASS, ""),
        ([generator(), generator(worker=1, cpu_share=0.95)], Verdict.INCONCLUSIVE, "process 1 used 95% of a core"),
        ([generator(connections_most=8_000)], Verdict.PASS, ""),
        ([generator(connections_most=8_000, connections_refused_by_cap=7)], Verdict.INCONCLUSIVE, "7 arrivals waited"),
        ([generator(gc_max_s=0.006)], Verdict.INCONCLUSIVE, "garbage collector of the generator paused it for 6.0 ms"),
        ([finished(300)], Verdict.VACUOUS, "no engine process said"),
    ],
)
def test_a_generator_at_its_own_limits_is_named(place: Any, said: Any, verdict: Verdict, reason: str) -> None:
    """CPU, connections and pauses of each process are judged, and nothing but latency is doubted for them."""
    rows = judged(place, requests(), canaries(), *said)
    assert (rows["saturation"].verdict, reason in rows["saturation"].reason) == (verdict, True), rows["saturation"]
    assert {rows[name].verdict for name in ("canary", "schedule_lag", "shortfall")} == {Verdict.PASS}


@pytest.mark.parametrize("realtime", [True, False])
def test_who_sent_late_without_real_time_priority_is_told_how_to_get_it(place: Any, realtime: bool) -> None:
    """An ordinary process waits for its core when the machine is busy."""
    row = judged(place, requests(lag_ms=40), canaries(), generator(realtime=realtime), finished(300))["schedule_lag"]
    assert (row.verdict, "ulimit -r" in row.reason) == (Verdict.INCONCLUSIVE, not realtime), row


def test_a_request_without_a_row_is_a_shortfall(place: Any) -> None:
    """Dropped when busy: the plan had 310, the samples have 300. Another engine's count is not about these samples."""
    row = judged(place, requests(), canaries(), generator(), finished(310))["shortfall"]
    assert (row.verdict, row.value) == (Verdict.INCONCLUSIVE, "300 of 310 sent")
    assert "10 of them have no row" in row.reason


def test_another_engine_is_not_counted_here(place: Any) -> None:
    """Locust's own count in the same trial says nothing about our samples."""
    assert judged(place, requests(), canaries(), generator(), finished(300), finished(900, "locust"))["shortfall"].verdict is Verdict.PASS


def test_rate_limited_answers_are_counted_apart(place: Any) -> None:
    """429s stand beside the shortfall and are none."""
    asked = [*requests(count=290), *requests(count=10, outcome="rate_limited", status=429)]
    row = judged(place, asked, canaries())["shortfall"]
    assert (row.verdict, row.value) == (Verdict.PASS, "300 of 300 sent, 10 rate-limited")


def test_the_share_of_bad_canaries_decides_not_the_worst_one(place: Any) -> None:
    """4 % of canaries 50 ms late leave the p95 in band; 6 % do not."""
    good, late = canaries(), canaries(error_ms=50)
    assert judged(place, requests(), [*good[:230], *late[230:]])["canary"].verdict is Verdict.PASS
    row = CertificateChecker().check(place.view(), "t", "load", LIMIT)[0]
    assert row.verdict is Verdict.PASS
    place.rows("canary", late[:6])
    assert CertificateChecker().check(place.view(), "t", "load", LIMIT)[0].verdict is Verdict.INCONCLUSIVE


def closed_loop(stall_from: int, stall_ms: int) -> list[dict[str, Any]]:
    """What a generator records that waits for each answer before it sends the next, when the server stands still once."""
    rows, free = [], 0
    for number in range(1_000):
        intended = number * 10 * MS
        sent = max(intended, free)
        free = sent + 5 * MS + (stall_ms * MS if number == stall_from else 0)
        rows.append({**requests(count=1)[0], "intended_ns": intended, "sent_ns": sent, "done_ns": free, "request_id": f"load-{number:08d}"})
    return rows


def test_latency_from_the_send_would_hide_a_stall_and_is_caught(place: Any) -> None:
    """A generator that waits shows 5 ms at p99 from the send over a 1 s stall; the truth shows and the certificate is red."""
    rows = closed_loop(stall_from=200, stall_ms=1_000)
    from_send = np.array([row["done_ns"] - row["sent_ns"] for row in rows]) / MS
    from_plan = np.array([row["done_ns"] - row["intended_ns"] for row in rows]) / MS
    lie, truth = (float(np.quantile(values, 0.99, method="inverted_cdf")) for values in (from_send, from_plan))
    assert lie == 5
    assert truth > 900
    assert abs(lie - truth) > max(1.0, 0.01 * truth)
    found = judged(place, rows, canaries())
    assert found["schedule_lag"].verdict is Verdict.INCONCLUSIVE
    for metric, expected in (("response_time", truth), ("service_time", lie)):
        threshold = parse_threshold(f"{metric}: p(99) < 100 ms")
        result = check_threshold(place.view(), "t", threshold, MetricSpec(metric, "s", "samples:requests"))
        assert result.figure == pytest.approx(expected / 1000)
        assert result.verdict is (Verdict.FAIL if expected > 100 else Verdict.PASS)


@pytest.mark.parametrize(
    ("rows", "verdict", "value"),
    [
        (requests(count=3), Verdict.PASS, "3 of 3 bodies right"),
        ([*requests(count=3), *requests(count=1, outcome="bad_body")], Verdict.FAIL, "3 of 4 bodies right"),
        (requests(count=3, outcome="timeout", done_ns=None), Verdict.VACUOUS, "0 of 0 bodies right"),
        (requests(count=3, step="other"), Verdict.VACUOUS, "0 of 0 bodies right"),
        ([], Verdict.VACUOUS, "0 of 0 bodies right"),
        (requests(count=37, outcome="http_error", status=403), Verdict.VACUOUS, "0 of 0 bodies right"),
        (requests(count=9, outcome="rate_limited", status=429), Verdict.VACUOUS, "0 of 0 bodies right"),
        (requests(count=9, outcome="connection_error", status=0, done_ns=None), Verdict.VACUOUS, "0 of 0 bodies right"),
        ([*requests(count=2), *requests(count=5, outcome="http_error", status=503)], Verdict.PASS, "2 of 2 bodies right"),
        ([*requests(count=1, outcome="bad_body"), *requests(count=5, outcome="http_error")], Verdict.FAIL, "0 of 1 bodies right"),
    ],
)
def test_answers_that_carried_the_load_are_looked_at(place: Any, rows: Any, verdict: Verdict, value: str) -> None:
    """One wrong body fails; no answer of the named step is VACUOUS."""
    place.rows("requests", rows)
    row = BodiesChecker().check(place.view(), "t", "load", Bodies(step="load"))[0]
    assert (row.verdict, row.value) == (verdict, value)


def test_errors_are_told_by_outcome_and_status_where_no_body_was_judged(place: Any) -> None:
    """An answer of 403 is no wrong body: it is said as what it is, the commonest first."""
    place.rows(
        "requests", [*requests(count=3, outcome="timeout", status=0, done_ns=None), *requests(count=37, outcome="http_error", status=403)]
    )
    row = BodiesChecker().check(place.view(), "t", "load", Bodies(step="load"))[0]
    assert row.reason == "no body was judged; of 40 requests: 37 × 403 Forbidden, 3 × timeout"
