"""The latency timeline: computed from samples, from the intended start, with errors as +∞."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.journal.segments import REQUESTS, SegmentWriter
from harness.report.chart import Mark, Shade, charts
from harness.report.folder import RunFolder
from harness.report.timeline import MAX_BINS, timelines

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
    return list(timelines(RunFolder(made.path), "t"))


def test_percentiles_count_from_the_intended_start(maker, origin):
    """A request sent late carries its delay: the percentiles look at intended start and end alone."""
    (found,) = write(maker("r"), origin, [(0.1, 40), (0.2, 50), (0.3, 60), (1.1, 100)])
    assert [column[0] for column in found.percentiles_ms] == [50.0, 60.0, 60.0]
    assert [column[1] for column in found.percentiles_ms] == [100.0, 100.0, 100.0]


def test_a_request_without_an_answer_is_infinite(maker, origin):
    """One failure in twenty reaches the p99 and not the p95; a second without requests has no percentile."""
    (found,) = write(maker("r"), origin, [(0.01 * n, 10 + n) for n in range(19)] + [(0.5, None)] + [(2.5, 10)])
    p50, p95, p99 = (column[0] for column in found.percentiles_ms)
    assert (p50, p95, p99) == (19.0, 28.0, math.inf)
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
    (found,) = timelines(RunFolder(made.path), "t")
    assert found.canary_p95_ms.size == 3
    assert bool(np.all(found.canary_p95_ms < 2.0))


def test_faults_are_shaded_and_infinite_stretches_are_drawn(maker, origin):
    """A chart names the fault, shades its window, and lifts the lines of unanswered requests to the ∞ lane."""
    (found,) = write(maker("r"), origin, [(0.5, 10), (1.5, None), (2.5, 12), (9.5, 15)])
    svg = charts(found, [Shade("fault", "kill", 1.0, 3.0), Shade("phase", "steady", 0, 10)], [Mark("fault: <kill>", 1.0)], "of & q")
    assert svg.count('class="fault"') == 2
    assert svg.count("∞") == 2
    assert "fault: &lt;kill&gt;" in svg
    assert "of &amp; q" in svg
    assert "nan" not in svg
    assert "inf" not in svg


def test_everything_failed_is_drawn(maker, origin):
    """A trial without a single answer has a chart too."""
    (found,) = write(maker("r"), origin, [(0.1, None), (1.1, None)])
    assert "∞" in charts(found, [], [], "q")


def test_a_torn_segment_keeps_its_whole_batches(maker, origin):
    """Bytes that are no segment are left out and said."""
    made = maker("r")
    made.load("t", 2, 5)
    (made.path / "segments" / "t.requests.999-00001.arrows").write_bytes(b"garbage")
    made.journal.close()
    (found,) = timelines(RunFolder(made.path), "t")
    assert found.requests.sum() == 10
