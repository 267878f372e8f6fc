"""Locust's statistics against a budget: headings, mixed-in failures, rounded times, the send."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.core.verdict import Verdict
from harness.load.budget.locust_stats import FROM_THE_SEND, HEADINGS, judge_stats, read_stats
from harness.load.budget.reading import parse_budget

HEADER = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,"
    "Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
)
GOOD = ",Aggregated,{n},{failed},100,100.0,1.0,300.0,10.0,50.0,{failed_rate},100,110,120,130,200,{p95},260,270,280,290,300"
BUDGET = parse_budget(b"name: b\nphases: {burst: {p95: 250 ms, errors: 1 %, rate: 45 /s}}\n", "b.yaml")


@pytest.fixture
def stats(tmp_path: Path) -> Callable[..., Path]:
    def write(n: int = 6000, failed: int = 0, p95: str = "230", header: str = HEADER, line: str = GOOD) -> Path:
        path = tmp_path / "x_stats.csv"
        path.write_text(f"{header}\n{line.format(n=n, failed=failed, p95=p95, failed_rate=50 * failed / max(n, 1))}\n")
        return path

    return write


def verdicts(path: Path, *, accept_send: bool = False) -> dict[str, Verdict]:
    return {row.metric: row.verdict for row in judge_stats(BUDGET, "burst", read_stats(path), accept_send=accept_send)}


def test_these_are_the_headings_that_locust_writes() -> None:
    """The installed Locust still names its columns so (in a process of its own: it patches what it is imported into)."""
    script = (
        "from locust.env import Environment; from locust.stats import StatsCSV, PERCENTILES_TO_REPORT as p;"
        "print(','.join(StatsCSV(Environment(), p).requests_csv_columns))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == HEADER
    assert set(HEADINGS) <= set(HEADER.split(","))


def test_half_of_all_requests_failing_is_an_error_rate_of_a_half(stats: Callable[..., Path]) -> None:
    """Request Count and Failure Count are read: nothing passes by not being found."""
    assert verdicts(stats(failed=3000)) == {"p95": Verdict.FAIL, "errors": Verdict.FAIL, "rate": Verdict.FAIL}


@pytest.mark.parametrize("lost", ["Request Count", "Failure Count", "Name", "Requests/s"])
def test_a_heading_that_is_not_known_is_named(stats: Callable[..., Path], lost: str) -> None:
    """An unknown heading is an error with its nearest word, never a figure of 0."""
    path = stats(header=HEADER.replace(lost, f"# {lost}s"))
    with pytest.raises(UsageError, match=rf"x_stats\.csv:1: the heading '{lost}' is missing \(did you mean '# {lost}s'"):
        read_stats(path)


def test_a_file_without_percentiles_is_refused(stats: Callable[..., Path]) -> None:
    """No percentile column, no verdict on latency."""
    with pytest.raises(UsageError, match="no heading is a percentile"):
        read_stats(stats(header=HEADER.replace("%", " percent")))


def test_times_from_the_send_show_no_pass(stats: Callable[..., Path]) -> None:
    """What a waiting client did not send is missing: within the limit is inconclusive, unless that is accepted."""
    rows = judge_stats(BUDGET, "burst", read_stats(stats()))
    assert {row.metric: (row.verdict, row.reason) for row in rows} == {
        "p95": (Verdict.INCONCLUSIVE, FROM_THE_SEND),
        "errors": (Verdict.PASS, ""),
        "rate": (Verdict.PASS, ""),
    }
    assert verdicts(stats(), accept_send=True)["p95"] is Verdict.PASS


def test_a_broken_limit_is_broken_however_it_was_counted(stats: Callable[..., Path]) -> None:
    """More than half a rounding step above the limit fails."""
    assert verdicts(stats(p95="260"))["p95"] is Verdict.FAIL


def test_rounding_decides_nothing(stats: Callable[..., Path]) -> None:
    """250 may have been 254: not a pass, not a failure."""
    assert verdicts(stats(p95="250"), accept_send=True)["p95"] is Verdict.INCONCLUSIVE


def test_failures_make_a_percentile_an_interval(stats: Callable[..., Path]) -> None:
    """With 3 % failures p95 lies between Locust's p95 and its p98; with 6 % it is infinite."""
    some = judge_stats(BUDGET, "burst", read_stats(stats(failed=180)), accept_send=True)
    assert (some[0].verdict, some[0].value) == (Verdict.INCONCLUSIVE, "225 ms to 265 ms (n=6000, 180 failed)")
    many = judge_stats(BUDGET, "burst", read_stats(stats(failed=360)), accept_send=True)
    assert (many[0].verdict, many[0].value) == (Verdict.FAIL, "never to never (n=6000, 360 failed)")


def test_few_requests_are_inconclusive_and_none_are_vacuous(stats: Callable[..., Path]) -> None:
    """The numbers of samples are those of every threshold."""
    assert verdicts(stats(n=150))["p95"] is Verdict.INCONCLUSIVE
    assert set(verdicts(stats(n=0)).values()) == {Verdict.VACUOUS}


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("POST,retrieve,x,0,100,1,1,1,1,50,0,1,1,1,1,1,1,1,1,1,1,1", "x_stats.csv:2: no figure"),
        ("POST,retrieve,5", "x_stats.csv:2: 3 cells under 22 headings"),
        ("POST,retrieve,5,6,100,1,1,1,1,50,0,1,1,1,1,1,1,1,1,1,1,1", "x_stats.csv:2: 6 failures of 5 requests"),
        ("", "no line of figures"),
    ],
)
def test_a_damaged_line_is_named(stats: Callable[..., Path], line: str, wanted: str) -> None:
    """File and line stand in the error."""
    with pytest.raises(UsageError, match=wanted):
        read_stats(stats(line=line))
