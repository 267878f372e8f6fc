"""The bar ``regression``: error rates and power of the sequential test, over 10,000 simulated comparisons of each kind.

Peeking is included: the test may answer after any of its looks, and the first answer counts. ``--seed`` tries other draws.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence

import numpy as np

from harness.core.seeds import Seeds
from harness.load.compare.boundaries import ROUNDS_MAX
from harness.load.compare.sequential import NOT_REGRESSED, REGRESSED
from harness.load.compare.simulation import answers, noise, side_memory
from scripts.bars.support import listed, result, say

ROWS = 10_000
GATE = 0.05
FALSE_ALARMS = 0.001
FALSE_PASSES = 0.01
POWER = 0.95
SIZES = (0.005, 0.02, 0.05, 0.20)  # noise of one measurement: the answer must not depend on knowing it
KINDS: tuple[tuple[str, str, float], ...] = (
    ("Gaussian", "gaussian", 0.0),
    *((f"AR(1) phi {phi:+.1f}", "ar1", phi) for phi in (-0.5, 0.1, 0.2, 0.3, 0.4, 0.5)),
    ("t, 3 degrees of freedom", "t3", 0.0),
)


def nulls(seeds: Seeds) -> Iterator[str]:
    """False alarms of every kind of noise at every size; problems are yielded."""
    for title, kind, phi in KINDS:
        for size in SIZES:
            random = np.random.default_rng(seeds.derive(f"null {title} {size}"))
            course = answers(noise(kind, ROWS, random, phi) * size, GATE)
            alarms = course.share(REGRESSED)
            passed = course.share(NOT_REGRESSED)
            say(f"no change     {title:<24} noise {size:>5.1%}: false alarms {alarms:.3%}, not regressed {passed:.1%}")
            if alarms > FALSE_ALARMS:
                yield f"{title}, noise {size:.1%}: {alarms:.3%} false alarms, limit {FALSE_ALARMS:.1%}"


def changes(seeds: Seeds) -> Iterator[str]:
    """How often a change is found, how soon, and how often one as large as the gate passes."""
    for title, kind, phi in (KINDS[0], KINDS[6], KINDS[-1]):
        for change in (0.02, GATE, 0.10, 0.20):
            random = np.random.default_rng(seeds.derive(f"change {title} {change}"))
            course = answers(noise(kind, ROWS, random, phi) * 0.02, GATE, change)
            found, passed = course.share(REGRESSED), course.share(NOT_REGRESSED)
            median = float(np.median(course.rounds[course.rounds > 0]))
            shown = f"regressed {found:.2%}, not regressed {passed:.2%}, median round {median:g}"
            say(f"change {change:>5.0%}  {title:<24} noise  2.0%: {shown}")
            if change >= GATE and passed > FALSE_PASSES:
                yield f"{title}, change {change:.0%}: {passed:.2%} pass as not regressed, limit {FALSE_PASSES:.0%}"
            if change >= GATE and found < POWER:
                yield f"{title}, change {change:.0%}: regressed in {found:.2%}, wanted {POWER:.0%}"


def limits_of_the_design(seeds: Seeds) -> None:
    """What no test of twelve rounds a side can hold (docs/comparison.md); said, not judged."""
    random = np.random.default_rng(seeds.derive("side memory"))
    course = answers(side_memory(ROWS, random, 0.5) * 0.02, GATE)
    alarms = course.share(REGRESSED)
    say(f"beyond the design: each side remembers itself with phi 0.5: false alarms {alarms:.2%} (start both afresh every round)")


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.regression", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    seeds = Seeds(parser.parse_args(arguments).seed)
    began = time.monotonic()
    problems = [*nulls(seeds), *changes(seeds)]
    limits_of_the_design(seeds)
    random = np.random.default_rng(seeds.derive(f"change {KINDS[0][0]} {GATE}"))
    course = answers(noise("gaussian", ROWS, random) * 0.02, GATE, GATE)
    decided = course.share(REGRESSED) + course.share(NOT_REGRESSED)
    figure = f"5 % change at 2 % Gaussian noise: decided {decided:.2%}, regressed {course.share(REGRESSED):.2%} by round {ROUNDS_MAX}"
    figure += f"; {len(problems)} of {len(KINDS) * len(SIZES) + 12} rows over their limit; {time.monotonic() - began:.0f} s"
    return result(figure, passed=not problems, detail=listed(problems))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
