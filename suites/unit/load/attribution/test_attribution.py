"""Where did the p99 go: every planted cause is named, and what has none is not explained away."""

from __future__ import annotations

from collections import Counter

import pytest

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import FaultApplied, FaultIntended, FaultUndone, ServiceChanged, Table, Window
from harness.load.attribution.causes import ACCEPT, LAG, UNEXPLAINED, Finding
from harness.load.attribution.check import Attribution, AttributionChecker, AttributionProbe, judged
from suites.unit.load.attribution.conftest import COUNT, GAP_NS, MS, Synthetic

SLOW = tuple(range(100, 1_000, 90))  # ten requests: the tail of a thousand


def causes(found: Finding) -> Counter[str]:
    return Counter(one.cause for one in found.requests)


def test_a_quiet_run_has_nothing_to_explain(synthetic: Synthetic) -> None:
    """The slowest of requests that are all alike are not slow: VACUOUS, never PASS."""
    found = synthetic.found()
    assert found.tail.chosen == 10
    assert not found.requests
    assert judged(found, 0.8)[0] is Verdict.VACUOUS


@pytest.mark.parametrize(
    ("part", "cause"),
    [
        ("lag", LAG),
        ("accept", ACCEPT),
        ("queue", "queue (gateway)"),
        ("bm25", "bm25 (gateway)"),
        ("sparse_encode", "sparse_encode (gateway)"),
        ("fusion", "fusion (gateway)"),
    ],
)
def test_a_planted_delay_is_found_where_it_was_planted(synthetic: Synthetic, part: str, cause: str) -> None:
    """A delay in one part of the way is attributed to that part, with its whole excess."""
    for index in SLOW:
        synthetic.delay(index, part, 200)
    found = synthetic.found()
    assert causes(found) == {cause: 10}
    assert all(one.share > 0.95 for one in found.requests)
    assert judged(found, 0.8)[0] is Verdict.PASS


@pytest.mark.parametrize(("part", "where"), [("handler", "in handler (gateway), outside its stages"), ("reply", "on the way back")])
def test_a_delay_that_nothing_accounts_for_has_no_cause(synthetic: Synthetic, part: str, where: str) -> None:
    """Time outside every stage is named as a place; it is no cause, and the verdict is FAIL."""
    for index in SLOW:
        synthetic.delay(index, part, 200)
    found = synthetic.found()
    assert causes(found) == {UNEXPLAINED: 10}
    assert {one.place for one in found.requests} == {where}
    assert judged(found, 0.8)[0] is Verdict.FAIL


def test_a_delay_spread_over_many_parts_has_no_single_cause(synthetic: Synthetic) -> None:
    """No cause counts that explains less than half of the excess."""
    for index in SLOW:
        for part in ("accept", "queue", "bm25", "fusion"):
            synthetic.delay(index, part, 40)
    assert causes(synthetic.found()) == {UNEXPLAINED: 10}


def test_more_than_four_fifths_need_a_cause(synthetic: Synthetic) -> None:
    """Eight of ten are not more than 80 %: FAIL; nine are: PASS."""
    for index in SLOW[:8]:
        synthetic.delay(index, "bm25", 200)
    for index in SLOW[8:]:
        synthetic.delay(index, "reply", 200)
    found = synthetic.found()
    assert judged(found, 0.8)[0] is Verdict.FAIL
    assert judged(found, 0.79)[0] is Verdict.PASS


def test_without_spans_a_slow_stage_stays_unexplained(synthetic: Synthetic) -> None:
    """Nothing is made up where the target says nothing, and the reason says what was missing."""
    synthetic.without_spans = True
    for index in SLOW:
        synthetic.delay(index, "bm25", 200)
    found = synthetic.found()
    verdict, _, reason = judged(found, 0.8)
    assert (causes(found), verdict) == ({UNEXPLAINED: 10}, Verdict.FAIL)
    assert "no spans" in reason


def test_a_stopped_process_is_named_and_not_the_stage_it_was_stopped_in(synthetic: Synthetic) -> None:
    """Of two causes that explain the same time the deeper one is named."""
    for number, index in enumerate(SLOW):
        synthetic.delay(index, "bm25" if number % 2 else "accept", 300)
    moments = [index * GAP_NS // MS for index in SLOW]
    synthetic.services = lambda ms: [{"service": "gateway", "cpu_wait": 0.0, "stopped": any(at <= ms < at + 300 for at in moments)}]
    assert causes(synthetic.found()) == {"gateway was stopped": 10}


def test_a_fault_window_is_named_before_what_it_did(synthetic: Synthetic) -> None:
    """A journaled fault explains the time from its injection to its undo, and nothing before."""
    for index in range(500, 510):
        synthetic.delay(index, "sparse_encode", 400)
    fault = {"trial": "t", "fault": "kill_splade"}
    synthetic.emit(
        FaultIntended(**fault, kind="kill -KILL", target="splade", undo="up", at_ns=synthetic.at_ns(4_900)),
        FaultApplied(**fault, at_ns=synthetic.at_ns(4_990)),
        FaultUndone(**fault, at_ns=synthetic.at_ns(5_600)),
        Window(trial="t", kind="fault", name="kill_splade", start_ns=synthetic.at_ns(0), end_ns=synthetic.at_ns(5_600)),
    )
    assert causes(synthetic.found()) == {"fault: kill -KILL splade": 10}


def test_the_five_seconds_before_a_fault_explain_nothing(synthetic: Synthetic) -> None:
    """The fault window opens before the injection; a request that was slow then has another cause, or none."""
    for index in SLOW[:5]:
        synthetic.delay(index, "reply", 400)
    fault = {"trial": "t", "fault": "kill_splade"}
    synthetic.emit(
        FaultApplied(**fault, at_ns=synthetic.at_ns(9_000)),
        FaultUndone(**fault, at_ns=synthetic.at_ns(9_500)),
        Window(trial="t", kind="fault", name="kill_splade", start_ns=synthetic.at_ns(0), end_ns=synthetic.at_ns(9_500)),
    )
    assert causes(synthetic.found()) == {UNEXPLAINED: 5}


def test_unanswered_requests_belong_to_the_service_that_was_away(synthetic: Synthetic) -> None:
    """A request without an answer is slower than any other, and explained by the service that was away meanwhile."""
    synthetic.unanswered = dict.fromkeys(range(500, 510), "connection_error")
    changed = {"service": "gateway", "pid": 7, "start_time": 1.0, "restarts": 0}
    synthetic.emit(
        ServiceChanged(**changed, change="exited", at_ns=synthetic.at_ns(4_990)),
        ServiceChanged(**changed, change="healthy", at_ns=synthetic.at_ns(6_000)),
    )
    assert causes(synthetic.found()) == {"gateway was away": 10}


def test_pressure_counts_only_above_its_usual_level(synthetic: Synthetic) -> None:
    """The same level of CPU pressure explains slow requests in a calm run and nothing in one that was always like that."""
    synthetic.slow_down(range(500, 510), 4)
    synthetic.host = lambda ms: {"cpu_pressure": 0.9 if 4_900 <= ms < 5_500 else 0.1}
    assert causes(synthetic.found()) == {"CPU pressure of the host": 10}


def test_pressure_that_was_always_there_explains_nothing(synthetic: Synthetic) -> None:
    """ "The CPU is busy" is no cause where it is always busy."""
    for index in SLOW:
        synthetic.delay(index, "reply", 90)
    synthetic.host = lambda _ms: {"cpu_pressure": 0.9, "io_pressure": 0.5, "cpu_steal": 0.3}
    synthetic.services = lambda _ms: [{"service": "gateway", "cpu_wait": 0.8, "stopped": False}]
    assert causes(synthetic.found()) == {UNEXPLAINED: 10}


def test_pressure_elsewhere_in_time_explains_nothing(synthetic: Synthetic) -> None:
    """A condition explains only requests that were under way while it held."""
    for index in SLOW[1:]:
        synthetic.delay(index, "reply", 90)
    synthetic.host = lambda ms: {"cpu_pressure": 0.1, "io_pressure": 0.9 if ms < 1_000 else 0.0, "cpu_steal": 0.6 if ms < 1_000 else 0.0}
    assert causes(synthetic.found()) == {UNEXPLAINED: 9}


def test_stolen_time_is_told_from_pressure(synthetic: Synthetic) -> None:
    """Steal is the deeper cause of the two when both are there."""
    synthetic.slow_down(range(500, 510), 4)
    synthetic.host = lambda ms: dict.fromkeys(("cpu_steal", "cpu_pressure"), 0.95 if 4_900 <= ms < 5_500 else 0.05)
    assert causes(synthetic.found()) == {"CPU time stolen from this machine": 10}


def test_one_slow_stage_is_not_put_down_to_a_busy_machine(synthetic: Synthetic) -> None:
    """A shortage slows everything: where one stage alone took long, that stage is named, whatever the pressure was meanwhile."""
    for index in range(500, 510):
        synthetic.delay(index, "bm25", 300)
    synthetic.host = lambda ms: {"cpu_pressure": 0.95 if 4_900 <= ms < 5_500 else 0.05}
    synthetic.services = lambda ms: [{"service": "gateway", "cpu_wait": 5.0 if 4_900 <= ms < 5_500 else 0.05, "stopped": False}]
    assert causes(synthetic.found()) == {"bm25 (gateway)": 10}


@pytest.mark.parametrize("part", ["handler", "reply"])
def test_a_delay_without_a_cause_is_not_put_down_to_a_busy_machine(synthetic: Synthetic, part: str) -> None:
    """Time that nothing accounts for, all in one place, stays without a cause even where the machine was short of processors."""
    for index in range(500, 510):
        synthetic.delay(index, part, 300)
    synthetic.host = lambda ms: {"cpu_pressure": 0.95 if 4_900 <= ms < 5_500 else 0.05}
    assert causes(synthetic.found()) == {UNEXPLAINED: 10}


def test_a_retriever_is_no_part_of_the_one_it_runs_beside(synthetic: Synthetic) -> None:
    """Stages that happen to lie within a slow one in time are not its parts: the slow one keeps its whole time."""
    for index in SLOW:
        synthetic.delay(index, "bm25", 500)
    found = synthetic.found()
    assert all(one.share > 0.95 for one in found.requests)


def test_pauses_of_processes_are_joined_by_time(synthetic: Synthetic) -> None:
    """A collection of garbage of the gateway, of the generator, and a late canary each explain the requests they held up."""
    for index, part in ((100, "bm25"), (300, "lag"), (500, "reply"), (700, "queue")):
        synthetic.delay(index, part, 100)
    pauses = ((1_001, "gc", "gateway 7"), (3_000, "gc", "generator 0"), (7_001, "event_loop", "gateway 7"))
    synthetic.extra_spans = [
        {"request_id": "", "stage": stage, "start_ns": synthetic.at_ns(ms), "duration_ns": 99 * MS, "process": process}
        for ms, stage, process in pauses
    ]
    synthetic.late_canaries = {5_000: 115}
    found = {one.request.request_id[5:13]: one.cause for one in synthetic.found().requests}
    assert found == {
        "00000100": "garbage collection of gateway",
        "00000300": "garbage collection of generator",
        "00000500": "generator or machine held up (canary)",
        "00000700": "late event loop of gateway",
    }


def test_the_warm_up_has_to_explain_nothing(synthetic: Synthetic) -> None:
    """Slow requests of the warm-up belong to no figure, so they are in no tail."""
    for index in range(10, 15):
        synthetic.delay(index, "reply", 500)
    warm = {"start_ns": synthetic.at_ns(0), "end_ns": synthetic.at_ns(1_000), "tags": {"step": "load"}}
    synthetic.emit(Window(trial="t", kind="phase", name="warmup", **warm))
    found = synthetic.found()
    assert found.tail.requests == COUNT - 100
    assert not found.requests


def test_few_requests_have_no_tail(synthetic: Synthetic) -> None:
    """Of fewer than a hundred requests ten are no tail: VACUOUS."""
    found = synthetic.found(step="another")
    assert judged(found, 0.8)[0] is Verdict.VACUOUS


def test_the_table_and_the_windows_say_what_the_checker_says(synthetic: Synthetic) -> None:
    """Probe and checker are the same function of the run folder; a window spans the slow requests of one cause."""
    for index in range(500, 509):
        synthetic.delay(index, "bm25", 200)
    synthetic.delay(100, "reply", 300)
    synthetic.write()
    context = synthetic.place.context("http://127.0.0.1:1", {})
    AttributionProbe().capture(context, Attribution())
    view = synthetic.place.view()
    (row,) = AttributionChecker().check(view, "t", "load", Attribution(unanswered=Duration.parse("10 s")))
    assert (row.verdict, row.value[:19]) == (Verdict.PASS, "9 of 10 attributed ")
    (table,) = [item.event for item in view.events("table")]
    assert isinstance(table, Table)
    assert [line[:2] for line in table.rows] == [("bm25 (gateway)", "9"), ("no cause found", "1")]
    assert "on the way back" in table.rows[1][-1]
    drawn = {event.name: event for item in view.events("window") if isinstance(event := item.event, Window)}
    assert drawn["bm25 (gateway)"].start_ns == synthetic.at_ns(5_000)
    assert drawn["bm25 (gateway)"].tags["requests"] == "9"


def test_the_tail_of_many_requests_is_a_thousandth() -> None:
    """From ten thousand requests on it is the slowest 0.1 %."""
    from harness.load.attribution.slowest import Tail

    assert Tail(20_000, 0.001, 20, (), {}).name == "the slowest 0.1%"
    assert COUNT * 0.001 < 10
