"""The bar ``detection``: seeded defects, one at a time, each judged by a reduced run; at least 95 % must be found by a right layer.

Mechanical ones stand in ``system.seeded_catalogue``; those of ``system.seeded_blind`` were written by somebody who has not seen the
checks. Each run is an ordinary trial (journal, evidence, verdict) that ``harness recheck`` repeats. Progress is kept in
``reports/bars/detection-state.json``; a second start goes on where the first one stopped, and begins anew when defects or checks changed.

    python -m scripts.bars.detection [--only ID ...] [--missed] [--again] [--keep]

Writes ``reports/bars/detection.json`` and ``docs/detections.json``. Exit 0: 95 % and more, 1: fewer, 2: wrong usage.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from harness.core import jsonio
from harness.core.errors import UsageError, nearest_word
from harness.core.verdict import Verdict
from harness.defects.checks import NAME as REACHED
from harness.defects.score import Score, Tried, checks, findings, score
from scripts.bars.blind_layers import BLIND_LAYERS
from scripts.bars.seeded import SeededSession, fingerprint, seeded_session
from scripts.bars.support import OUTPUT, PROJECT, ended, result, say
from suites.wing.reduced.stands_for import STANDS_FOR
from system.seeded import patches
from system.seeded_catalogue import DEFECTS

STATE = OUTPUT / "detection-state.json"
REPORT = OUTPUT / "detection.json"
PUBLISHED = PROJECT / "docs" / "detections.json"
LIMIT = 0.95
LEAST = 40
BY_REFERENCE = ("identities", "retrieval.same_answers")  # what only a comparison with a working system can see
OUTAGE = "chaos"
ATTEMPTS = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A defect to be tried; ``scenario`` is the reduced run that holds its layers."""

    id: str
    breaks: str
    layers: tuple[str, ...]
    blind: bool

    @property
    def scenario(self) -> str:
        return "outage" if OUTAGE in self.layers else "reduced"


class State(msgspec.Struct):
    """What was tried so far, by defect, and with which checks."""

    fingerprint: str = ""
    tried: dict[str, Tried] = {}


def candidates() -> list[Candidate]:
    """Every defect; one of the blind ones without layers is an error."""
    ours = [Candidate(item.id, item.breaks, item.layers, blind=False) for item in DEFECTS]
    theirs = [Candidate(name, str(getattr(item, "what", "")), BLIND_LAYERS[name], blind=True) for name, item in patches().items()]
    return ours + theirs


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.detection", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="try only these, again")
    parser.add_argument("--missed", action="store_true", help="try those again that were not found")
    parser.add_argument("--again", action="store_true", help="forget what was tried")
    parser.add_argument("--keep", action="store_true", help="keep what was tried though defects or checks changed since")
    given = parser.parse_args(arguments)
    everything = candidates()
    state = _state(given)
    for candidate in _chosen(everything, given, state):
        state.tried.pop(candidate.id, None)
    pending = [candidate for candidate in everything if candidate.id not in state.tried]
    if given.only:
        pending = [candidate for candidate in pending if candidate.id in given.only]
    if pending:
        with seeded_session(("detection", *arguments)) as session:
            _try_all(session, pending, state)
    return _report(everything, state)


def _state(given: argparse.Namespace) -> State:
    now = fingerprint()
    state = State()
    if STATE.is_file() and not given.again:
        state = msgspec.json.decode(STATE.read_bytes(), type=State)
    if state.fingerprint != now and not given.keep:
        state = State()
    state.fingerprint = now
    return state


def _chosen(everything: Sequence[Candidate], given: argparse.Namespace, state: State) -> list[Candidate]:
    known = [candidate.id for candidate in everything]
    for name in given.only:
        if name not in known:
            raise UsageError(f"unknown defect {name!r}", nearest=nearest_word(name, known), remedy="name one of the catalogue")
    missed = {name for name, item in state.tried.items() if not item.found} if given.missed else set()
    return [candidate for candidate in everything if candidate.id in {*given.only, *missed}]


def _try_all(session: SeededSession, pending: Sequence[Candidate], state: State) -> None:
    clean = session.clean()
    if clean.verdict is not Verdict.PASS:
        raise UsageError(f"the system is not sound without a defect: {clean.explain()[:2000]}", remedy="mend it first")
    for number, candidate in enumerate(pending, 1):
        tried = _try(session, candidate)
        state.tried[candidate.id] = tried
        jsonio.write_atomic(STATE, msgspec.json.encode(state))
        word = "found" if tried.found else "ELSEWHERE" if tried.found_elsewhere else "MISSED"
        red = ", ".join(item.check for item in tried.findings[:6])
        say(f"{number:3}/{len(pending)} {tried.seconds:5.1f} s {word:9} {candidate.id}  {red}")


def _try(session: SeededSession, candidate: Candidate) -> Tried:
    """One trial; a second one where the first could not be brought to its end."""
    for _ in range(ATTEMPTS):
        trial, seconds = session.reduced(candidate.id, candidate.scenario)
        if trial.result.outcome == "completed":
            break
    name = trial.result.trial
    reached = any(row.check.endswith(REACHED) and row.verdict is Verdict.PASS for row in trial.rows)
    completed = trial.result.outcome == "completed"
    if not completed:
        say(f"      {candidate.id} did not come to its end: {trial.result.detail[:300]}")
    return Tried(
        candidate.id,
        candidate.breaks,
        candidate.layers,
        findings(trial.rows, name) if completed else (),
        reached,
        completed,
        seconds,
        session.run.folder.name,
        name,
    )


def _report(everything: Sequence[Candidate], state: State) -> int:
    tried = [state.tried[candidate.id] for candidate in everything if candidate.id in state.tried]
    whole = score(tried)
    blind = score([state.tried[item.id] for item in everything if item.blind and item.id in state.tried])
    by_reference = [item.defect for item in tried if item.found and all(f.check in BY_REFERENCE for f in item.findings)]
    complete = len(tried) == len(everything)
    summary = {
        "found": whole.found,
        "total": whole.total,
        "by_layer": msgspec.to_builtins(whole.by_layer),
        "blind": {"found": blind.found, "total": blind.total},
        "missed": list(whole.missed),
        "unreached": list(whole.unreached),
        "only_by_reference": by_reference,
        "defects": {item.defect: item.breaks for item in tried},
    }
    seconds = sorted(item.seconds for item in tried)
    timing = {"median_s": seconds[len(seconds) // 2], "max_s": seconds[-1]} if seconds else {}
    jsonio.write_atomic(REPORT, jsonio.pretty({**summary, "timing": timing, "tried": [msgspec.to_builtins(item) for item in tried]}))
    if complete:
        jsonio.write_atomic(PUBLISHED, jsonio.pretty({"checks": checks(tried, STANDS_FOR), "summary": summary}))
    _table(tried, whole, blind, by_reference)
    passed = complete and whole.total >= LEAST and whole.share >= LIMIT
    figure = f"{whole.found} of {whole.total} ({100 * whole.share:.1f} %), blind {blind.found} of {blind.total}"
    return result(figure, passed, _detail(whole, timing, len(everything) - len(tried)))


def _detail(whole: Score, timing: Mapping[str, Any], left: int) -> str:
    missed = f"missed: {', '.join(whole.missed)}" if whole.missed else "none missed"
    return f"{missed}; not tried: {left}; median {timing.get('median_s', 0)} s, at most {timing.get('max_s', 0)} s a defect"


def _table(tried: Sequence[Tried], whole: Score, blind: Score, by_reference: Sequence[str]) -> None:
    say("")
    for item in tried:
        if not item.found or not item.reached:
            why = "never took effect" if not item.reached else "found elsewhere" if item.found_elsewhere else "not found"
            say(f"{why:18} {item.defect}: {item.breaks} ({', '.join(item.layers)}; {', '.join(f.check for f in item.findings[:4])})")
    say(f"{'layer':12} {'should':>7} {'found':>6}")
    for name, layer in whole.by_layer.items():
        say(f"{name:12} {layer.expected:7} {layer.found:6}")
    say(f"mechanical {whole.found - blind.found} of {whole.total - blind.total}, blind {blind.found} of {blind.total}")
    say(f"found only by comparison with a working system: {', '.join(by_reference) or 'none'}")


if __name__ == "__main__":
    raise SystemExit(ended(main))
