"""Thresholds: the one form reads and prints, figures are exact, too few samples are said."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.core.errors import UsageError
from harness.core.units import Duration, Quantity, known_units
from harness.core.verdict import Verdict
from harness.journal.segments import REQUESTS, plain
from harness.thresholds.evaluate import check_dimension, judge_values, needed_samples, windows
from harness.thresholds.figures import MetricError, Values, filtered, quantile, values_of
from harness.thresholds.grammar import Aggregation, Threshold, ThresholdError, parse_threshold

MS = 1_000_000


@pytest.mark.parametrize(
    "expression",
    [
        "response_time{op=retrieve}: p(95) < 450 ms in steady",
        "errors: rate < 1 % every 60 s",
        "recall@20{intent=pico}: mean >= 0.88",
        "rto: max < 15 min",
        "response_time{op=a, outcome=ok}: p(99.9) <= 2.5 s in steady every 1.5 s",
        "leak: max < 10 MB/h",
        "requests: count >= 100",
    ],
)
def test_an_expression_prints_as_it_was_written(expression: str) -> None:
    """The canonical form of a threshold is the form of the documentation."""
    assert str(parse_threshold(expression)) == expression


WORDS = st.from_regex(r"[a-z][a-z0-9_@]{0,8}", fullmatch=True).filter(lambda word: word not in {"in", "every"})
PERCENT = st.integers(1, 9999).map(lambda n: Fraction(n, 10_000))
DURATIONS = st.builds(lambda n, unit: Duration.parse(f"{n} {unit}"), st.integers(1, 9999), st.sampled_from(["ms", "s", "min", "h"]))
THRESHOLDS = st.builds(
    Threshold,
    WORDS,
    st.dictionaries(WORDS, WORDS, max_size=3).map(lambda tags: tuple(sorted(tags.items()))),
    st.one_of(st.sampled_from(["max", "mean", "rate", "count"]).map(Aggregation), PERCENT.map(lambda q: Aggregation("p", q))),
    st.sampled_from(["<", "<=", ">", ">=", "=="]),
    st.builds(lambda n, unit: Quantity.parse(f"{n} {unit}"), st.decimals(-999, 999, places=2), st.sampled_from(known_units())),
    st.none() | WORDS,
    st.none() | DURATIONS,
)


@given(THRESHOLDS)
def test_printing_and_reading_is_a_round_trip(threshold: Threshold) -> None:
    """Any threshold reads back equal from its text."""
    assert parse_threshold(str(threshold)) == threshold


@given(st.text(max_size=60) | st.text(alphabet="pmax(95)<>= {}:,.%s/inevry0", max_size=40))
@settings(max_examples=300)
def test_any_text_is_read_or_refused_with_a_place(expression: str) -> None:
    """Whatever is written, the parser answers with a threshold or an error whose caret lies within the text."""
    try:
        parse_threshold(expression)
    except ThresholdError as error:
        assert 0 <= error.position <= len(expression)
        assert error.caret().endswith("^")


@pytest.mark.parametrize(
    ("expression", "position", "says"),
    [
        ("response_time{op=retrieve} p(95) < 450 ms", 27, "':' is missing"),
        ("response_time: p95 < 450 ms", 16, "'(' is missing"),
        ("response_time: p(0) < 450 ms", 17, "percentile"),
        ("errors: rat < 1 %", 8, "did you mean 'rate'"),
        ("errors: rate ! 1 %", 13, "comparison"),
        ("errors: rate < one", 15, "number"),
        ("errors: rate < 1 parsec", 17, "known units"),
        ("errors: rate < 1 % every 0 s", 25, "no length"),
        ("errors: rate < 1 % in", 21, "a phase is missing"),
        ("x{a=1,a=2}: max < 1", 6, "once more"),
    ],
)
def test_the_caret_stands_at_the_place(expression: str, position: int, says: str) -> None:
    """A wrong expression is answered with what is wanted, at the place."""
    with pytest.raises(ThresholdError, match=says.replace("(", r"\(")) as caught:
        parse_threshold(expression)
    assert caught.value.position == position


@given(st.lists(st.floats(0, 1e6) | st.just(math.inf), min_size=1, max_size=60), PERCENT)
def test_a_quantile_is_what_numpy_says(values: list[float], q: Fraction) -> None:
    """Nearest rank, exact also with values that are infinite; ``q`` is compared exactly, not as a float."""
    data = np.array(values)
    mine = quantile(data, q)
    assert mine in values
    assert (data <= mine).sum() >= q * len(values)
    smaller = data[data < mine]
    assert len(smaller) < q * len(values)
    if (q * len(values)).denominator != 1 and np.isfinite(data).all():
        assert mine == np.quantile(data, float(q), method="inverted_cdf")


def requests(rows: list[dict[str, Any]]) -> pa.Table:
    full = [{name: row.get(name) for name in REQUESTS.names} for row in rows]
    return plain(pa.Table.from_pylist(full, schema=REQUESTS))


def answered(number: int, latency_ms: float = 10, outcome: str = "ok", op: str = "a") -> dict[str, Any]:
    intended = number * 100 * MS
    done = None if outcome in {"timeout", "unsent"} else intended + round(latency_ms * MS)
    sent = None if outcome == "unsent" else intended + MS
    return {"op": op, "intended_ns": intended, "sent_ns": sent, "done_ns": done, "outcome": outcome}


def judged(expression: str, table: pa.Table, unit: str, span: tuple[int, int] | None = None) -> Any:
    threshold = parse_threshold(expression)
    return judge_values(threshold, unit, values_of(threshold.metric, filtered(table, dict(threshold.tags))), span)


def test_response_time_counts_every_intended_request() -> None:
    """Errors, time-outs and requests never sent are +inf: 5 % of them decide the 95th percentile, in whatever way they failed."""
    for outcome in ("timeout", "unsent", "http_error", "bad_body", "censored", "connection_error", "rate_limited"):
        table = requests([answered(n, outcome=outcome if n % 10 == 0 else "ok") for n in range(400)])
        found = judged("response_time: p(95) < 800 ms", table, "s")
        assert (found.verdict, found.value) == (Verdict.FAIL, "never (n=400)")
        alone = judged("response_time{outcome=ok}: p(95) < 800 ms", table, "s")
        assert (alone.verdict, alone.value) == (Verdict.PASS, "10 ms (n=360)")


def test_response_time_is_counted_from_the_intended_start_and_service_time_from_the_send() -> None:
    """A request sent late has a long response time and a short service time."""
    late = [{**answered(n, 500), "sent_ns": n * 100 * MS + 490 * MS} for n in range(200)]
    assert judged("response_time: median < 1 s", requests(late), "s").value == "0.5 s (n=200)"
    assert judged("service_time: median < 1 s", requests(late), "s").value == "0.01 s (n=200)"
    assert judged("schedule_lag: max < 1 s", requests(late), "s").value == "0.49 s (n=200)"


@pytest.mark.parametrize(
    ("expression", "unit", "needed"),
    [
        ("response_time: p(95) < 1 s", "s", 200),
        ("response_time: p(99.9) < 1 s", "s", 10_000),
        ("response_time: p(1) > 1 ms", "s", 1000),
        ("errors: rate <= 1 %", "%", 300),
        ("errors: rate < 2 %", "%", 150),
        ("errors: rate > 90 %", "%", 30),
        ("rto: max < 15 min", "s", 0),
    ],
)
def test_too_few_samples_are_inconclusive(expression: str, unit: str, needed: int) -> None:
    """A percentile q needs 10/(1-q) samples, a limit L on a rate 3/L requests; to pass; one fewer good one is INCONCLUSIVE."""
    threshold = parse_threshold(expression)
    assert needed_samples(threshold, unit) == needed
    if needed:
        good = np.zeros(needed) if threshold.operator.startswith("<") else np.ones(needed)
        values = Values(np.arange(needed, dtype=np.int64), good)
        few = Values(values.times_ns[1:], values.values[1:])
        assert judge_values(threshold, unit, few, None).verdict is Verdict.INCONCLUSIVE
        assert judge_values(threshold, unit, values, None).verdict is not Verdict.INCONCLUSIVE


def test_the_error_rate_counts_all_and_shows_its_counts() -> None:
    """4 of 400 is 1 %: it holds for <= 1 % and not for < 1 %."""
    table = requests([answered(n, outcome="http_error" if n % 100 == 0 else "ok") for n in range(400)])
    assert judged("errors: rate <= 1 %", table, "%").verdict is Verdict.PASS
    found = judged("errors: rate < 1 %", table, "%")
    assert (found.verdict, found.value) == (Verdict.FAIL, "1 % (4 of 400)")


def test_each_window_is_judged_on_its_own() -> None:
    """A bad stretch hidden in a good whole is found, with its place."""
    table = requests([answered(n, outcome="http_error" if 600 <= n < 620 else "ok") for n in range(3000)])
    assert judged("errors: rate < 1 %", table, "%").verdict is Verdict.PASS
    found = judged("errors: rate < 1 % every 60 s", table, "%")
    assert found.verdict is Verdict.FAIL
    assert "1 of 5 windows; window from +60.0 s" in found.reason


def test_an_empty_window_inside_is_vacuous() -> None:
    """A window in which nothing was measured is not passed over."""
    table = requests([answered(n) for n in range(2000) if not 600 <= n < 1200])
    assert judged("errors: rate < 1 % every 60 s", table, "%").verdict is Verdict.VACUOUS


@given(st.integers(0, 10**12), st.integers(1, 10**11), st.integers(10**8, 10**11))
def test_windows_cover_the_span(start: int, length: int, window: int) -> None:
    """Windows lie inside the span, reach both ends, leave no gap, and are full where the span allows."""
    found = windows(start, start + length, window)
    assert found[0][0] == start
    assert found[-1][1] == start + length
    assert all(second[0] <= first[1] for first, second in itertools.pairwise(found))
    assert {end - begin for begin, end in found} == {min(window, length)}


def test_only_the_phase_is_judged() -> None:
    """Samples outside of the span do not count, its start does and its end does not."""
    table = requests([answered(n, 5000 if n < 50 else 10) for n in range(450)])
    assert judged("response_time: p(95) < 1 s", table, "s").verdict is Verdict.FAIL
    assert judged("response_time: p(95) < 1 s", table, "s", (50 * 100 * MS, 450 * 100 * MS)).value == "10 ms (n=400)".replace(
        "10 ms", "0.01 s"
    )


def test_nothing_measured_is_vacuous() -> None:
    """No rows, or none of that tag: VACUOUS, never PASS; a count of nothing is 0."""
    table = requests([answered(0)])
    assert judged("response_time{op=b}: p(95) < 1 s", table, "s").verdict is Verdict.VACUOUS
    assert judged("errors: rate < 1 %", requests([]), "%").verdict is Verdict.VACUOUS
    assert judged("requests{op=b}: count >= 1", table, "1").verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("expression", "unit"),
    [("response_time: p(95) < 1 %", "s"), ("errors: rate < 1 s", "%"), ("requests: rate > 5", "1"), ("errors: rate <= 0 %", "%")],
)
def test_a_limit_of_another_dimension_is_refused(expression: str, unit: str) -> None:
    """Limits must be of the metric's dimension, and a rate limit that no sample size can show is refused."""
    with pytest.raises(UsageError):
        check_dimension(parse_threshold(expression), unit)


def test_an_unknown_tag_or_metric_names_what_there_is() -> None:
    """A tag without a column and a metric without formula or column list the known ones."""
    table = requests([answered(0)])
    with pytest.raises(MetricError, match="columns: "):
        filtered(table, {"colour": "red"})
    with pytest.raises(MetricError, match="formulas: "):
        values_of("colour", table)


def test_a_column_of_the_stream_is_a_metric_by_its_name() -> None:
    """A wing's own stream needs no formula: a numeric column is judged by name, nulls left out."""
    table = pa.table({"intended_ns": [1, 2, 3], "freshness": [0.5, None, 1.5]})
    assert values_of("freshness", table).values.tolist() == [0.5, 1.5]
