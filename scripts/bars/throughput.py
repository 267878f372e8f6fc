"""The bar ``throughput``: the highest rate that each generator sustains on one core, interleaved; nginx has the other core.

Ours, k6 (constant-arrival-rate) and Locust (FastHttpUser, constant_throughput) hold a rate open-loop; ours and wrk run closed. A rate is
held when nothing was dropped, the achieved rate is the offered one within 0.1 %, and, for ours, the schedule lag's p99 is at most
1 ms; all three at real-time priority where that is allowed. Each round looks for the highest such rate by short steps around that of
the round before. Rounds are kept in ``reports/bars/throughput.jsonl`` and a second call goes on where the first one stopped, on the
same content and machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from scripts.bars.generators import K6, Bench, Generator, Locust, Ours, missing, ours_closed, wrk_closed
from scripts.bars.static_server import nginx
from scripts.bars.support import OUTPUT, PROJECT, result, say, scratch

ROUNDS = 7
STEPS = {"first": 8, "later": 4}  # of a search: the first round starts far from the answer
NEAR = 1.05  # held and not held this near together: found
LIMITS = (("ours", "k6", 1.2), ("ours", "locust", 3.0), ("ours closed", "wrk closed", 0.5))
GENERATORS: tuple[Generator, ...] = (Ours(), K6(), Locust())
Round = Mapping[str, float]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="at least 7 count as the bar")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each step")
    parser.add_argument("--fresh", action="store_true", help="forget the rounds of an earlier call")
    options = parser.parse_args()
    if lacking := missing():
        return result("generators are missing", passed=None, detail=lacking)
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return result("no two cores to divide", passed=None, detail="run it on Linux with at least two cores")
    kept = OUTPUT / "throughput.jsonl"
    if options.fresh:
        kept.unlink(missing_ok=True)
    rounds = measure(kept, options.rounds, options.seconds)
    return judge(rounds)


def measure(kept: Path, wanted: int, seconds: float) -> list[Round]:
    """The rounds, earlier ones of the same content and machine included."""
    server_core, core = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, {server_core})  # this process, and the journal in it, stay away from the generator's core
    told = content()
    rounds = earlier(kept, told)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with scratch() as folder, nginx(folder, server_core) as port:
        bench = Bench(port, core, server_core, seconds)
        while len(rounds) < wanted:
            rounds.append(one_round(bench, rounds[-1] if rounds else {}, number=len(rounds)))
            with kept.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({"content": told, "figures": rounds[-1]}) + "\n")
    return rounds


def content() -> str:
    """What was measured, and where: a digest of the generator's sources and the kind of machine."""
    digest = hashlib.sha256()
    for folder in ("harness/load/engine", "harness/journal", "scripts/bars"):
        for path in sorted((PROJECT / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return f"{digest.hexdigest()[:16]} on {platform.machine()}, {os.cpu_count()} cores"


def earlier(kept: Path, told: str) -> list[Round]:
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()] if kept.is_file() else []
    return [line["figures"] for line in lines if line["content"] == told]


def one_round(bench: Bench, before: Round, number: int) -> Round:
    """Every generator once; the order turns with the round, so that no one always comes first."""
    began = time.monotonic()
    figures: dict[str, float] = {}
    turn = number % len(GENERATORS)
    for generator in (*GENERATORS[turn:], *GENERATORS[:turn]):
        figures[generator.name] = highest(generator, bench, before.get(generator.name, 0.0))
    figures["wrk closed"] = wrk_closed(bench)
    figures["ours closed"] = ours_closed(bench)
    shown = ", ".join(f"{name} {value:,.0f}" for name, value in figures.items())
    say(f"round {number + 1}: {shown} ({time.monotonic() - began:.0f} s, load {os.getloadavg()[0]:.1f})")
    return figures


def highest(generator: Generator, bench: Bench, known: float) -> float:
    """The highest rate found to be held; 0 when none was."""
    held, broken = 0.0, float("inf")
    rate, stride = known or generator.first_rate, 1.08 if known else 1.4
    for _ in range(STEPS["later" if known else "first"]):
        found = generator.hold(bench, rate)
        say(f"  {generator.name} {rate:,.0f}/s: {found.why or 'held'}{_beside(found.lag_p99_ms, found.cpu_share)}")
        held, broken = (held, rate) if found.why else (rate, broken)
        if held and broken / held <= NEAR:
            break
        rate = (held * broken) ** 0.5 if held and broken < float("inf") else held * stride if held else broken / stride
    return held


def _beside(lag_p99_ms: float | None, cpu_share: float | None) -> str:
    return "" if lag_p99_ms is None or cpu_share is None else f" (lag p99 {lag_p99_ms:.3f} ms, CPU {cpu_share:.0%})"


def judge(rounds: Sequence[Round]) -> int:
    """Medians and ratios against the limits."""
    names = sorted({name for one in rounds for name in one})
    medians = {name: statistics.median(one[name] for one in rounds) for name in names}
    say(f"{'generator':<14}{'median/s':>12}{'least':>12}{'most':>12}")
    for name in names:
        values = [one[name] for one in rounds]
        say(f"{name:<14}{medians[name]:>12,.0f}{min(values):>12,.0f}{max(values):>12,.0f}")
    problems, shown = [], []
    for mine, other, limit in LIMITS:
        ratio = medians[mine] / medians[other] if medians[other] else 0.0
        shown.append(f"{mine} {medians[mine]:,.0f}/s = {ratio:.2f} x {other} (>= {limit:g})")
        if ratio < limit:
            problems.append(f"{mine} is {ratio:.2f} x {other}, wanted {limit:g}")
    if len(rounds) < ROUNDS:
        problems.append(f"{len(rounds)} rounds, wanted {ROUNDS}")
    return result(f"{'; '.join(shown)}; median of {len(rounds)} rounds", passed=not problems, detail="\n".join(problems))


if __name__ == "__main__":
    raise SystemExit(main())
