"""Samples against a budget: every intended request counts, and few samples show little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from harness.core.verdict import Verdict
from harness.load.budget.judge import BudgetRow, judge_phase
from harness.load.budget.reading import parse_budget

BUDGET = parse_budget(
    b"""
name: b
defaults: {p50: 300 ms, p95: 500 ms, p99: 900 ms, errors: 1 %}
phases:
  steady: {p95: 500 ms, errors: 1 %, rate: 9 /s}
endpoints:
  retrieve: {p95: 400 ms, by_key: true}
  health: {p95: 100 ms}
""",
    "b.yaml",
)
COUNT = 400  # at 10/s


def judged(samples: Any, rows: Sequence[dict[str, Any]], endpoints: Sequence[str] = (), seconds: float = 40) -> dict[str, BudgetRow]:
    span = (samples.START, samples.START + round(seconds * 1e9))
    return {row.name: row for row in judge_phase(BUDGET, "steady", samples.table(rows), span, endpoints)}


def verdicts(rows: dict[str, BudgetRow]) -> dict[str, str]:
    return {name: str(row.verdict) for name, row in rows.items()}


def test_a_run_within_its_budget_passes_row_by_row(samples: Any) -> None:
    """All of the phase, then each endpoint with its own limits; one that no request met is VACUOUS by name."""
    rows = judged(samples, [samples.row(100 * n, 200) for n in range(COUNT)])
    assert verdicts(rows) == {
        "all.p95": "PASS",
        "all.errors": "PASS",
        "all.rate": "PASS",
        "retrieve.p95": "PASS",
        "retrieve.errors": "PASS",
        "health.p95": "VACUOUS",
        "health.errors": "VACUOUS",
    }
    assert rows["all.p95"].value == "200 ms (n=400)"
    assert rows["retrieve.p95"].limit == "<= 400 ms"


def test_the_limit_itself_is_still_within(samples: Any) -> None:
    """At most means at most."""
    assert judged(samples, [samples.row(100 * n, 400) for n in range(COUNT)])["retrieve.p95"].verdict is Verdict.PASS
    assert judged(samples, [samples.row(100 * n, 401) for n in range(COUNT)])["retrieve.p95"].verdict is Verdict.FAIL


def test_fast_503s_do_not_improve_p95(samples: Any) -> None:
    """A tenth of the requests is refused in 1 ms, the others would just do: p95 is infinite, not better."""
    rows = [samples.row(100 * n, 1, "http_error", status=503) if n % 10 == 0 else samples.row(100 * n, 390) for n in range(COUNT)]
    found = judged(samples, rows)
    assert (found["retrieve.p95"].verdict, found["retrieve.p95"].value) == (Verdict.FAIL, "never (n=400)")
    assert found["all.errors"].verdict is Verdict.FAIL


@pytest.mark.parametrize("outcome", ["timeout", "unsent", "connection_error", "censored", "rate_limited", "bad_body"])
def test_whatever_got_no_good_answer_is_infinite(samples: Any, outcome: str) -> None:
    """Six in a hundred of any bad outcome break p95 and the error limit."""
    rows = [samples.row(100 * n, None, outcome) if n % 16 == 0 else samples.row(100 * n, 10) for n in range(COUNT)]
    found = judged(samples, rows)
    assert {found["all.p95"].verdict, found["all.errors"].verdict} == {Verdict.FAIL}


def test_requests_without_a_known_start_count(samples: Any) -> None:
    """A tool that does not know when a request was due does not get it for free."""
    rows = [samples.row(100 * n, 10) for n in range(COUNT)]
    for one in rows[:40]:
        one["intended_ns"] = one["sent_ns"] = None
    found = judged(samples, rows)
    assert found["all.p95"].verdict is Verdict.FAIL
    assert found["all.p95"].value == "never (n=400)"


def test_few_samples_are_inconclusive(samples: Any) -> None:
    """p95 wants 200 samples, an error limit of 1 % wants 300."""
    rows = [samples.row(100 * n, 10) for n in range(199)]
    found = judged(samples, rows, seconds=20)
    assert (found["all.p95"].verdict, found["all.errors"].verdict) == (Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE)
    assert "200 are needed" in found["all.p95"].reason
    assert "300 are needed" in found["all.errors"].reason


def test_what_lies_outside_the_window_does_not_count(samples: Any) -> None:
    """A slow warm-up before the span and a slow tail after it change nothing."""
    rows = [samples.row(-100 * n, 5000) for n in range(1, 60)] + [samples.row(100 * n, 10) for n in range(COUNT)]
    rows += [samples.row(40_000 + 100 * n, 5000) for n in range(60)]
    assert judged(samples, rows)["all.p95"].verdict is Verdict.PASS


def test_each_intent_is_held_to_the_endpoints_limits(samples: Any) -> None:
    """One slow intent fails although all together pass."""
    rows = [samples.row(50 * n, 10, key="dose") for n in range(800 - 39)]
    rows += [samples.row(50 * n, 450, key="ae") for n in range(39)]
    found = judged(samples, rows)
    assert (found["retrieve.p95"].verdict, found["retrieve/dose.p95"].verdict) == (Verdict.PASS, Verdict.PASS)
    assert found["retrieve/ae.p95"].verdict is Verdict.FAIL  # too few to pass, enough to prove that it is slow
    quick = judged(samples, [*rows[:-39], *(samples.row(50 * n, 10, key="ae") for n in range(39))])
    assert quick["retrieve/ae.p95"].verdict is Verdict.INCONCLUSIVE  # 39 samples show no p95
    slow = judged(samples, [*rows, *(samples.row(50 * n, 450, key="ae") for n in range(300))])
    assert slow["retrieve/ae.p95"].verdict is Verdict.FAIL


def test_a_named_endpoint_that_was_never_measured_is_vacuous(samples: Any) -> None:
    """A missing metric is no pass."""
    found = judged(samples, [samples.row(100 * n, 10) for n in range(COUNT)], endpoints=["health"])
    assert found["health.p95"].verdict is Verdict.VACUOUS


def test_throughput_counts_good_answers_only(samples: Any) -> None:
    """Half of 10/s failing is 5/s; nothing at all is 0/s and no vacuum."""
    half = [samples.row(100 * n, 10, "ok" if n % 2 else "http_error") for n in range(COUNT)]
    assert (judged(samples, half)["all.rate"].verdict, judged(samples, half)["all.rate"].value) == (Verdict.FAIL, "5 /s (n=200)")
    none = [samples.row(100 * n, None, "timeout") for n in range(COUNT)]
    assert (judged(samples, none)["all.rate"].verdict, judged(samples, none)["all.rate"].value) == (Verdict.FAIL, "0 /s")
