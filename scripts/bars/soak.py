"""The bar ``soak``: 1,000 simulated clean days, and as many with a leak of 10 MB/h or a drift of 2 %/h; ``--real``: real processes.

``--real`` samples two processes for ten minutes at 144 times the speed of a day: one leaks 10 MB an hour of the day it stands for,
its sibling only makes garbage.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil

from harness.core.seeds import Seeds
from harness.core.verdict import Verdict, merge
from harness.load.soak.detect import Kind, detect
from harness.load.soak.simulation import KINDS, day_s, latency_ms, memory_mb
from harness.load.soak.windows import Floats
from harness.run.processes import Spawned, spawn
from scripts.bars.support import listed, result, say

ROWS = 1_000
LEAK, DRIFT = 10.0, 0.02
FOUND_LEAKS, FOUND_DRIFTS, FALSE = 0.95, 0.90, 0.05
SPEED, REAL_S, EVERY_S = 144.0, 600.0, 0.4
Make = Callable[[np.random.Generator, str, float], Floats]


def simulated(seeds: Seeds, rows: int) -> tuple[dict[str, float], list[str]]:
    """Shares found and falsely found, with the problems."""
    shares: dict[str, float] = {}
    cases: tuple[tuple[str, Kind, Make, float], ...] = (
        ("clean memory", "leak", memory_mb, 0.0),
        ("leak 10 MB/h", "leak", memory_mb, LEAK),
        ("clean latency", "drift", latency_ms, 0.0),
        ("drift 2 %/h", "drift", latency_ms, DRIFT),
    )
    for title, kind, make, amount in cases:
        found: Counter[str] = Counter()
        for number in range(rows):
            shape = KINDS[number % len(KINDS)]
            random = np.random.default_rng(seeds.derive(f"soak {title} {number}"))
            _, findings = detect(kind, day_s(), make(random, shape, amount))
            found[shape] += merge(finding.verdict for finding in findings) is Verdict.FAIL
        shares[title] = sum(found.values()) / rows
        parts = ", ".join(f"{shape} {found[shape] / (rows // len(KINDS)):.1%}" for shape in KINDS)
        say(f"{title:<14} flagged {shares[title]:.1%} of {rows}: {parts}")
    return shares, problems_of(shares)


def problems_of(shares: dict[str, float]) -> list[str]:
    """Which of the four limits are broken."""
    limits = {
        "leaks found": shares["leak 10 MB/h"] > FOUND_LEAKS,
        "drifts found": shares["drift 2 %/h"] > FOUND_DRIFTS,
        "clean memory": shares["clean memory"] < FALSE,
        "clean latency": shares["clean latency"] < FALSE,
    }
    return [name for name, kept in limits.items() if not kept]


@contextlib.contextmanager
def process(leak_mb_per_hour: float, seconds: float, seed: int) -> Iterator[Spawned]:
    """The small process, leaking at the sped-up rate."""
    words = [sys.executable, "-m", "harness.load.soak.process", "--leak-mb-per-hour", str(leak_mb_per_hour * SPEED)]
    with spawn([*words, "--seconds", str(seconds), "--seed", str(seed)], folder=Path(__file__).parent.parent.parent) as spawned:
        yield spawned


def real(seconds: float) -> list[str]:
    """Sample both processes; problems."""
    times: list[float] = []
    sizes: tuple[list[float], list[float]] = ([], [])
    with process(LEAK, seconds + 30, 1) as leaking, process(0.0, seconds + 30, 2) as clean:
        watched = psutil.Process(leaking.pid), psutil.Process(clean.pid)
        time.sleep(2.0)  # Python has started
        began = time.monotonic()
        while (now := time.monotonic()) - began < seconds:
            times.append(now)
            for one, into in zip(watched, sizes, strict=True):
                into.append(one.memory_info().rss / 1e6)
            time.sleep(max(0.0, began + len(times) * EVERY_S - time.monotonic()))
    problems = []
    for title, values, wanted in (("leaking", sizes[0], Verdict.FAIL), ("clean", sizes[1], Verdict.PASS)):
        trend, findings = detect("leak", np.array(times), np.array(values), speed=SPEED)
        verdicts = {finding.limit.name: str(finding.verdict) for finding in findings}
        say(f"{title} process: {trend.slope:+.2f} MB/h ({trend.low:+.2f} to {trend.high:+.2f}), {len(values)} samples, {verdicts}")
        if findings[0].verdict is not wanted:
            problems.append(f"the {title} process is {findings[0].verdict} at 10 MB/h, wanted {wanted}")
    return problems


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--seconds", type=float, default=REAL_S, help="with --real")
    options = parser.parse_args(arguments)
    if options.real:
        problems = real(options.seconds)
        figure = (
            f"one process leaking {LEAK:g} MB/h at {SPEED:g} times speed for {options.seconds:.0f} s, one clean: {len(problems)} problems"
        )
        return result(figure, passed=not problems, detail=listed(problems))
    began = time.monotonic()
    shares, problems = simulated(Seeds(options.seed), options.rows)
    figure = "; ".join(f"{title} flagged {share:.1%}" for title, share in shares.items())
    return result(f"{figure}; {time.monotonic() - began:.0f} s", passed=not problems, detail=listed(problems))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
