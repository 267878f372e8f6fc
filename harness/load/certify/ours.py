"""The adapter of our own engine: driven as a scenario drives it, its figures computed as a threshold computes them.

What it declares comes from its own samples alone, never from the truth: the rows of the checker ``certificate`` (canary, schedule lag,
shortfall), and its own delay at the very requests that the judged figures rest on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
import pyarrow.compute as pc

from harness.core.errors import HarnessError
from harness.core.units import Duration
from harness.journal.events import LoadFinished, Window
from harness.load import certificate
from harness.load.certificate import canary_errors_ms
from harness.load.certify.engines import GROUP, Bench, Ran, Reported
from harness.load.certify.judge import JUDGED, tolerance_ms
from harness.load.certify.truth import QUANTILES, Group
from harness.load.open_loop import OpenLoop, OpenLoopDriver
from harness.run.protocols import RunView, Target
from harness.run.view import FolderView
from harness.scenario.parameters import decode_parameters
from harness.thresholds.figures import filtered, quantile, values_of

HOW = "open loop, response time from the intended start"
BAND = Duration.parse("20 ms")  # 5 % of it is the band of 1 ms that a certificate asks of the canary (DESIGN §6)
KIND = {"op": GROUP, "path": "/", "method": "GET", "expect_nonempty": "results"}


class OurEngine:
    """``harness.load``'s own engine."""

    name: ClassVar[str] = "ours"

    def missing(self) -> str:
        return ""

    def run(self, bench: Bench) -> Ran:
        """Drive the reference server as any target; the samples land in the journal of the trial."""
        context = dataclasses.replace(bench.context, target=Target(bench.url, {}), configuration={"requests": {GROUP: KIND}})
        given = {
            "rate": f"{bench.rate_per_s:g} /s",
            "duration": f"{bench.duration_s:g} s",
            "timeout": f"{bench.timeout_s:g} s",
            "requests": GROUP,
        }
        OpenLoopDriver().run(context, decode_parameters(OpenLoop, given))
        view = FolderView(context.run_folder)
        return Ran(
            (Group(GROUP, bench.count, 1e9 / bench.rate_per_s, planned_start_ns(view, context.trial)),), reported(view, context.trial)
        )


def planned_start_ns(view: RunView, trial: str) -> int:
    """The start as it was journaled before the first request."""
    starts = [item.event.start_ns for item in view.events(Window.NAME, trial=trial) if isinstance(item.event, Window)]
    if not starts:
        raise HarnessError("the driver journaled no phase: nobody knows when the load was meant to begin")
    return min(starts)


def reported(view: RunView, trial: str) -> Reported:
    """What our engine says of a trial: pure, from its samples."""
    samples = view.samples("requests", trial)
    if not samples.num_rows:
        return Reported(engine=OurEngine.name, figures={}, answers=0, invalid="the engine left no samples", how=HOW)
    times = values_of("response_time", filtered(samples, {"outcome": "ok"})).values
    lag = values_of("schedule_lag", samples.filter(pc.is_valid(samples["sent_ns"]))).values
    counts = {row["values"]: row["counts"] for row in pc.value_counts(samples["outcome"]).to_pylist()}
    shares = [item.event.cpu_share for item in view.events(LoadFinished.NAME, trial=trial) if isinstance(item.event, LoadFinished)]
    unsent, limited = counts.get("unsent", 0), counts.get("rate_limited", 0)
    return Reported(
        engine=OurEngine.name,
        figures={name: quantile(times, Fraction(top, bottom)) * 1000 for name, top, bottom in QUANTILES} if len(times) else {},
        answers=len(times),
        unsent=unsent,
        failed=samples.num_rows - len(times) - unsent - limited,
        rate_limited=limited,
        lag_p99_ms=quantile(lag, Fraction(99, 100)) * 1000 if len(lag) else None,
        cpu_share=shares[-1] if shares else None,
        invalid="; ".join(doubts(view, trial, samples)),
        how=HOW,
    )


def doubts(view: RunView, trial: str, samples: Any) -> Iterator[str]:
    """Why the engine itself would not have its figures believed."""
    for row in certificate.doubts(view, trial, BAND):
        yield f"{row.check.rpartition('.')[2]}: {row.reason} ({row.value})"
    answered = samples.filter(pc.equal(samples["outcome"], "ok"))
    yield from late_canaries(canary_errors_ms(view.samples("canary", trial)), answered)
    yield from own_delays(answered, samples)


def late_canaries(errors_ms: Any, answered: Any) -> Iterator[str]:
    """The checker looks at the canary's p95; a p99 is vouched for by the canary's p99."""
    if not len(errors_ms) or not answered.num_rows:
        return
    share = Fraction(99, 100)
    error_ms, figure_ms = quantile(errors_ms, share), quantile(values_of("response_time", answered).values, share) * 1000
    if error_ms > tolerance_ms(figure_ms):
        yield f"canary: its p99 error is {error_ms:.1f} ms where p99 may be off by {tolerance_ms(figure_ms):.1f} ms"


def own_delays(answered: Any, samples: Any) -> Iterator[str]:
    """Where a figure rests on an answer that the engine may have read late.

    An arrival that was due before an answer was read and sent after it shows since when the engine had been busy: so long may the
    answer have lain there. That is a bound, not an estimate; beyond the tolerance the figure cannot be vouched for.
    """
    if not answered.num_rows:
        return
    intended, sent = (samples[name].fill_null(np.iinfo(np.int64).max).to_numpy() for name in ("intended_ns", "sent_ns"))
    done = answered["done_ns"].to_numpy()
    times = done - answered["intended_ns"].to_numpy()
    order = np.argsort(times, kind="stable")
    for name, top, bottom in QUANTILES:
        if name not in JUDGED:
            continue
        at = order[max(1, math.ceil(Fraction(top, bottom) * len(order))) - 1]
        overdue = intended[(intended <= done[at]) & (sent > done[at])]
        delay_ms = (int(done[at]) - int(overdue.min())) / 1e6 if len(overdue) else 0.0
        limit_ms = tolerance_ms(float(times[at]) / 1e6)
        if delay_ms > limit_ms:
            yield f"own delay: {name} rests on an answer that may have been read {delay_ms:.1f} ms late (limit {limit_ms:.1f} ms)"
