"""The bar ``clean_runs``: reduced runs without any defect on one system; no check may raise an alarm.

Every tenth run has one of the harmless changes of ``system.seeded_catalogue`` instead (an event delivered twice, a cache that forgets):
nobody can see those, so no check may. Progress is kept in ``reports/bars/clean_runs-state.json``; a second start goes on.

    python -m scripts.bars.clean_runs [N] [--again] [--keep]

Without an alarm in N runs the rate of false alarms is below 3/N with 95 % confidence. Exit 0: no alarm in N runs, 1: any, 2: wrong usage.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec

from harness.core import jsonio
from harness.core.errors import UsageError
from harness.core.verdict import Verdict
from harness.defects.score import false_alarm_bound
from scripts.bars.seeded import SeededSession, fingerprint, seeded_session
from scripts.bars.support import OUTPUT, ended, listed, result, say
from system.seeded_catalogue import HARMLESS

STATE = OUTPUT / "clean_runs-state.json"
RUNS = 100
RUNS_MAX = 10_000
HARMLESS_EVERY = 10


class Clean(msgspec.Struct, frozen=True):
    """One run; ``alarms`` are the rows that are not PASS."""

    harmless: str
    verdict: str
    alarms: tuple[str, ...]
    seconds: float
    run: str
    trial: str


class State(msgspec.Struct):
    fingerprint: str = ""
    runs: list[Clean] = []


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.clean_runs", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", nargs="?", type=int, default=RUNS, metavar="N")
    parser.add_argument("--again", action="store_true", help="forget the runs so far")
    parser.add_argument("--keep", action="store_true", help="keep the runs so far though checks changed since")
    given = parser.parse_args(arguments)
    if not 1 <= given.runs <= RUNS_MAX:
        raise UsageError(f"{given.runs} runs", remedy=f"give a number from 1 to {RUNS_MAX}")
    state = _state(given)
    if len(state.runs) < given.runs:
        with seeded_session(("clean_runs", *arguments)) as session:
            _go_on(session, given.runs, state)
    return _report(state.runs[: given.runs])


def _state(given: argparse.Namespace) -> State:
    state = State()
    if STATE.is_file() and not given.again:
        state = msgspec.json.decode(STATE.read_bytes(), type=State)
    if state.fingerprint != fingerprint() and not given.keep:
        state = State()
    state.fingerprint = fingerprint()
    return state


def _go_on(session: SeededSession, runs: int, state: State) -> None:
    session.clean()
    while len(state.runs) < runs:
        number = len(state.runs) + 1
        harmless = HARMLESS[number // HARMLESS_EVERY % len(HARMLESS)].id if number % HARMLESS_EVERY == 0 else ""
        trial, seconds = session.reduced(harmless)
        alarms = tuple(f"{row.check}: {row.verdict} {row.reason[:300]}" for row in trial.rows if row.verdict is not Verdict.PASS)
        state.runs.append(Clean(harmless, str(trial.verdict), alarms, seconds, session.run.folder.name, trial.result.trial))
        jsonio.write_atomic(STATE, msgspec.json.encode(state))
        say(f"{number:4}/{runs} {seconds:5.1f} s {trial.verdict} {harmless} {'; '.join(alarms)[:400]}")


def _report(runs: Sequence[Clean]) -> int:
    alarmed = [run for run in runs if run.alarms]
    seconds = sorted(run.seconds for run in runs)
    bound = false_alarm_bound(len(runs))
    harmless = sum(bool(run.harmless) for run in runs)
    figure = f"{len(alarmed)} false alarms in {len(runs)} clean runs"
    say(f"{figure} ({harmless} of them with a harmless change); median {seconds[len(seconds) // 2]:.1f} s a run")
    if not alarmed:
        say(f"the rate of false alarms is below {bound:.3f} with 95 % confidence (rule of three: {3 / len(runs):.3f})")
    detail = listed([f"{run.run} {run.trial} {run.harmless}: {'; '.join(run.alarms)}" for run in alarmed])
    jsonio.write_atomic(
        OUTPUT / "clean_runs.json", jsonio.pretty({"runs": len(runs), "alarms": len(alarmed), "bound": bound, "detail": detail})
    )
    return result(
        f"{figure}, rate < {bound:.3f}" if not alarmed else figure, not alarmed, detail or f"below {bound:.3f} at 95 % confidence"
    )


if __name__ == "__main__":
    raise SystemExit(ended(main))
