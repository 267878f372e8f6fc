"""The latency timeline: computed from samples, from the intended start, with errors as +∞."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from harness.journal import events as e
from harness.journal.segments import REQUESTS, SegmentWriter
from harness.report.buckets import COARSE_BITS, FINE_BITS, Distribution, middles_ms, places
from harness.report.chart import Beside, Mark, charts, percentile_plots
from harness.report.folder import RunFolder
from harness.report.panels import LanePanel, Shade, Track
from harness.report.timeline import MAX_BINS, MAX_GROUPS, OTHER, course

S = 1_000_000_000
MS = 1_000_000


def write(made, origin, samples):
    """``samples``: (second, latency in ms or None for an error)."""
    with SegmentWriter("requests", REQUESTS, made.path, made.emits, trial="t", clock=made.clock) as writer:
        for second, latency in samples:
            at = origin + round(second * S)
            outcome = "ok" if latency is not None else "timeout"
            writer.append(
                op="q",
                step="q",
                intended_ns=at,
                sent_ns=at + 5 * S,
                done_ns=None if latency is None else at + latency * MS,
                outcome=outcome,
            )
    made.journal.close()
    return course(RunFolder(made.path), "t").timelines


def test_percentiles_count_from_the_intended_start(maker, origin):
    """A request sent late carries its delay: the percentiles look at intended start and end alone."""
    (found,) = write(maker("r"), origin, [(0.1, 40), (0.2, 50), (0.3, 60), (1.1, 100)])
    assert [column[0] for column in found.percentiles_ms] == pytest.approx([50.0, 60.0, 60.0], rel=1e-3)
    assert [column[1] for column in found.percentiles_ms] == pytest.approx([100.0, 100.0, 100.0], rel=1e-3)
    assert list(found.longest_ms) == [60.0, 100.0]


def test_a_request_without_an_answer_is_infinite(maker, origin):
    """One failure in twenty reaches the p99 and not the p90; a second without requests has no percentile."""
    (found,) = write(maker("r"), origin, [(0.01 * n, 10 + n) for n in range(19)] + [(0.5, None)] + [(2.5, 10)])
    p50, p90, p99 = (column[0] for column in found.percentiles_ms)
    assert (p50, p90) == pytest.approx((19.0, 27.0), rel=1e-3)
    assert p99 == math.inf
    assert found.longest_ms[0] == math.inf
    assert math.isnan(found.percentiles_ms[0][1])
    assert list(found.errors) == [1, 0, 0]
    assert list(found.requests) == [20, 0, 1]


@pytest.mark.parametrize("span_s", [0, 1, 179, 181, 3_000, 90_000])
def test_a_long_run_is_drawn_in_wider_steps(maker, origin, span_s):
    """However long the run, the drawing has a bounded number of points and loses no request."""
    (found,) = write(maker("r"), origin, [(0, 10), (span_s, 20), (span_s / 2, 30)])
    assert len(found.times_s) <= MAX_BINS + 1
    assert found.requests.sum() == 3


def test_the_canary_shows_its_error_beyond_the_known_delay(maker):
    """The canary's line is response time minus the delay of its server."""
    made = maker("r")
    made.load("t", 3, 10)
    made.journal.close()
    found = course(RunFolder(made.path), "t")
    assert found.canary_p95_ms.size == 3
    assert bool(np.all(found.canary_p95_ms < 2.0))


def test_faults_are_shaded_and_infinite_stretches_are_drawn(maker, origin):
    """A chart names the fault, shades its window, and lifts the lines of unanswered requests to the ∞ lane."""
    (found,) = write(maker("r"), origin, [(0.5, 10), (1.5, None), (2.5, 12), (9.5, 15)])
    shades = [Shade("fault", "kill", 1.0, 3.0), Shade("phase", "steady", 0, 10)]
    svg = charts(found, Beside(shades, [Mark("fault: <kill>", 1.0)]), "of & q")
    assert svg.count('class="fault"') == 2
    assert svg.count(">∞<") == 2
    assert "fault: &lt;kill&gt;" in svg
    assert "of &amp; q" in svg
    assert "nan" not in svg
    assert "inf" not in svg


def test_everything_failed_is_drawn(maker, origin):
    """A trial without a single answer has a chart too."""
    (found,) = write(maker("r"), origin, [(0.1, None), (1.1, None)])
    assert "∞" in charts(found, Beside(), "q")


def test_a_torn_segment_keeps_its_whole_batches(maker, origin):
    """Bytes that are no segment are left out and said."""
    made = maker("r")
    made.load("t", 2, 5)
    (made.path / "segments" / "t.requests.999-00001.arrows").write_bytes(b"garbage")
    made.journal.close()
    run = RunFolder(made.path)
    (found,) = course(run, "t").timelines
    assert found.requests.sum() == 10
    assert any("t.requests.999-00001.arrows" in problem for problem in run.problems)


@pytest.mark.parametrize("bits", [COARSE_BITS, FINE_BITS])
def test_a_bucket_is_at_most_half_its_width_away(bits):
    """What is reported for a latency between 2 µs and an hour is within 0.1 % (coarse) or 0.025 % (fine) of it."""
    values = np.unique(np.round(np.logspace(np.log10(2e3), np.log10(3.6e12), 40_000)).astype(np.int64))
    reported = middles_ms(bits)[places(values, bits)]
    assert np.max(np.abs(reported - values / 1e6) / (values / 1e6)) <= 2.0 ** -(bits + 1)
    assert np.all(np.diff(places(values, bits)) >= 0)


def test_quantiles_of_a_distribution_are_those_of_its_values():
    """Nearest rank upwards, requests without an answer at the end, the longest exactly."""
    draw = np.random.default_rng(4)
    values = (draw.lognormal(4, 1, 10_007) * MS).astype(np.int64)
    found = Distribution()
    for part in np.array_split(values, 7):
        found.add(part)
    exact = [np.sort(values)[math.ceil(Fraction(q) * len(values)) - 1] / MS for q in ("0.5", "0.9", "0.99", "0.999")]
    assert found.quantiles_ms((0.5, 0.9, 0.99, 0.999)) == pytest.approx(exact, rel=2.5e-4)
    assert found.longest_ms == values.max() / MS
    found.add(np.array([], dtype=np.int64), never=200)
    assert found.quantiles_ms((0.98, 0.99, 1.0))[1:] == [math.inf, math.inf]


def test_service_time_counts_from_the_send(maker, origin):
    """A request held back by the generator is slow in response time and not in service time."""
    made = maker("r")
    with SegmentWriter("requests", REQUESTS, made.path, made.emits, trial="t", clock=made.clock) as writer:
        for number in range(10):
            at = origin + number * S // 10
            writer.append(op="q", step="q", intended_ns=at, sent_ns=at + 400 * MS, done_ns=at + 420 * MS, outcome="ok")
    made.journal.close()
    (found,) = course(RunFolder(made.path), "t").timelines
    assert found.percentiles_ms[0][0] == pytest.approx(420, rel=1e-3)
    assert found.service_ms[0][0] == pytest.approx(20, rel=1e-3)
    assert found.requests.sum() == found.sent.sum() == found.answered.sum() == 10


def test_offered_and_achieved_part_in_a_stall(maker, origin):
    """Requests count as offered when they were intended and as answered when they ended."""
    (found,) = write(maker("r"), origin, [(0.1 * n, 2_000 if n < 20 else 10) for n in range(50)])
    assert list(found.requests) == [10, 10, 10, 10, 10]
    assert list(found.answered[:2]) == [0, 0]
    assert found.answered.sum() == 50


def test_tags_count_every_request_once(maker, origin):
    """Operation, step and outcome: the counts of all groups are the requests, however many groups there are."""
    made = maker("r")
    with SegmentWriter("requests", REQUESTS, made.path, made.emits, trial="t", clock=made.clock) as writer:
        for number in range(200):
            at = origin + number * MS
            done = None if number % 5 == 0 else at + MS
            writer.append(op=f"op{number % 70}", step="s", intended_ns=at, sent_ns=at, done_ns=done, outcome="ok" if done else "timeout")
    made.journal.close()
    found = course(RunFolder(made.path), "t")
    assert sum(tag.requests for tag in found.tags) == found.requests == 200
    assert len(found.tags) == MAX_GROUPS + 1
    assert {tag.operation for tag in found.tags} >= {"op0", OTHER}


def test_several_processes_are_one_timeline(maker, origin):
    """Segments of several writers, each with words of its own order, are folded as one stream."""
    made = maker("r")
    for first in (0, 1):
        with SegmentWriter("requests", REQUESTS, made.path, made.emits, trial="t", clock=made.clock) as writer:
            for number in range(first, 40, 2):
                at = origin + number * S // 10
                op = ("a", "b")[(number // 2 + first) % 2]
                writer.append(op=op, step="s", intended_ns=at, sent_ns=at, done_ns=at + 10 * MS, outcome="ok")
    made.journal.close()
    found = course(RunFolder(made.path), "t")
    assert {timeline.operation: int(timeline.requests.sum()) for timeline in found.timelines} == {"a": 20, "b": 20}
    assert found.axis.origin_ns == origin


def test_a_series_and_lanes_lie_on_the_axis_of_the_latency(maker, origin):
    """Recall is drawn in the same picture as the faults, and so are a wing's own windows, with what they are called."""
    (found,) = write(maker("r"), origin, [(0.5 * n, 10) for n in range(40)])
    recall = Track("recall@20", "%", tuple(float(n) for n in range(20)), tuple(95.0 if n < 8 else 60.0 for n in range(20)))
    lane = LanePanel("cause", (Shade("cause", "search away", 8, 18), Shade("cause", "<gc>", 9, 9.2)))
    svg = charts(found, Beside([Shade("fault", "kill", 5, 12)], tracks=[recall], lanes=[lane]), "q")
    assert "recall@20, %" in svg
    assert 'class="line track"' in svg
    assert svg.count('class="span"') == 4
    assert "<title>&lt;gc&gt;: 9 to 9.2 s</title>" in svg


def test_the_pointer_tells_the_figures_of_its_moment(maker, origin):
    """Every bin with requests has a title with its percentiles and counts, once: in the wide drawing."""
    (found,) = write(maker("r"), origin, [(0.5, 10), (2.5, 20), (2.6, None)])
    svg = charts(found, Beside(), "q")
    assert svg.count('class="tip"') == 2
    assert re.search(r"<title>2 to 3 s: p50 20 ms, p90 ∞, p99 ∞, longest ∞; service p99 .*?; 2 requests, 1 failed</title>", svg)


def test_the_percentile_plot_stretches_the_tail():
    """Its axis ends where the samples end; without two requests there is none."""
    found = Distribution()
    assert percentile_plots(found, found, "q") == ""
    found.add(np.arange(1, 2_001, dtype=np.int64) * MS)
    svg = percentile_plots(found, Distribution(), "q")
    assert all(f">{name}<" in svg for name in ("p50", "p90", "p99", "p99.9"))
    assert ">p99.99<" not in svg
    assert [share for share, _ in found.curve()][-1] == 2_000


def test_series_of_a_trial_are_drawn_once(maker, row, origin):
    """What the picture of a trial shows is no sparkline; a series of another time still is."""
    from harness.report.html import render

    made = maker("r")
    made.start()
    made.emit(e.TrialStarted(trial="t", scenario="t", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    made.load("t", 4, 10)
    times = tuple(origin + number * S for number in range(4))
    made.emit(e.Series(trial="t", name="recall@20", unit="%", times_ns=times, values=(90.0, 91.0, 60.0, 92.0)))
    made.emit(e.Series(trial="t", name="level", unit="cm", times_ns=(1, 2, 3), values=(1.0, 2.0, 3.0)))
    page = render(made.path, made.summary([row("a")]))
    assert page.count('class="spark"') == 1
    assert "recall@20, %" in page
