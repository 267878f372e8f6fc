"""A report against the truth: what is believed, what is respected, and what is called a lie."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from harness.load.certify.engines import Reported
from harness.load.certify.judge import judge
from harness.load.certify.truth import Truth

TRUE = {"p50": 20.1, "p90": 30.0, "p99": 1720.0, "p99.9": 2000.0, "max": 2021.0}


def truth(**changes: Any) -> Truth:
    """A load of 30,000 requests that met a stall of 2 s."""
    given: dict[str, Any] = dict.fromkeys(("never_sent", "reset", "abandoned", "timed_out", "rate_limited", "extra"), 0)
    given |= {"intended": 30_000, "reached": 30_000, "answered": 30_000, "offered_per_s": 1000.0, "achieved_per_s": 1000.0}
    given |= {"figures": TRUE, "upper": {name: value + 0.05 for name, value in TRUE.items()}, "all": TRUE}
    return Truth(**{**given, "arrival_lag_p99_ms": 0.5, "server_late_p99_ms": 0.1, **changes})


HONEST = Reported(engine="x", figures={name: value + 0.2 for name, value in TRUE.items()}, answers=30_000)


def lie(**changes: Any) -> Reported:
    return msgspec.structs.replace(HONEST, **changes)


def with_figures(**figures: float) -> Reported:
    return lie(figures={**HONEST.figures, **figures})


def test_a_report_near_the_truth_is_valid() -> None:
    """A little above it, as every honest client is."""
    assert judge(HONEST, truth()).sentence == "valid"


@pytest.mark.parametrize(
    ("name", "off", "valid"),
    [("p50", 1.0, True), ("p50", 1.1, False), ("p50", -1.1, False), ("p99", 17.1, True), ("p99", 17.4, False), ("max", -20.3, False)],
)
def test_the_tolerance_is_the_larger_of_a_millisecond_and_a_percent(name: str, off: float, valid: bool) -> None:
    """1 ms at 20 ms, 17.2 ms at 1,720 ms, above the upper bound or below the lower."""
    assert (judge(with_figures(**{name: TRUE[name] + off}), truth()).standing == "valid") is valid


@pytest.mark.parametrize(
    ("liar", "reported", "true", "word"),
    [
        ("from the send", with_figures(p99=28.0, max=2018.0), truth(), "p99 reported 28.00 ms, true 1720.0 ms"),
        (
            "drop when busy",
            lie(answers=28_000),
            truth(never_sent=2_000, reached=28_000, answered=28_000),
            "2000 of 30000 requests were never",
        ),
        ("closed loop", with_figures(p99=21.0), truth(never_sent=1_900, reached=28_100, answered=28_100), "were never sent"),
        ("overflow bucket", with_figures(p99=1000.0, max=1000.0), truth(), "max reported 1000.0 ms, true 2021.0 ms"),
        ("time-outs discarded", lie(answers=29_000), truth(abandoned=1_000, answered=29_000), "got no good answer, the engine tells of 0"),
        ("capped pool", with_figures(p99=70.0), truth(), "p99 reported 70.00 ms"),
        ("answers left out", lie(answers=29_000), truth(), "30000 of 30000 requests were answered, the engine tells of 29000"),
        ("429 hidden", lie(answers=29_000), truth(rate_limited=1_000, answered=29_000), "were rate limited"),
        ("a figure missing", lie(figures={"p50": 20.1, "max": 2021.0}), truth(), "p99: not reported"),
        ("a figure of nothing", HONEST, truth(figures={}, upper={}, answered=0, never_sent=30_000), "nothing was answered"),
        ("never", with_figures(max=math.inf), truth(), "max reported never"),
    ],
)
def test_each_lie_is_called_one(liar: str, reported: Reported, true: Truth, word: str) -> None:
    """Synthetic reports of every kind of lie."""
    found = judge(reported, true)
    assert found.standing == "lying", liar
    assert word in found.sentence


def test_what_is_told_of_is_no_lie() -> None:
    """Unsent, failed and rate-limited requests that stand in the report leave it valid."""
    true = truth(never_sent=500, reset=200, rate_limited=300, answered=29_000, reached=29_500)
    assert judge(lie(answers=29_000, unsent=500, failed=200, rate_limited=300), true).standing == "valid"


def test_an_engine_that_declares_its_figures_invalid_is_respected_and_its_error_still_shown() -> None:
    """Self-declared with the cause; the departures from the truth stand beside it."""
    found = judge(lie(figures={**HONEST.figures, "p99": 5.0}, invalid="the canary is out of band"), truth())
    assert found.sentence == "self-declared invalid: the canary is out of band"
    assert found.reasons == ("p99 reported 5.00 ms, true 1720.0 ms",)


def test_only_p50_p99_and_max_are_judged() -> None:
    """The other figures are shown with their error and decide nothing."""
    found = judge(with_figures(**{"p90": 500.0, "p99.9": 1.0}), truth())
    assert found.standing == "valid"
    assert [figure.name for figure in found.figures if figure.judged] == ["p50", "p99", "max"]
    assert [figure.within for figure in found.figures] == [True, False, True, False, True]
