"""The drivers, the checker and the monitor of a budget, over a real run folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import HarnessError, UsageError
from harness.core.units import Duration, Share
from harness.core.verdict import Verdict
from harness.journal.events import LoadPlanned, Measured, MonitorRaised, Table, Window
from harness.load.budget.checks import BudgetChecker, BudgetChecks, PhaseUse
from harness.load.budget.driver import BudgetDriver, BudgetFile, BudgetTableDriver
from harness.load.budget.file import Limit
from harness.load.budget.monitor import BudgetMonitor, allowed_bad, replay
from harness.run.monitors import OnlineChecker, Watch

BUDGET = """
name: small
phases:
  steady: {p95: 400 ms, errors: 1 %, rate: 9 /s}
objectives:
  - {name: fast, endpoint: retrieve, share: 95 %, within: 400 ms}
burn_rates:
  - {rate: 6, long: 10 min, short: 1 min}
  - {rate: 1, long: 1 h, short: 6 min}
"""
COUNT = 1000
USE = BudgetChecks(phases=(PhaseUse(phase="steady", step="load"),), certified=False)


def prepared(place: Any, samples: Any, *, planned: int = COUNT) -> None:
    """The budget stored, the load announced, its window known."""
    (place.project / "b.yaml").write_text(BUDGET)
    BudgetDriver().run(place.context("http://127.0.0.1:1", {}), BudgetFile(file="b.yaml"))
    place.emit(
        LoadPlanned(
            trial="t", step="load", engine="ours", rate_per_s=10, warmup_s=0, duration_s=100, requests=planned, canary_rate_per_s=20
        ),
        Window(trial="t", kind="phase", name="steady", start_ns=samples.START, end_ns=samples.START + 100 * 10**9, tags={"step": "load"}),
    )


def segments(place: Any, rows: Iterable[dict[str, Any]], each: int = 50) -> None:
    """Rows as segments of so many."""
    given = list(rows)
    for begin in range(0, len(given), each):
        place.rows("requests", given[begin : begin + each])


def good(samples: Any, numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [samples.row(100 * n, 50) for n in numbers]


def refused(samples: Any, numbers: Iterable[int]) -> list[dict[str, Any]]:
    return [samples.row(100 * n, 1, "http_error", status=503) for n in numbers]


def raised(place: Any, use: BudgetChecks) -> list[str]:
    """What a monitor says to the events of the journal, and that it says it again."""
    found = replay(place.view(), "t", use)
    assert found == replay(place.view(), "t", use)
    return found


def test_the_checker_gives_a_row_for_every_statement(place: Any, samples: Any) -> None:
    """Limits, objective and burn rates of a healthy run pass; the checks are named by phase and endpoint."""
    prepared(place, samples)
    segments(place, good(samples, range(COUNT)), 500)
    rows = BudgetChecker().check(place.view(), "t", "load", USE)
    assert {row.check.removeprefix("t.budget."): str(row.verdict) for row in rows} == {
        "steady.all.p95": "PASS",
        "steady.all.errors": "PASS",
        "steady.all.rate": "PASS",
        "steady.retrieve.p95": "PASS",
        "steady.retrieve.errors": "PASS",
        "steady.retrieve.fast": "PASS",
        "steady.retrieve.fast.burn_6": "PASS",
        "steady.retrieve.fast.burn_1": "PASS",
    }


@pytest.mark.parametrize(
    ("given", "said", "limit"), [(0.5, None, "4.5 /s"), (1.0, 0.25, "2.25 /s"), (0.5, 0.5, "2.25 /s"), (1.0, None, "9 /s")]
)
def test_throughput_is_scaled_with_the_load(place: Any, samples: Any, given: float, said: float | None, limit: str) -> None:
    """By what the scenario says, times what the step says it did; times and errors stay as they are."""
    prepared(place, samples)
    segments(place, good(samples, range(0, COUNT, 4)), 500)
    if said is not None:
        place.emit(Measured(trial="t", metric="load_scale", unit="1", value=said, tags={"step": "load"}))
    use = BudgetChecks(phases=USE.phases, certified=False, scale=given)
    rows = {row.check.removeprefix("t.budget.steady.all."): row for row in BudgetChecker().check(place.view(), "t", "load", use)}
    assert rows["rate"].limit == f"rate >= {limit} (phases.steady)"
    assert rows["rate"].verdict is (Verdict.PASS if limit == "2.25 /s" else Verdict.FAIL)
    assert rows["p95"].limit.startswith("p95 <= 400 ms")


def test_latency_without_a_certificate_is_inconclusive(place: Any, samples: Any) -> None:
    """No canary ran: what hangs on a time is inconclusive with the cause, errors and throughput stand."""
    prepared(place, samples)
    segments(place, good(samples, range(COUNT)), 500)
    certified = BudgetChecks(phases=USE.phases)
    rows = {row.check: row for row in BudgetChecker().check(place.view(), "t", "load", certified)}
    assert rows["t.budget.steady.all.p95"].verdict is Verdict.INCONCLUSIVE
    assert "no canary ran" in rows["t.budget.steady.all.p95"].reason
    assert rows["t.budget.steady.all.errors"].verdict is Verdict.PASS


def test_a_window_that_never_began_is_vacuous(place: Any, samples: Any) -> None:
    """A phase without its window passes nothing; a phase the budget does not have is an error."""
    prepared(place, samples)
    segments(place, good(samples, range(300)), 300)
    uses = (PhaseUse(phase="steady", window="burst"), PhaseUse(phase="brust", window="steady"))
    rows = BudgetChecker().check(place.view(), "t", "load", BudgetChecks(phases=uses, certified=False))
    assert [row.verdict for row in rows] == [Verdict.VACUOUS, Verdict.ERROR]


def test_a_trial_without_its_budget_says_how_to_store_it(place: Any) -> None:
    """The checker looks at the run's folder only."""
    with pytest.raises(HarnessError, match="add a step with the driver `budget`"):
        BudgetChecker().check(place.view(), "t", "load", USE)


def test_a_broken_budget_file_stores_nothing(place: Any) -> None:
    """The driver refuses it with its line before any load."""
    (place.project / "b.yaml").write_text("name: x\ndefaults: {p96: 1 s}\n")
    with pytest.raises(UsageError, match=r"b\.yaml:2:12: .*did you mean"):
        BudgetDriver().run(place.context("http://127.0.0.1:1", {}), BudgetFile(file="b.yaml"))
    with pytest.raises(UsageError, match=r"c\.yaml: the budget cannot be read.*did you mean 'b\.yaml'"):
        BudgetDriver().run(place.context("http://127.0.0.1:1", {}), BudgetFile(file="c.yaml"))
    assert place.view().evidence("budget.yaml", "t") is None


def test_the_table_shows_every_row(place: Any, samples: Any) -> None:
    """One table a phase, with limit, value, verdict and where the budget says it."""
    prepared(place, samples)
    segments(place, good(samples, range(COUNT)), 500)
    BudgetTableDriver().run(place.context("http://127.0.0.1:1", {}), USE)
    (event,) = [recorded.event for recorded in place.view().events(Table.NAME, trial="t")]
    assert event.title == "small: phase steady"
    assert event.rows[0][:6] == ("all", "p95", "<= 400 ms", "50 ms (n=1000)", "PASS", "phases.steady")


IMPOSSIBLE = BudgetChecks(phases=USE.phases, certified=False, abort=("impossible",))
BURN = BudgetChecks(phases=USE.phases, certified=False, abort=("burn",))


def test_the_monitor_stops_when_the_plan_cannot_make_up_for_it(place: Any, samples: Any) -> None:
    """1 % of 1,000 is 10: the tenth bad request is allowed, the eleventh ends the run, with 900 requests still to come."""
    prepared(place, samples)
    segments(place, [*good(samples, range(40)), *refused(samples, range(40, 50))])
    assert raised(place, IMPOSSIBLE) == []
    segments(place, [*good(samples, range(50, 99)), *refused(samples, range(99, 100))])
    assert raised(place, IMPOSSIBLE) == [
        "steady: all errors <= 1 % cannot be met any more: 11 requests failed, 10 of 1000 may",
    ]


def test_the_monitor_counts_slow_answers_against_a_percentile(place: Any, samples: Any) -> None:
    """50 of 1,000 may be slower than the limit of p95; the 51st decides it."""
    prepared(place, samples)
    segments(place, [samples.row(100 * n, 401 if n % 2 else 5) for n in range(100)])
    assert raised(place, IMPOSSIBLE) == []
    segments(place, [samples.row(100 * n, 401) for n in range(100, 101)])
    assert "all p95 <= 400 ms cannot be met any more: 51 requests failed or took longer than 400 ms" in raised(place, IMPOSSIBLE)[0]


def test_what_lies_outside_the_window_is_not_counted(place: Any, samples: Any) -> None:
    """Failures of the warm-up end nothing."""
    prepared(place, samples)
    segments(place, refused(samples, range(-100, 0)))
    assert raised(place, BudgetChecks(phases=USE.phases, abort=("impossible", "burn"))) == []


def test_a_fast_burn_has_to_be_seen_twice(place: Any, samples: Any) -> None:
    """Everything fails for two short windows in a row: the second look ends the run, the first does not."""
    prepared(place, samples)
    segments(place, good(samples, range(200)))
    segments(place, refused(samples, range(200, 300)), 100)
    assert raised(place, BURN) == []
    segments(place, refused(samples, range(300, 350)))
    assert raised(place, BURN) == [
        "steady: objective fast burns 18 times as fast as it may, over both windows, for the second time in a row",
    ]


def test_a_burn_needs_a_whole_long_window(place: Any, samples: Any) -> None:
    """Ten bad seconds right at the begin end nothing, while the long window is 17 s: it has not been seen yet."""
    prepared(place, samples)
    segments(place, refused(samples, range(100)))
    segments(place, good(samples, range(100, 400)))
    assert raised(place, BURN) == []


def test_the_run_is_stopped_online_and_replay_agrees(place: Any, samples: Any) -> None:
    """Through the hub's own observers: stop is called with the reason, the raise is journaled, the checker repeats it."""
    stopped: list[str] = []
    checker = BudgetChecker()
    assert isinstance(checker, OnlineChecker)
    watch = Watch("t", [checker.monitor(str(place.run_folder), "t", IMPOSSIBLE)], place.hub, stopped.append)
    forget = place.hub.observe(watch)
    prepared(place, samples)
    segments(place, refused(samples, range(100)))
    forget()
    (reason,) = stopped
    assert reason.startswith("budget: steady: all p95 <= 400 ms cannot be met any more: 100 requests failed") or "errors <= 1 %" in reason
    (said,) = [recorded.event for recorded in place.view().events(MonitorRaised.NAME, trial="t")]
    assert replay(place.view(), "t", IMPOSSIBLE) == [said.reason]
    (row,) = [row for row in checker.check(place.view(), "t", "load", IMPOSSIBLE) if row.check.endswith("early_abort")]
    assert (row.verdict, row.reason) == (Verdict.FAIL, said.reason)


def test_a_raise_that_the_journal_does_not_show_is_found(place: Any, samples: Any) -> None:
    """A monitor that said something else than reading again gives is a failure, whatever it said."""
    prepared(place, samples)
    segments(place, good(samples, range(100)))
    place.emit(MonitorRaised(trial="t", monitor="budget", signal="stop", reason="I felt like it"))
    (row,) = [row for row in BudgetChecker().check(place.view(), "t", "load", IMPOSSIBLE) if row.check.endswith("early_abort")]
    assert row.verdict is Verdict.FAIL
    assert "reading the journal again gives []" in row.reason


def test_a_changed_segment_stops_the_monitor(place: Any, samples: Any) -> None:
    """What the journal does not vouch for is not counted."""
    prepared(place, samples)
    segments(place, good(samples, range(50)))
    (path,) = Path(place.run_folder / "segments").glob("*.arrows")
    path.write_bytes(path.read_bytes() + b"x")
    monitor = BudgetMonitor(place.run_folder, "t", IMPOSSIBLE)
    with pytest.raises(HarnessError, match="not what the journal vouches for"):
        for recorded in place.view().events(trial="t"):
            monitor.see(recorded.event)


@pytest.mark.parametrize(
    ("metric", "limit", "planned", "most"),
    [
        ("p95", Duration.parse("1 s"), 1000, 50),
        ("p95", Duration.parse("1 s"), 999, 49),
        ("p99", Duration.parse("1 s"), 50, 0),
        ("p50", Duration.parse("1 s"), 3, 1),
        ("errors", Share.parse("1 %"), 1000, 10),
        ("errors", Share.parse("0.5 %"), 399, 1),
    ],
)
def test_how_many_may_be_bad_is_exact(metric: str, limit: Any, planned: int, most: int) -> None:
    """As nearest rank counts, in whole requests."""
    assert allowed_bad(Limit(metric, limit, ""), planned) == most
