"""The checker ``certificate``: may the latency figures of this trial be believed?

Four statements, each able to make latency checks INCONCLUSIVE with its cause, and nothing else: the canary's p95 error is at most 5 %
of the tightest limit judged; nothing that was intended stayed unsent and every planned request has its row; the schedule lag's p99
is at most 5 % of that limit; no engine process came to its own limits (CPU, connections, pauses of its garbage collector). The first
three come from the samples, the last from what the processes say of themselves. None of them says anything about the system; 429s are
counted beside them.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import LoadFinished, LoadGenerator
from harness.load.failures import causes
from harness.run.protocols import CheckRow, RunView, trial_row
from harness.scenario.catalogue import Need

BAND_SHARE = 0.05
OURS = "ours"  # the engine whose samples these are
CANARY_SAMPLES_MIN = 200  # p95 needs 10/(1-0.95)
CPU_SHARE_MAX = 0.9  # of a core: above it nobody knows what the generator would have sent


class Certificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``tightest_limit``: the smallest latency limit judged in this trial."""

    tightest_limit: Duration


class CertificateChecker:
    """Judges the generator, not the system."""

    name: ClassVar[str] = "certificate"
    parameters: ClassVar[type[msgspec.Struct]] = Certificate

    def check(self, view: RunView, trial: str, layer: str, parameters: Certificate) -> Sequence[CheckRow]:
        band_ms = parameters.tightest_limit.seconds * 1000 * BAND_SHARE
        generators, ours = _generators(view, trial), _ours(view, trial)
        rows = [
            _canary_row(view.samples("canary", trial), band_ms),
            _lag_row(view.samples("requests", trial), band_ms, _hint(generators, ours)),
            _shortfall_row(view.samples("requests", trial), sum(event.intended for event in ours)),
            _saturation_row(generators, band_ms),
        ]
        return [
            dataclasses.replace(trial_row(trial, layer, f"certificate.{name}", verdict, value, limit, reason), voids="latency")
            for name, verdict, value, limit, reason in rows
        ]

    def implied(self, need: Need, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """The tightest of the limits judged; a written one counts where it is tighter still."""
        limits = [
            *need.limits_s,
            *([Duration.parse(written["tightest_limit"]).seconds] if isinstance(written.get("tightest_limit"), str) else []),
        ]
        return {**written, "tightest_limit": str(Duration.of_seconds(min(limits)))}


def doubts(view: RunView, trial: str, limit: Duration) -> list[CheckRow]:
    """The rows of the certificate for ``limit`` that say why latency figures of this trial may not be believed; none when they may."""
    rows = CertificateChecker().check(view, trial, "", Certificate(tightest_limit=limit))
    return [row for row in rows if row.verdict is not Verdict.PASS]


Row = tuple[str, Verdict, str, str, str]


def canary_errors_ms(samples: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Response time minus the hold the server reports, ms, for each answered canary; +inf for the others."""
    if samples.num_rows == 0:
        return np.array([], dtype=np.float64)
    good = pc.equal(samples["outcome"], "ok").to_numpy(zero_copy_only=False)
    done = samples["done_ns"].fill_null(0).to_numpy().astype(np.float64)
    intended = samples["intended_ns"].to_numpy().astype(np.float64)
    held = samples["known_delay_ns"].fill_null(0).to_numpy().astype(np.float64)
    return np.where(good, (done - intended - held) / 1e6, np.inf)


def _canary_row(samples: Any, band_ms: float) -> Row:
    errors = canary_errors_ms(samples)
    limit = f"p95 error <= {band_ms:.1f} ms"
    if len(errors) == 0:
        return "canary", Verdict.VACUOUS, "no canary samples", limit, "no canary ran beside the load"
    p95 = float(np.quantile(errors, 0.95, method="higher"))
    value = f"p95 error {p95:.2f} ms over {len(errors)} canaries"
    if len(errors) < CANARY_SAMPLES_MIN:
        return "canary", Verdict.INCONCLUSIVE, value, limit, f"p95 needs {CANARY_SAMPLES_MIN} canaries"
    if p95 > band_ms:
        return "canary", Verdict.INCONCLUSIVE, value, limit, "the canary is out of band: this machine delayed the generator"
    return "canary", Verdict.PASS, value, limit, ""


def _lag_row(samples: Any, band_ms: float, hint: str) -> Row:
    limit = f"p99 <= {band_ms:.1f} ms"
    if samples.num_rows == 0:
        return "schedule_lag", Verdict.VACUOUS, "no requests", limit, "nothing was sent"
    sent = samples.filter(pc.is_valid(samples["sent_ns"]))
    if sent.num_rows == 0:
        return "schedule_lag", Verdict.VACUOUS, "no request was sent", limit, "nothing was sent"
    lag = (sent["sent_ns"].to_numpy() - sent["intended_ns"].to_numpy()) / 1e6
    p99 = float(np.quantile(lag, 0.99, method="higher"))
    value = f"p99 {p99:.2f} ms over {len(lag)} requests"
    if p99 > band_ms:
        return "schedule_lag", Verdict.INCONCLUSIVE, value, limit, f"requests were sent late: the generator could not keep its plan{hint}"
    return "schedule_lag", Verdict.PASS, value, limit, ""


def _shortfall_row(samples: Any, intended: int) -> Row:
    """``intended``: what the generators say was due; a row that is missing was never sent for all we know."""
    total = max(samples.num_rows, intended)
    limit = "every intended request is sent"
    if total == 0:
        return "shortfall", Verdict.VACUOUS, "no requests", limit, "nothing was intended"
    lost = total - samples.num_rows
    unsent = lost + (int(pc.sum(pc.equal(samples["outcome"], "unsent")).as_py() or 0) if samples.num_rows else 0)
    limited = int(pc.sum(pc.equal(samples["outcome"], "rate_limited")).as_py() or 0) if samples.num_rows else 0
    value = f"{total - unsent} of {total} sent" + (f", {limited} rate-limited" if limited else "")
    if unsent:
        cause = f"{unsent} intended requests were never sent" + (f", {lost} of them have no row" if lost else "")
        return "shortfall", Verdict.INCONCLUSIVE, value, limit, cause
    return "shortfall", Verdict.PASS, value, limit, ""


def _ours(view: RunView, trial: str) -> list[LoadFinished]:
    """What our engine said at the end of each step; nothing where it was ended before. Other engines leave no rows here."""
    finished = [item.event for item in view.events(LoadFinished.NAME, trial=trial)]
    return [event for event in finished if isinstance(event, LoadFinished) and event.engine == OURS]


def _hint(generators: Sequence[LoadGenerator], ours: Sequence[LoadFinished]) -> str:
    """What makes our engine keep its plan on a busy machine, where it did not have it."""
    steps = {event.step for event in ours}
    ordinary = any(event.step in steps and not event.realtime for event in generators)
    return "; allow it real-time priority: `ulimit -r 1`" if ordinary else ""


def _generators(view: RunView, trial: str) -> list[LoadGenerator]:
    found = [item.event for item in view.events(LoadGenerator.NAME, trial=trial)]
    return [event for event in found if isinstance(event, LoadGenerator)]


def _saturation_row(generators: Sequence[LoadGenerator], band_ms: float) -> Row:
    limit = f"CPU <= {CPU_SHARE_MAX:.0%} of a core, connections below their cap, no GC pause above {band_ms:.1f} ms"
    if not generators:
        return "saturation", Verdict.VACUOUS, "no generator", limit, "no engine process said how busy it was"
    busiest = max(generators, key=lambda event: event.cpu_share)
    most = max(generators, key=lambda event: event.connections_most / event.connections_max)
    pause_ms = max(event.gc_max_s for event in generators) * 1000
    waited = sum(event.connections_refused_by_cap for event in generators)
    value = (
        f"CPU {busiest.cpu_share:.0%}, connections {most.connections_most} of {most.connections_max}, "
        f"{sum(event.gc_pauses for event in generators)} GC pauses, longest {pause_ms:.1f} ms"
    )
    causes = []
    if busiest.cpu_share > CPU_SHARE_MAX:
        causes.append(f"engine process {busiest.worker} used {busiest.cpu_share:.0%} of a core: give the step more `processes`")
    if waited:
        causes.append(f"{waited} arrivals waited because all connections were in use: raise `connections_max`")
    if pause_ms > band_ms:
        causes.append(f"the garbage collector of the generator paused it for {pause_ms:.1f} ms")
    return "saturation", Verdict.INCONCLUSIVE if causes else Verdict.PASS, value, limit, "; ".join(causes)


class Bodies(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: whose answers are looked at."""

    step: str


class BodiesChecker:
    """The checker ``bodies``: answers that carried the load were answers (status, JSON, a non-empty result)."""

    name: ClassVar[str] = "bodies"
    parameters: ClassVar[type[msgspec.Struct]] = Bodies

    def check(self, view: RunView, trial: str, layer: str, parameters: Bodies) -> Sequence[CheckRow]:
        samples = view.samples("requests", trial)
        if samples.num_rows:
            samples = samples.filter(pc.equal(samples["step"], parameters.step))
        outcomes = Counter(samples["outcome"].to_pylist()) if samples.num_rows else Counter()
        bad = outcomes["bad_body"]
        judged = outcomes["ok"] + bad
        verdict = Verdict.VACUOUS if judged == 0 else Verdict.FAIL if bad else Verdict.PASS
        said = [f"{bad} answers were not what was asked for"] if bad else [] if judged else ["no body was judged"]
        if judged < samples.num_rows and verdict is not Verdict.PASS:
            said.append(f"of {samples.num_rows} requests: {causes(samples)}")
        return [trial_row(trial, layer, "bodies", verdict, f"{judged - bad} of {judged} bodies right", "all", "; ".join(said))]
