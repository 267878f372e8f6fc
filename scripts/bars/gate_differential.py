"""The gate's two engines on random batches of its own vocabulary: the same report on each, or the difference is listed."""

from __future__ import annotations

import argparse
import collections
import time
from collections.abc import Sequence

from rdflib import RDF, SH, URIRef

from scripts.bars.support import ended, listed, result, say
from suites.unit.gate.random_batches import cases
from system.evidence.graph.engine_reference import PyShacl, load_shapes
from system.evidence.graph.engines import SHAPES_DIR, engines

COUNT = 2_000
SOUND_MIN = 0.05  # of the cases; fewer, and the comparison says little about what passes


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.gate_differential", description=__doc__)
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    reference = PyShacl()
    pair = engines(reference)
    if pair.second is None:
        return result(pair.told(), passed=None, detail="the Rust engine is not installed here")
    problems, broken, sound = list[str](), collections.Counter[str](), 0
    began = time.monotonic()
    for number, case in enumerate(cases(given.seed, given.count)):
        one, other = (engine.validate(case.batch, case.known) for engine in (pair.first, reference))
        sound += not other
        broken.update({issue.shape for issue in other})
        problems.extend(f"case {number} of seed {given.seed}: only one reports {issue}" for issue in sorted(set(one) ^ set(other)))
        if number % 250 == 249:
            say(f"{number + 1} batches, {len(problems)} differences, {time.monotonic() - began:.0f} s")
    missing = named_shapes() - broken.keys()
    problems.extend(f"no batch broke {shape}" for shape in sorted(missing))
    if sound < SOUND_MIN * given.count:
        problems.append(f"only {sound} batches were sound")
    figure = (
        f"{given.count} random batches, {sound} sound: {sum('only one' in line for line in problems)} differences; "
        f"each of {len(named_shapes())} shapes broken, the rarest {min(broken.values(), default=0)} times; {pair.told()}"
    )
    return result(figure, passed=not problems, detail=listed(problems))


def named_shapes() -> set[str]:
    """Every shape with a name."""
    shapes = load_shapes(SHAPES_DIR)
    kinds = (SH.PropertyShape, SH.NodeShape)
    return {str(shape) for kind in kinds for shape in shapes.subjects(RDF.type, kind) if isinstance(shape, URIRef)}


if __name__ == "__main__":
    raise SystemExit(ended(main))
