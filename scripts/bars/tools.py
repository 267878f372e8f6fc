"""The bar ``load_tools``: Locust's burst, steady, ramp and every k6 script on a system of its own; a seeded slowdown turns each red.

First the knee of retrieve is searched (open loop, short steps); where a script wants more than half of it, its rates are scaled to
half the knee and the factor is printed. Durations are shortened, though a k6 trial needs 200 canaries to speak; thresholds are those of
the scenarios. A trial that is INCONCLUSIVE only because the canary was out of band is tried once more. Which checks the slowdown turned
red is written to ``docs/detections-load-tools.json``.

    python -m scripts.bars.tools [--only NAME]… [--knee RATE]
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import time
from collections.abc import Sequence

from harness.core.errors import UsageError, listing
from harness.core.verdict import Verdict
from harness.journal.events import LoadPlanned, Measured
from harness.load.k6_tool import found_k6
from harness.load.scale import METRIC as KNEE
from harness.plugin.session import Trial
from harness.run.view import FolderView
from scripts.bars.published import publish
from scripts.bars.seeded import SeededSession, seeded_session
from scripts.bars.support import PROJECT, corpus, ended, ingest, listed, result, say
from suites.wing.api import Api

ANSWERS_SLOW = "retriever.retrieve:delay"
INGEST_SLOW = "records.receive_submission:delay"
KNEE_FROM, KNEE_TO, KNEE_STEP = 25.0, 420.0, 2.0
KNEE_LIMIT_MS = 500
SETTLE_LIMIT_S = 60.0
QUESTION = {"query": "hazard ratio for overall survival"}
ATTEMPTS = 2
IN_BAND = ("certificate.canary", "certificate.schedule_lag")


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """One scenario with what is shortened for the clean run and for the seeded one: pairs of (old, new) text."""

    name: str
    clean: tuple[tuple[str, str], ...]
    seeded: tuple[tuple[str, str], ...]
    defect: str = ANSWERS_SLOW


def _knobs(part: str, clean: str, seeded: str) -> tuple[tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]]:
    """The line `environment` put in or replaced."""
    line = f"      environment: {{{part}}}\n" if part else ""
    old = line or "      reach_at: 1 s"
    rest = "" if line else "\n      reach_at: 1 s"
    named = f"{part}, " if part else ""
    end = "\n" if line else ""
    made = tuple(f"      environment: {{{named}{knob}}}{end}{rest.removeprefix(end)}" for knob in (clean, seeded))
    return ((old, made[0]),), ((old, made[1]),)


LOADS: tuple[Load, ...] = (
    Load("load_locust_burst", (("duration: 2 min", "duration: 55 s"),), (("duration: 2 min", "duration: 8 s"),)),
    Load("load_locust_steady", (("duration: 5 min", "duration: 102 s"),), (("duration: 5 min", "duration: 8 s"),)),
    Load("load_locust_ramp", (("duration: 10 min", "duration: 60 s"),), (("duration: 10 min", "duration: 15 s"),)),
    Load("load_k6_retrieve_latency", *_knobs("", 'DURATION_S: "42"', 'DURATION_S: "12"')),
    Load("load_k6_hybrid", *_knobs("PART: hybrid", 'HYBRID_DURATION_S: "20"', 'HYBRID_DURATION_S: "8"')),
    Load("load_k6_rerank", *_knobs("PART: rerank", 'RERANK_DURATION_S: "20"', 'RERANK_DURATION_S: "8"')),
    Load("load_k6_stress", *_knobs("PART: stress", 'STRESS_STEP_S: "7"', 'STRESS_STEP_S: "3"')),
    Load(
        "load_k6_soak",
        (('SOAK_DURATION_S: "600"', 'SOAK_DURATION_S: "24"'),),
        (('SOAK_DURATION_S: "600"', 'SOAK_DURATION_S: "24"'),),
    ),
    Load("load_k6_concurrency", *_knobs("", 'STAGE_S: "15"', 'STAGE_S: "5"')),
    Load("load_k6_ingest_throughput", *_knobs("", 'DURATION_S: "25"', 'DURATION_S: "25"'), INGEST_SLOW),
)

_SEARCH = """name: {name}
title: one step of the search for the knee of retrieve
layer: load
requires: [target]
timeline:
  - {{step: retrieve, driver: open_loop, with: {{rate: "{rate:g} /s", warmup: 1 s, duration: 6 s, requests: retrieve}}}}
phases:
  steady: {{step: retrieve, from: 1 s, to: 7 s}}
thresholds:
  - {{id: p50, expr: "response_time{{op=retrieve}}: p(50) < {limit} ms in steady"}}
  - {{id: p90, expr: "response_time{{op=retrieve}}: p(90) < {limit} ms in steady"}}
checks:
  - {{checker: trial_completed}}
"""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.tools", formatter_class=argparse.RawTextHelpFormatter, description=__doc__
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="only these scenarios")
    parser.add_argument("--knee", type=float, default=0.0, metavar="RATE", help="take this knee (1/s) instead of searching for it")
    given = parser.parse_args(arguments)
    names = [load.name for load in LOADS]
    if unknown := sorted(set(given.only) - set(names)):
        raise UsageError(f"no load is called {unknown[0]!r}", remedy=f"known: {listing(names)}")
    chosen = [load for load in LOADS if not given.only or load.name in given.only]
    if found_k6() is None and any(load.name.startswith("load_k6") for load in chosen):
        return result("k6 is not here", passed=None, detail="run `harness servers install k6`")
    with seeded_session(("load_tools", *arguments)) as session:
        return _judge(session, chosen, given.knee)


def _judge(session: SeededSession, chosen: Sequence[Load], knee: float) -> int:
    with Api(session.target()) as api:
        documents = ingest(api, corpus(sample=True))
        say(f"{len(documents)} documents ingested")
        knee = knee or search(session)
        _settle(api)
        say(f"knee of retrieve: {knee:g}/s")
        session.run.journal.emit(Measured(trial="", metric=KNEE, unit="1/s", value=knee))
        problems, factors, good, red = [], [], 0, 0
        for load in chosen:
            trial, seconds = _clean(session, load)
            factors.append(_factor(session, trial))
            say(f"{load.name:28} {trial.verdict:12} {seconds:5.1f} s  {factors[-1]}  {_figures(trial)}")
            good += trial.verdict is Verdict.PASS
            if trial.verdict is not Verdict.PASS:
                problems.append(f"{load.name}: {trial.verdict}: {trial.explain()[:600]}")
            _settle(api)
        found: dict[str, list[str]] = {}
        for load in chosen:
            trial, seconds = _timed(session, load.name, load.seeded, load.defect)
            failed = [row.check.removeprefix(f"{trial.result.trial}.") for row in trial.rows if row.verdict is Verdict.FAIL]
            say(f"{load.name:28} with {load.defect}: {trial.verdict}, {seconds:.1f} s, red: {', '.join(failed)}")
            red += bool(failed)
            found.setdefault(load.defect, []).extend(f"{load.name}.{check}" for check in failed)
            if not failed:
                problems.append(f"{load.name}: {load.defect} did not turn it red: {trial.explain()[:400]}")
            _settle(api)
    if red == len(LOADS):
        publish("load-tools", found)
    figure = f"{good} of {len(chosen)} PASS, {red} of {len(chosen)} red with a seeded slowdown; knee {knee:g}/s"
    return result(figure, passed=not problems, detail=f"{'; '.join(factors)}\n{listed(problems)}".strip())


def _clean(session: SeededSession, load: Load) -> tuple[Trial, float]:
    """The clean trial; once more when nothing but the noise control stood in its way."""
    for attempt in range(1, ATTEMPTS + 1):
        trial, seconds = _timed(session, load.name, load.clean, "")
        doubted = any(row.verdict is Verdict.INCONCLUSIVE and row.check.endswith(IN_BAND) for row in trial.rows)
        if trial.verdict is not Verdict.INCONCLUSIVE or not doubted or attempt == ATTEMPTS:
            break
        say(f"{load.name}: canary or lag out of band, once more")
    return trial, seconds


def _timed(session: SeededSession, name: str, changes: Sequence[tuple[str, str]], defect: str) -> tuple[Trial, float]:
    text = (PROJECT / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, f"{name}: {old!r} does not stand in it"
        text = text.replace(old, new)
    began = time.monotonic()
    trial = session.armed(name, text, defect)
    return trial, time.monotonic() - began


def search(session: SeededSession) -> float:
    """The highest of the geometric steps at which 90 % of the answers come within the limit; the first that does not ends it."""
    held, rate = 0.0, KNEE_FROM
    while rate <= KNEE_TO:
        text = _SEARCH.format(name=f"knee_{rate:.0f}", rate=rate, limit=KNEE_LIMIT_MS)
        trial = session.armed(f"knee_{rate:.0f}", text)
        say(f"knee: {rate:g}/s {trial.verdict} {_figures(trial)}")
        if trial.verdict is not Verdict.PASS:
            break
        held, rate = rate, rate * KNEE_STEP
    if not held:
        raise UsageError(f"retrieve does not hold {KNEE_FROM:g}/s on this machine", remedy="run it with nothing else at work")
    return held


def _factor(session: SeededSession, trial: Trial) -> str:
    view, name = FolderView(session.run.folder), trial.result.trial
    figures = [item.event for item in view.events(Measured.NAME, trial=name) if isinstance(item.event, Measured)]
    scales = [figure.value for figure in figures if figure.metric == "load_scale"]
    rates = [item.event.rate_per_s for item in view.events(LoadPlanned.NAME, trial=name) if isinstance(item.event, LoadPlanned)]
    return f"{name.removeprefix('load_')} × {scales[-1]:.3f} = {rates[-1]:.1f}/s" if scales and rates else f"{name}: not scaled"


def _figures(trial: Trial) -> str:
    shown = [row for row in trial.rows if re.search(r"\.(\w*p(50|90|95|99)|errors|achieved|\w+_errors)$", row.check)]
    return ", ".join(f"{row.check.rpartition('.')[2]} {row.value}" for row in shown)


def _settle(api: Api) -> None:
    """Before the next load begins, what was ingested is worked off and the system serves in full again."""
    until = time.monotonic() + SETTLE_LIMIT_S
    while time.monotonic() < until:
        records = api.get("/v1/counts")["records"]
        waiting = sum(int(count) for name, count in records.items() if name.startswith("documents.") and not _final(name))
        mode = api.post("/v1/retrieve", QUESTION)["meta"].get("mode", "normal")
        if not waiting and mode == "normal":
            return
        time.sleep(0.5)
    say(f"not at rest after {SETTLE_LIMIT_S:.0f} s: {waiting} documents wait, mode {mode}")


def _final(name: str) -> bool:
    return name.removeprefix("documents.") in {"completed", "failed", "skipped", "deleted"}


if __name__ == "__main__":
    raise SystemExit(ended(main))
