"""The knee search against simulated systems, its steps against made samples, its checker against a made run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.core.units import Rate
from harness.core.verdict import Verdict
from harness.journal.events import KneeStep, MonitorRaised, Window
from harness.journal.segments import CANARY, REQUESTS, SegmentWriter
from harness.load.shape.knee import Knee, SearchPlan, Tried, bracket, doubtful, estimate, next_rate, search
from harness.load.shape.knee_check import KneeCheck, KneeChecker
from harness.load.shape.knee_step import Limits, StepMonitor, StepSpan, judge_step
from harness.run.monitors import CONDITION, Watch

PLAN = SearchPlan(first=10, most=2_000)
LIMITS = Limits(p95_s=0.1, errors=0.01, shortfall=0.0, band_s=0.005)
S = 1_000_000_000
Trial = Callable[[float], Tried]


def system(capacity: float, width: float, seed: int, *, doubt: float = 0.0) -> Trial:
    """Holds with the probability of a logistic curve; a share of the steps is inconclusive."""
    draws = np.random.default_rng(seed)

    def trial(rate: float) -> Tried:
        if draws.random() < doubt:
            return Tried(rate, "inconclusive", "the canary is out of band")
        distance = max(-500.0, min(500.0, (math.log(rate) - math.log(capacity)) / width))
        return Tried(rate, "holds" if draws.random() < 1 / (1 + math.exp(distance)) else "breaks")

    return trial


@pytest.mark.parametrize("capacity", [12.3, 100.0, 1_500.0])
@pytest.mark.parametrize("width", [0.0001, 0.02])
def test_five_searches_find_the_breaking_point_within_ten_per_cent(capacity: float, width: float) -> None:
    """Spread of five repeats and distance from the truth are within 10 %, the truth lies in the interval, in at most 40 steps each."""
    found = []
    for seed in range(5):
        tried = search(PLAN, system(capacity, width, seed))
        knee = estimate(tried)
        assert knee.breaking_point is not None and knee.capacity is not None
        assert len(tried) <= PLAN.steps_max == 40
        assert knee.breaking_point.low * 0.999 <= capacity <= knee.breaking_point.high * 1.001
        assert knee.capacity.value <= knee.breaking_point.value
        found.append(knee.breaking_point.value)
    assert (max(found) - min(found)) / sorted(found)[2] <= 0.10
    assert max(abs(value / capacity - 1) for value in found) <= 0.10


def test_inconclusive_steps_are_repeated_a_bounded_number_of_times() -> None:
    """A noisy machine costs steps, never a wrong figure; one that stays noisy ends the search after two repeats without a figure."""
    tried = search(PLAN, system(100, 0.02, seed=4, doubt=0.2))
    assert any(one.outcome == "inconclusive" for one in tried)
    knee = estimate(tried)
    assert knee.breaking_point is not None
    assert knee.breaking_point.value == pytest.approx(100, rel=0.1)
    stuck = search(PLAN, system(100, 0.02, seed=4, doubt=1.0))
    assert [one.rate for one in stuck] == [10, 10, 10]
    assert estimate(stuck) == Knee(
        "unknown", reason="no step was conclusive; the step at 10/s stayed inconclusive: the canary is out of band"
    )


def test_a_knee_outside_the_rates_tried_is_a_bound_and_no_figure() -> None:
    """A system that always holds gives "above", one that never does gives "below"; neither gives a capacity."""
    above, below = (search(PLAN, system(capacity, 0.0001, 1)) for capacity in (1e6, 1e-3))
    assert (estimate(above).bound, estimate(above).capacity) == ("above", None)
    assert max(one.rate for one in above) == PLAN.most
    assert (estimate(below).bound, estimate(below).capacity) == ("below", None)
    assert estimate([]).bound == "unknown"


def test_one_unlucky_step_does_not_end_the_rise() -> None:
    """The first rate that breaks is tried again; when it holds twice, the rise goes on from there."""
    unlucky = [Tried(10, "holds"), Tried(15, "breaks")]
    assert doubtful(unlucky) == 15
    assert next_rate(PLAN, unlucky) == 15
    assert next_rate(PLAN, [*unlucky, Tried(15, "holds")]) == 15
    assert next_rate(PLAN, [*unlucky, Tried(15, "holds"), Tried(15, "holds")]) == 22.5
    assert bracket([*unlucky, Tried(15, "breaks")]) == (10, 15)


def test_the_search_is_a_pure_function_of_what_was_tried() -> None:
    """Replaying the steps gives the same rates again, so a judge can repeat the search from the journal."""
    tried = search(PLAN, system(300, 0.05, seed=7))
    assert [next_rate(PLAN, tried[:count]) for count in range(len(tried))] == [one.rate for one in tried]
    assert next_rate(PLAN, tried) is None


def test_a_search_with_a_stop_or_a_bound_ends() -> None:
    """It ends when told to, and never runs more than its bound of steps."""
    assert len(search(SearchPlan(first=1, most=1e9, factor=1.01, steps_max=7), system(1e8, 0.02, 1))) == 7
    assert search(PLAN, system(100, 0.02, 1), stop=lambda: True) == []


@pytest.mark.parametrize("bad", [{"first": 5, "most": 5}, {"first": 0, "most": 5}, {"first": 1, "most": 5, "tolerance": 0}])
def test_a_search_that_cannot_rise_is_refused(bad: dict[str, float]) -> None:
    """From must be below to, and both tolerance and factor make progress."""
    with pytest.raises(ValueError, match=r"must be|above"):
        SearchPlan(**bad)


# --- steps ----------------------------------------------------------------------------------------------------------


def row(number: int, *, took_s: float = 0.01, outcome: str = "ok", late_s: float = 0.0, step: str = "k") -> dict[str, Any]:
    intended = number * S // 100
    done = None if outcome in {"timeout", "unsent"} else intended + round(took_s * S)
    sent = None if outcome == "unsent" else intended + round(late_s * S)
    return {"op": "ask", "step": step, "intended_ns": intended, "sent_ns": sent, "done_ns": done, "status": 200, "outcome": outcome}


def canary(number: int, *, error_s: float = 0.0) -> dict[str, Any]:
    intended = number * S // 55
    done = intended + 5_000_000 + round(error_s * S)
    return {"intended_ns": intended, "sent_ns": intended, "done_ns": done, "known_delay_ns": 5_000_000, "outcome": "ok"}


def judged(place: Any, requests: list[dict[str, Any]], canaries: list[dict[str, Any]], planned: int = 400) -> tuple[str, str]:
    place.rows("requests", requests)
    place.rows("canary", canaries)
    view = place.view()
    return judge_step(view.samples("requests", "t"), view.samples("canary", "t"), StepSpan("k", 0, 4 * S, planned), LIMITS)


GOOD = [canary(number) for number in range(220)]
STEPS = {
    "all well": ([row(n) for n in range(400)], GOOD, "holds"),
    "twenty slow of 400 may be": ([row(n, took_s=0.2 if n < 20 else 0.01) for n in range(400)], GOOD, "holds"),
    "one more may not": ([row(n, took_s=0.2 if n < 21 else 0.01) for n in range(400)], GOOD, "breaks"),
    "time-outs are errors": ([row(n, outcome="timeout" if n < 5 else "ok") for n in range(400)], GOOD, "breaks"),
    "fast 503s are errors": ([row(n, took_s=0.001, outcome="http_error" if n < 5 else "ok") for n in range(400)], GOOD, "breaks"),
    "four errors may be": ([row(n, outcome="http_error" if n < 4 else "ok") for n in range(400)], GOOD, "holds"),
    "one unsent is a shortfall": ([row(n, outcome="unsent" if n == 7 else "ok") for n in range(400)], GOOD, "breaks"),
    "canary out of band": (
        [row(n, took_s=0.2) for n in range(400)],
        [canary(n, error_s=0.006 * (n % 10 == 0)) for n in range(220)],
        "inconclusive",
    ),
    "sent late": ([row(n, late_s=0.006 * (n % 50 == 0)) for n in range(400)], GOOD, "inconclusive"),
    "no canary": ([row(n) for n in range(400)], [], "inconclusive"),
    "rows are missing": ([row(n) for n in range(399)], GOOD, "inconclusive"),
    "somebody else's rows": ([row(n, step="other") for n in range(400)], GOOD, "inconclusive"),
    "ended early, for certain": ([row(n, took_s=0.2) for n in range(60)], GOOD[:60], "breaks"),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_judged_by_its_limits_and_its_own_certificate(name: str, place: Any) -> None:
    """p95, errors and shortfall decide while canary and lag are in band; otherwise nothing is said about the system."""
    requests, canaries, expected = STEPS[name]
    outcome, reason = judged(place, requests, canaries)
    assert outcome == expected, reason
    assert reason


def test_too_few_requests_say_nothing(place: Any) -> None:
    """A limit of 1 % on errors needs 300 requests: 250 good ones are inconclusive."""
    outcome, reason = judged(place, [row(n) for n in range(250)], GOOD, planned=250)
    assert (outcome, reason) == ("inconclusive", "250 requests, 300 are needed")


def test_the_monitor_raises_once_when_the_outcome_is_certain(place: Any) -> None:
    """It learns the window from the journal, folds closed segments, and raises condition_met as soon as too many have missed."""
    monitor = StepMonitor(place.run_folder, "t", "k", 400, LIMITS)
    place.hub.observe(Watch("t", [monitor], place.hub, lambda _reason: None))
    place.emit(Window(trial="t", kind="phase", name="steady", start_ns=0, end_ns=4 * S, tags={"step": "k"}))
    writers = {
        name: SegmentWriter(name, schema, place.run_folder, place.hub, trial="t")
        for name, schema in (("requests", REQUESTS), ("canary", CANARY))
    }
    for second in range(4):
        for number in range(100):
            writers["requests"].append(**row(100 * second + number, took_s=0.2 if second > 0 and number < 15 else 0.01))
        for number in range(55):
            writers["canary"].append(**canary(55 * second + number))
        for writer in writers.values():
            writer.close()
        assert bool(monitor.met) == (second >= 2)  # 15 slow ones are allowed, 30 are not
    raised = [one.event for one in place.view().events("monitor.raised") if isinstance(one.event, MonitorRaised)]
    assert [(event.monitor, event.signal) for event in raised] == [("knee_step", CONDITION)]
    assert raised[0].reason == "k: 30 of 400 requests took longer than 100 ms, or failed"
    assert [table.num_rows for table in monitor.tables()] == [400, 220]


# --- the checker ------------------------------------------------------------------------------------------------------


def moved(made: dict[str, Any], by_ns: int) -> dict[str, Any]:
    return {key: value + by_ns if key in {"intended_ns", "sent_ns", "done_ns"} else value for key, value in made.items()}


def searched(place: Any, capacity: float = 100.0, *, lie: bool = False, doubt: float = 0.0) -> None:
    """A run with the samples and events of a search: each step 400 requests, all slow where it broke."""
    trial = system(capacity, 0.0001, 3, doubt=doubt)
    rows, canaries = [], []
    for place_, one in enumerate(search(SearchPlan(first=20, most=800), trial)):
        begin, step = 10 * S * place_, f"{place_:02d}-k"
        took_s, error_s = (0.2 if one.outcome == "breaks" else 0.01), (0.1 if one.outcome == "inconclusive" else 0.0)
        rows += [moved(row(number, took_s=took_s, step=step), begin) for number in range(400)]
        canaries += [moved(canary(number, error_s=error_s), begin) for number in range(220)]
        outcome = {"holds": "breaks", "breaks": "holds"}.get(one.outcome, "holds") if lie and place_ == 1 else one.outcome
        place.emit(
            KneeStep(
                trial="t",
                search="k",
                step=step,
                rate_per_s=one.rate,
                outcome=outcome,
                reason="",
                start_ns=begin,
                end_ns=begin + 4 * S,
                planned=400,
                p95_s=LIMITS.p95_s,
                errors=LIMITS.errors,
                shortfall=LIMITS.shortfall,
                band_s=LIMITS.band_s,
            )
        )
    place.rows("requests", rows)
    place.rows("canary", canaries)


def verdict(place: Any, **parameters: Any) -> tuple[Verdict, str]:
    rows = KneeChecker().check(place.view(), "t", "load", KneeCheck(step="k", **parameters))
    assert len(rows) == 1
    return rows[0].verdict, rows[0].reason


def test_the_checker_repeats_the_search_from_the_samples(place: Any) -> None:
    """A capacity that is certainly enough passes, one that is certainly not fails, one inside the interval is inconclusive."""
    searched(place)
    assert verdict(place)[0] is Verdict.PASS
    assert verdict(place, least=Rate.parse("40 /s"))[0] is Verdict.PASS
    assert verdict(place, least=Rate.parse("98 /s"))[0] is Verdict.INCONCLUSIVE
    assert verdict(place, least=Rate.parse("150 /s"))[0] is Verdict.FAIL


def test_a_journal_that_says_something_else_than_its_samples_fails(place: Any) -> None:
    """Seeded defect: one step is journaled with the wrong outcome."""
    searched(place, lie=True)
    found, reason = verdict(place)
    assert found is Verdict.FAIL
    assert "01-k: the journal says breaks, its samples say holds" in reason


def test_a_search_without_a_knee_is_judged_by_its_bound(place: Any) -> None:
    """Everything held up to 800/s: enough for 500/s, unknown for 900/s."""
    searched(place, capacity=1e9)
    assert verdict(place, least=Rate.parse("500 /s"))[0] is Verdict.PASS
    assert verdict(place, least=Rate.parse("900 /s"))[0] is Verdict.INCONCLUSIVE
    assert verdict(place)[0] is Verdict.INCONCLUSIVE


def test_noise_makes_the_search_inconclusive_and_nothing_makes_it_vacuous(place: Any) -> None:
    """A machine on which no step is certified gives no verdict on the system; a search that never ran is VACUOUS."""
    assert verdict(place)[0] is Verdict.VACUOUS
    searched(place, doubt=1.0)
    assert verdict(place, least=Rate.parse("500 /s"))[0] is Verdict.INCONCLUSIVE
