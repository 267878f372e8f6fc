"""The bar ``budget``: burst and steady within the budget file, a seeded slowdown ends each early; a slow reranker and back-pressure.

First the knee of retrieve is searched; where a scenario's rate is above half of it, the rate and the limit on throughput are scaled
to half the knee and the factor is printed. Then, on one system: burst and steady clean (PASS wanted); both with every answer 1.5 s
slower (ended by the monitor, rows that had failed); back-pressure with a slow reranker (trips, is fast in overload mode, releases).
On a second system, whose back-pressure never trips, the same scenario has to go red. Which rows the slowdown turned red is written to
``docs/detections-load-budget.json``.

    python -m scripts.bars.budget [--only NAME]… [--knee RATE]
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from harness.core.errors import UsageError, listing
from harness.core.verdict import Verdict
from harness.journal.events import MonitorRaised
from harness.load.scale import factor_for
from harness.run.view import FolderView
from scripts.bars.published import publish
from scripts.bars.seeded import SeededSession, seeded_session
from scripts.bars.support import PROJECT, corpus, ended, ingest, listed, result, say
from scripts.bars.tools import search as search_knee
from suites.wing.api import Api

PARTS = ("burst", "steady", "burst_slow", "steady_slow", "back_pressure", "no_back_pressure")
RATES = {"burst": 50.0, "steady": 10.5}
DURATIONS_S = {"burst": 120.0, "steady": 180.0}
_DURATION = {"burst": "duration: 2 min", "steady": "duration: 3 min"}
WARMUP_S, LONGEST_S = 10.0, 300.0
SLOW = "retriever.retrieve:delay"
ATTEMPTS = 2
SETTLE_S = 40.0
_DOUBT = re.compile(r"certificate|not certified")


class NeverTrips(SeededSession):
    """A system whose back-pressure needs more breached windows than the scenario has."""

    def _extra_environment(self) -> Mapping[str, str]:
        return {**super()._extra_environment(), "EH_BACK_PRESSURE_BREACHED": "1000"}


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.budget", formatter_class=argparse.RawTextHelpFormatter, description=__doc__
    )
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--knee", type=float, default=0.0, metavar="RATE", help="take this knee (1/s) instead of searching for it")
    given = parser.parse_args(arguments)
    if unknown := sorted(set(given.only) - set(PARTS)):
        raise UsageError(f"no part is called {unknown[0]!r}", remedy=f"known: {listing(PARTS)}")
    chosen = [part for part in PARTS if not given.only or part in given.only]
    problems, figures = [], []
    for part, problem, figure in _all(chosen, given.knee, arguments):
        say(f"{part:18} {problem or 'ok'}  {figure}")
        figures.append(f"{part}: {figure}")
        problems += [f"{part}: {problem}"] if problem else []
    shown = f"{len(chosen) - len(problems)} of {len(chosen)} parts as wanted; " + "; ".join(figures)
    return result(shown, passed=not problems, detail=listed(problems))


def _all(chosen: Sequence[str], knee: float, arguments: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Part, what is wrong with it, its figure; as they come."""
    first = [part for part in chosen if part != "no_back_pressure"]
    if first:
        with seeded_session(("budget", *arguments)) as session:
            _ingested(session)
            if not knee and any(part.partition("_")[0] in RATES for part in first):
                knee = search_knee(session)
                say(f"knee of retrieve: {knee:g}/s")
            for part in first:
                yield part, *_part(session, part, knee)
    if "no_back_pressure" in chosen:
        with seeded_session(("budget", *arguments), NeverTrips) as session:
            _ingested(session)
            yield "no_back_pressure", *_control(session)


def _ingested(session: SeededSession) -> None:
    with Api(session.target()) as api:
        say(f"{len(ingest(api, corpus(sample=True)))} documents ingested")


def _part(session: SeededSession, part: str, knee: float) -> tuple[str, str]:
    """``(what is wrong, the figure)`` of one part."""
    if part == "back_pressure":
        return _back_pressure(session)
    name, _, slow = part.partition("_")
    factor = factor_for(RATES[name], knee)
    text = _scaled((PROJECT / "scenarios" / f"budget_{name}.yaml").read_text(encoding="utf-8"), name, factor)
    return _seeded(session, name, text) if slow else _clean(session, name, text, factor)


def _scaled(text: str, name: str, factor: float) -> str:
    """The scenario at the factor: its rate, and the scale of the limits on throughput."""
    if factor == 1:
        return text
    old = f"rate: {RATES[name]:g} /s"
    assert text.count(old) == 1, f"{name}: {old!r} does not stand in it once"
    seconds = min(LONGEST_S, DURATIONS_S[name] / factor)  # as many requests as were meant, where that is not too long
    rated = text.replace(old, f"rate: {RATES[name] * factor:g} /s").replace(_DURATION[name], f"duration: {seconds:g} s")
    rated = rated.replace(f"duration: {DURATIONS_S[name] + WARMUP_S:g} s", f"duration: {seconds + WARMUP_S:g} s")
    return rated.replace("      endpoints:", f"      scale: {factor:.6f}\n      endpoints:")


def _clean(session: SeededSession, name: str, text: str, factor: float) -> tuple[str, str]:
    """PASS, at the second try where only the noise control stood in the way."""
    trial = session.armed(f"budget_{name}", text, "")
    for _ in range(ATTEMPTS - 1):
        if trial.verdict is not Verdict.INCONCLUSIVE or not any(_DOUBT.search(row.reason) for row in trial.rows):
            break
        say(f"{name}: latency was not certified, once more")
        trial = session.armed(f"budget_{name}", text, "")
    passed = sum(row.verdict is Verdict.PASS for row in trial.rows)
    figure = f"{trial.verdict}, {passed} of {len(trial.rows)} rows, x {factor:.3f} = {RATES[name] * factor:g}/s"
    return ("" if trial.verdict is Verdict.PASS else f"{trial.verdict}: {trial.explain()[:800]}"), figure


def _seeded(session: SeededSession, name: str, text: str) -> tuple[str, str]:
    """Every answer 1.5 s slower: the monitor ends the run, and the rows had failed."""
    began = time.monotonic()
    trial = session.armed(f"budget_{name}", text, SLOW)
    seconds = time.monotonic() - began
    events = FolderView(session.run.folder).events(MonitorRaised.NAME, trial=trial.result.trial)
    reasons = [item.event.reason for item in events if isinstance(item.event, MonitorRaised)]
    failed = [row.check.removeprefix(trial.result.trial) for row in trial.rows if "had given FAIL" in row.reason]
    figure = f"{trial.verdict} after {seconds:.0f} s, {len(failed)} rows had failed, {reasons[:1]}"
    wanted = trial.verdict in {Verdict.ABORTED, Verdict.FAIL} and len(reasons) == 1 and bool(failed)
    if wanted:
        publish("load-budget", {f"{SLOW} in {name}": [f"budget_{name}{check}" for check in failed]}, keep=True)
    _settled(session)
    return ("" if wanted else f"{trial.verdict}: {trial.explain()[:800]}"), figure


def _back_pressure(session: SeededSession) -> tuple[str, str]:
    _settled(session)
    text = (PROJECT / "scenarios" / "back_pressure.yaml").read_text(encoding="utf-8")
    trial = session.armed("back_pressure", text, "")
    for _ in range(ATTEMPTS - 1):
        if trial.verdict is not Verdict.INCONCLUSIVE:
            break
        say("back_pressure: latency was not certified, once more")
        _settled(session)
        trial = session.armed("back_pressure", text, "")
    shown = {row.check.rpartition(".")[2]: row.value for row in trial.rows}
    names = ("trips", "releases", "was_slow", "fast_in_overload", "fast_afterwards")
    figure = f"{trial.verdict}, " + ", ".join(f"{name} {shown.get(name, '-')}" for name in names)
    return ("" if trial.verdict is Verdict.PASS else f"{trial.verdict}: {trial.explain()[:800]}"), figure


def _control(session: SeededSession) -> tuple[str, str]:
    """Without back-pressure the scenario must not pass: it never trips, and stays slow."""
    text = (PROJECT / "scenarios" / "back_pressure.yaml").read_text(encoding="utf-8")
    trial = session.armed("back_pressure", text, "")
    red = [row.check.rpartition(".")[2] for row in trial.rows if row.verdict in {Verdict.FAIL, Verdict.VACUOUS}]
    wanted = trial.verdict is Verdict.FAIL and "does_not_flap" in red
    return ("" if wanted else f"{trial.verdict}: {trial.explain()[:800]}"), f"{trial.verdict}, red: {', '.join(red)}"


def _settled(session: SeededSession) -> None:
    """Wait until retrieve serves in full again: a seeded slowdown leaves overload mode behind."""
    until = time.monotonic() + SETTLE_S
    with Api(session.target()) as api:
        while api.get("/ready")["retrieve"] != "normal" and time.monotonic() < until:
            time.sleep(0.5)


if __name__ == "__main__":
    raise SystemExit(ended(main))
