"""Prometheus remote write: what arrives is the run, in the form that the protocol demands, and no receiver can hurt a run."""

from __future__ import annotations

import math
import time

import pytest

from harness.journal import events as e
from harness.journal.segments import CANARY, REQUESTS, SegmentWriter
from harness.journal.writer import JournalWriter
from harness.load.publish import wire
from harness.load.publish.metrics import run_series
from harness.load.publish.remote_write import RemoteWriteListener
from harness.load.publish.wire import TimeSeries

from .recorders import Receiver, Recorder

S = 1_000_000_000
MS = 1_000_000
EPOCH_NS = 1_795_000_000 * S
ORIGIN = 5_000 * S


class Emits:
    def __init__(self, writer: JournalWriter) -> None:
        self.writer = writer

    def emit(self, event: e.Event, *, sync: bool = False) -> None:
        self.writer.append(event)


@pytest.fixture
def folder(tmp_path):
    """A run of three seconds at 10/s, the last second unanswered, with a canary, a series, a figure and a fault."""
    writer = JournalWriter(tmp_path / "journal.jsonl")
    emits = Emits(writer)
    emits.emit(e.RunStarted(run="run-1", command=(), seed=1, profile="none", mode="run", environment={}, required=()))
    emits.emit(e.TrialStarted(trial="t", scenario="s", layer="load", seed=1, scenario_path="x", plan_path="x", plan_sha256="0"))
    with (
        SegmentWriter("requests", REQUESTS, tmp_path, emits, trial="t") as requests,
        SegmentWriter("canary", CANARY, tmp_path, emits, trial="t") as canary,
    ):
        for number in range(30):
            at, answered = ORIGIN + number * S // 10, number < 20
            done = at + 40 * MS if answered else None
            requests.append(op="q", step="q", intended_ns=at, sent_ns=at + 10 * MS, done_ns=done, outcome="ok" if answered else "timeout")
            canary.append(intended_ns=at, sent_ns=at, done_ns=at + 6 * MS, known_delay_ns=5 * MS, outcome="ok")
    emits.emit(e.Series(trial="t", name="recall@20", unit="%", times_ns=(ORIGIN, ORIGIN + S), values=(96.0, 61.0), tags={"op": "q"}))
    emits.emit(e.Measured(trial="t", metric="rto", unit="s", value=4.5, tags={"Quantile name": "x"}))
    emits.emit(e.Window(trial="t", kind="fault", name="kill", start_ns=ORIGIN + S, end_ns=ORIGIN + 3 * S))
    writer.close()
    return tmp_path


def push(recorder: Recorder, sender, journal, series, end_max_s: float = 60.0, timeout_s: float = 10.0) -> None:
    peer = recorder.peer("/api/v1/write", timeout_s, token="")
    RemoteWriteListener(sender(peer), lambda: series, journal, end_max_s).close()


def test_a_run_arrives_as_time_series(receiver: Receiver, sender, journal, folder):
    """Percentiles, rates, canary, series and figures, labelled, at their own moments, ended by the marker."""
    push(receiver, sender, journal, run_series(folder, EPOCH_NS, {"site": "lab"}))
    assert receiver.problems == []
    assert journal.warnings == []
    first = (EPOCH_NS + ORIGIN + S) // MS
    labels = {"run": "run-1", "trial": "t", "scenario": "s", "op": "q", "site": "lab"}
    response = receiver.find("harness_response_time_seconds", quantile="0.99", **labels)
    assert response[0] == (first, pytest.approx(0.040, rel=1e-3))
    assert response[2] == (first + 2_000, math.inf)
    assert response[3] == (first + 3_000, None)
    assert receiver.find("harness_service_time_seconds", quantile="0.5", **labels)[0][1] == pytest.approx(0.030, rel=1e-3)
    assert [value for _, value in receiver.find("harness_offered_requests_per_second", **labels)] == [10.0, 10.0, 10.0, None]
    assert [value for _, value in receiver.find("harness_failed_requests_per_second", **labels)] == [0.0, 0.0, 10.0, None]
    assert receiver.find("harness_canary_error_seconds")[0][1] == pytest.approx(0.001, rel=1e-3)
    assert [value for _, value in receiver.find("harness_series", series="recall@20", tag_op="q")] == [96.0, 61.0, None]
    assert receiver.find("harness_measured", metric="rto", tag_Quantile_name="x")[0][1] == 4.5
    assert [value for _, value in receiver.find("harness_fault_window", fault="kill")] == [1.0, 1.0, None]


def test_every_push_is_journaled(receiver: Receiver, sender, journal):
    """Large runs go in several requests, each of at most 2,000 samples, none of them lost."""
    many = [TimeSeries.of("harness_x", {"n": str(n)}, ((MS * 1_795_000 + at, float(at)) for at in range(700))) for n in range(10)]
    push(receiver, sender, journal, many)
    assert [event.outcome for event in journal.published] == ["done"] * 4
    assert sum(len(one.samples) for one in receiver.series) == 7_000
    assert receiver.problems == []


@pytest.mark.parametrize("size", [1, 127, 128, 70_000])
def test_the_message_is_what_protobuf_reads(receiver: Receiver, sender, journal, size):
    """Label values of any length and script, negative, infinite and tiny values survive the way."""
    text = ("ü漢🙂" * size)[: min(size, 900)]
    values = (-1.5, 0.0, 5e-324, math.inf, -math.inf, 1e300)
    push(
        receiver,
        sender,
        journal,
        [TimeSeries.of("m", {"label": text, "empty": "", "A": "b"}, ((1_795_000_000_000 + n, v) for n, v in enumerate(values)))],
    )
    assert receiver.problems == []
    (found,) = receiver.series
    assert found.labels == {"__name__": "m", "label": text, "A": "b"}
    assert tuple(value for _, value in found.samples) == values


def test_the_stale_marker_keeps_its_bits():
    """It is one certain NaN; any other would be shown as a value."""
    request = wire.write_request([wire.stale(TimeSeries.of("m", {}, [(1_795_000_000_000, 1.0)]), 1_795_000_000_001)])
    assert (0x7FF0000000000002).to_bytes(8, "little") in request


@pytest.mark.parametrize(
    ("series", "words"),
    [
        (TimeSeries((("b", "1"), ("__name__", "m")), ((1_795_000_000_000, 1.0),)), "not sorted"),
        (TimeSeries((("__name__", "m"), ("a", "1"), ("a", "2")), ((1_795_000_000_000, 1.0),)), "not unique"),
        (TimeSeries((("a", "1"),), ((1_795_000_000_000, 1.0),)), "metric name"),
        (TimeSeries((("__name__", "m"), ("a", "")), ((1_795_000_000_000, 1.0),)), "label a"),
        (TimeSeries((("__name__", "m"),), ((1_795_000_000, 1.0),)), "epoch ms"),
        (TimeSeries((("__name__", "m"),), ((1_795_000_000_001, 1.0), (1_795_000_000_000, 1.0))), "out of order"),
        (TimeSeries((("__name__", "m"),), ()), "out of order"),
    ],
)
def test_the_recorder_sees_what_the_protocol_forbids(receiver: Receiver, sender, journal, series, words):
    """The control of this file's own check: each breach is noticed."""
    sender(receiver.peer(token="")).send("POST", "", wire.body([series]), wire.HEADERS)
    assert words in " ".join(receiver.problems)


@pytest.mark.parametrize(("name", "labels"), [("9x", {}), ("a-b", {}), ("", {}), ("ok", {"a b": "x"}), ("ok", {"__name__": "x"})])
def test_names_that_are_none_are_refused(name, labels):
    """They are not sent in the hope that somebody corrects them."""
    with pytest.raises(ValueError, match="name"):
        TimeSeries.of(name, labels, [])


def test_what_may_pass_is_tried_again(receiver: Receiver, sender, journal):
    """503 and 429 are retried, and the batch arrives once."""
    receiver.mood = [503, 429, "as documented"]
    push(receiver, sender, journal, [TimeSeries.of("m", {}, [(1_795_000_000_000, 1.0)])])
    assert len(receiver.requests) == 3
    assert [event.outcome for event in journal.published] == ["done"]


@pytest.mark.parametrize("mood", [400, 401, 404, 500, "cuts", "endless", "redirects"])
def test_a_receiver_that_refuses_costs_a_remark(receiver: Receiver, sender, journal, mood):
    """The failure is journaled with its reason; a 4xx is not repeated."""
    receiver.mood = mood
    push(receiver, sender, journal, [TimeSeries.of("m", {}, [(1_795_000_000_000, 1.0)])])
    assert [event.outcome for event in journal.published] == ["failed"]
    assert len(journal.warnings) == 1
    if isinstance(mood, int) and mood < 500:
        assert len(receiver.requests) == 1
        assert f"answered {mood}" in journal.published[0].detail


def test_a_receiver_that_hangs_is_left(receiver: Receiver, sender, journal):
    """The end of the run waits a bounded time."""
    receiver.mood = "hangs"
    began = time.monotonic()
    push(receiver, sender, journal, [TimeSeries.of("m", {}, [(1_795_000_000_000, 1.0)])], end_max_s=0.5, timeout_s=0.3)
    assert time.monotonic() - began < 10
    assert journal.published[0].outcome == "failed"


def test_metrics_that_cannot_be_made_cost_a_remark(receiver: Receiver, sender, journal):
    """An error of our own stays here too."""

    def broken():
        yield TimeSeries.of("m", {}, [(1_795_000_000_000, 1.0)])
        raise ZeroDivisionError("division by zero")

    push(receiver, sender, journal, broken())
    assert "ZeroDivisionError" in journal.published[-1].detail
    assert journal.warnings
