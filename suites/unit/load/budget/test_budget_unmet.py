"""Limits that nothing met, torn statistics and impossible figures: never a silent PASS."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.core.errors import UsageError
from harness.core.verdict import Verdict, merge
from harness.load.budget.judge import BudgetRow
from harness.load.budget.locust_stats import judge_stats, read_stats
from harness.load.budget.reading import parse_budget

HEADER = (
    "Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,Max Response Time,"
    "Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%"
)


def line(
    name: str, percentiles: str = "20,22,25,30,40,50,60,70,80,90,95", *, count: str = "6000", failed: str = "0", least: str = "9"
) -> str:
    return f"GET,{name},{count},{failed},20,21.0,{least},95.0,10.0,50.0,0.0,{percentiles}"


def judged(folder: Path, budget: str, *lines: str, end: str = "\n") -> list[BudgetRow]:
    path = folder / "run_stats.csv"
    path.write_text("\n".join([HEADER, *lines]) + end, encoding="utf-8")
    return judge_stats(parse_budget(budget.encode(), "b.yaml"), "burst", read_stats(path), accept_send=True)


BUDGET = "name: b\ndefaults: {p95: 90 ms}\nphases: {burst: {}}\n"


@pytest.mark.parametrize(
    ("more", "unmet", "near"),
    [
        ("endpoints: {search: {p95: 40 ms}}", ["search.p95"], "/search"),
        ("endpoints: {/serch: {p95: 40 ms, errors: 1 %}}", ["/serch.p95", "/serch.errors"], "/search"),
        ('endpoints: {"GET /search?q=1": {p50: 10 ms}}', ["GET /search?q=1.p50"], ""),
        ("endpoints: {nothing: {rate: 5 /s}}", ["nothing.p95", "nothing.rate"], ""),
        ("objectives: [{name: fast, endpoint: serach, share: 95 %, within: 80 ms}]", ["serach.fast"], ""),
        ("objectives: [{name: answered, share: 99 %}]", ["all.answered"], ""),
        ("resources: {cpu: 70 %, memory_growth: 10 %}", ["all.cpu", "all.memory_growth"], ""),
        ("endpoints: {/search: {p95: 90 ms, by_key: true}}", ["/search.by_key"], ""),
    ],
)
def test_a_limit_that_no_line_met_is_vacuous_by_name(tmp_path: Path, more: str, unmet: list[str], near: str) -> None:
    """An endpoint or objective that the statistics do not speak of: its rows are there, VACUOUS, with the nearest name; no PASS."""
    rows = judged(tmp_path, f"{BUDGET}{more}\n", line("/search"), line("Aggregated"))
    vacuous = {row.name: row for row in rows if row.verdict is Verdict.VACUOUS}
    assert sorted(vacuous) == sorted(unmet)
    assert merge(row.verdict for row in rows) is Verdict.VACUOUS
    assert not near or all(f"did you mean {near!r}" in row.reason for row in vacuous.values())


@pytest.mark.parametrize("name", ["/search", "/v1/retrieve", "GET /a?b=1&c=2", "users/{id}", "häuser", "a b", "POST http://127.0.0.1:8/x"])
def test_endpoints_have_the_names_that_tools_give_them(tmp_path: Path, name: str) -> None:
    """Paths, queries, blanks and umlauts can be declared and are judged."""
    rows = judged(tmp_path, f'{BUDGET}endpoints: {{"{name}": {{p95: 60 ms}}}}\n', line(name), line("Aggregated"))
    assert {row.name: row.verdict for row in rows} == {f"{name}.p95": Verdict.PASS, "all.p95": Verdict.PASS}


@pytest.mark.parametrize("name", ["", " x", "x ", "a\\tb", "x" * 201])
def test_endpoint_names_that_nobody_can_mean_are_refused(name: str) -> None:
    """Empty, blank at an end, control characters, endless."""
    with pytest.raises(UsageError, match=r"b\.yaml"):
        parse_budget(f'{BUDGET}endpoints: {{"{name}": {{p95: 60 ms}}}}\n'.encode(), "b.yaml")


@pytest.mark.parametrize(
    ("lines", "end", "said"),
    [
        ([line("/a")], "\n", "'Aggregated', is missing"),
        ([line("/a"), line("/b")], "\n", "'Aggregated', is missing"),
        ([line("Aggregated"), line("/a")], "\n", "'Aggregated', is missing"),
        ([line("/a"), line("Aggregated")], "", "the last line has no end"),
        ([line("/a"), line("Aggregated", count="60000")], "\n", "60000 requests in all, 6000 in the lines above"),
        ([line("/a", failed="3"), line("Aggregated")], "\n", "0 failures in all, 3 in the lines above"),
        ([line("/a"), line("Aggregated")[:-30]], "\n", "cells under"),
    ],
)
def test_torn_statistics_are_refused(tmp_path: Path, lines: list[str], end: str, said: str) -> None:
    """Without Locust's last line the limits over all requests would go unjudged."""
    with pytest.raises(UsageError, match=said) as raised:
        judged(tmp_path, BUDGET, *lines, end=end)
    assert raised.value.line


@pytest.mark.parametrize(
    ("old", "new"), [(",9,95.0,", ",-5,95.0,"), (",21.0,9,", ",5000.0,9,"), (",9,95.0,", ",9,nan,"), (",21.0,9,", ",2.0,9,")]
)
def test_times_that_no_run_can_have_are_refused(tmp_path: Path, old: str, new: str) -> None:
    """A negative least time, an average outside least and greatest, no number."""
    assert old in line("/a")
    with pytest.raises(UsageError, match=r"run_stats\.csv:2: impossible"):
        judged(tmp_path, BUDGET, line("/a").replace(old, new), line("Aggregated"))


@pytest.mark.parametrize(
    ("percentiles", "least"),
    [
        ("0,0,0,0,0,0,0,0,0,0,0", "11"),
        ("20,22,25,30,40,0,60,70,80,90,95", "9"),
        ("20,22,25,30,40,50,60,70,80,90,0", "9"),
        ("3,22,25,30,40,50,60,70,80,90,95", "11.5"),
        ("20,22,25,30,40,nan,60,70,80,90,95", "9"),
        ("20,22,25,30,40,50,60,70,80,90,inf", "9"),
        ("-5,22,25,30,40,50,60,70,80,90,95", "-9"),
    ],
)
def test_figures_that_no_run_can_have_are_refused(tmp_path: Path, percentiles: str, least: str) -> None:
    """Percentiles that fall, lie under the least time, or are no numbers: exit 2 with the line, not a verdict."""
    with pytest.raises(UsageError, match=r"run_stats\.csv:2: impossible"):
        judged(tmp_path, BUDGET, line("/a", percentiles, least=least), line("Aggregated"))


@pytest.mark.parametrize(
    ("percentiles", "least"), [("0,0,0,0,0,0,0,0,0,0,1", "0"), ("140,140,150,150,150,160,160,170,180,190,190", "144.7")]
)
def test_rounded_figures_are_possible(tmp_path: Path, percentiles: str, least: str) -> None:
    """Locust rounds to two digits: a percentile may stand half a step under the least time, and 0 over 0."""
    row = line("Aggregated", percentiles, least=least).replace(",21.0,", ",160.0,").replace(",95.0,", ",190.0,")
    assert judged(tmp_path, BUDGET, row)
