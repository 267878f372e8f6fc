"""Random shapes graphs and data graphs through both engines: every difference is one that is known, with who is right.

``--pairs N`` pairs (100,000 unless told), twenty data graphs a shapes graph, in two processes. ``silent`` counts the pairs that the
default engine accepts and the other one refuses, with good reason: of those a user hears nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence

from harness.core.errors import UsageError
from harness.shacl.engines import INSTALLED, EngineBroke, engines
from harness.shacl.judging import compared
from harness.shacl.shapes import ShapesGraph
from harness.shacl.wellformed import check
from scripts.bars.shacl_random import data_file, shapes_file
from scripts.bars.shacl_rules import Pair, differing, explained, gave_up
from scripts.bars.support import ended, listed, result, say

PAIRS, DATA_A_SHAPE, WORKERS, A_JOB = 100_000, 20, 2, 10


@dataclasses.dataclass
class Tally:
    """What was found so far."""

    pairs: int = 0
    refused: int = 0
    results: int = 0
    differing: int = 0
    silent: Counter[str] = dataclasses.field(default_factory=Counter)
    rules: Counter[str] = dataclasses.field(default_factory=Counter)
    unexplained: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: Tally) -> None:
        for field in dataclasses.fields(self):
            mine, more = getattr(self, field.name), getattr(other, field.name)
            setattr(self, field.name, mine + more)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.shacl_fuzz", description=__doc__)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    if not INSTALLED:
        return result("the Rust engine is not installed here", passed=None)
    tally = Tally()
    with multiprocessing.Pool(WORKERS, _quiet) as pool:
        for part in pool.imap_unordered(_job, _jobs(given.seed)):
            tally.add(part)
            for problem in part.unexplained:
                say(f"unexplained: {problem}")
            if tally.pairs // 2_000 > (tally.pairs - part.pairs) // 2_000:
                say(_figure(tally))
            if tally.pairs >= given.pairs:
                pool.terminate()
                break
    return result(_figure(tally), passed=not tally.unexplained and tally.pairs >= given.pairs, detail=_detail(tally))


def _quiet() -> None:
    logging.disable()  # rdflib tells of every ill-typed literal
    os.nice(5)


def _jobs(seed: int) -> Iterator[range]:
    for first in range(seed, seed + 10**7, A_JOB):
        yield range(first, first + A_JOB)


def _job(seeds: range) -> Tally:
    tally = Tally()
    for seed in seeds:
        judge_shapes(seed, DATA_A_SHAPE, tally)
    return tally


def judge_shapes(seed: int, number: int, tally: Tally) -> None:
    """One shapes graph and ``number`` data graphs."""
    shapes = ShapesGraph([shapes_file(seed)])
    try:
        check(shapes)
    except UsageError:
        tally.refused += 1
        return
    for at in range(number):
        judge_pair(Pair(shapes, data_file(seed, at)), f"shapes {seed}, data {at}", tally)


def judge_pair(pair: Pair, name: str, tally: Tally) -> None:
    both = engines()[0], engines()[1]
    tally.pairs += 1
    first = both[0].judge(pair.shapes, pair.data)
    tally.results += len(first.results)
    try:
        second = both[1].judge(pair.shapes, pair.data)
    except EngineBroke as error:
        known = gave_up(pair, str(error))
        tally.differing += 1
        tally.rules.update([known] if known else [])
        tally.unexplained += [] if known else [f"{name}: {error}"]
        return
    said = list(compared(first, second, pair.shapes))
    if not said:
        return
    tally.differing += 1
    told = differing(first, second)
    rules = explained(pair, both, told) if len(said) >= len({key for _, key in told}) else []
    tally.rules.update(rules)
    tally.silent.update(rules if second.results and not first.results else [])
    if not rules or any("focus nodes for" in line for line in said):
        tally.unexplained.append(f"{name}: {said[0]}")


def _figure(tally: Tally) -> str:
    return (
        f"{tally.pairs} pairs, {tally.results} results, {tally.differing} pairs differ, {len(tally.unexplained)} unexplained; "
        f"{tally.silent.total()} accepted by the default engine alone"
    )


def _detail(tally: Tally) -> str:
    known = json.dumps({"by rule": dict(tally.rules.most_common()), "accepted by shacl alone": dict(tally.silent)}, sort_keys=True)
    return f"{known}; {tally.refused} shapes graphs refused\n{listed(tally.unexplained)}".strip()


if __name__ == "__main__":
    raise SystemExit(ended(main))
