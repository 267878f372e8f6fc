"""How fast 200,000 triples are read and validated in process by the default engine, beside pySHACL on 20,000, and the whole command.

Rounds are interleaved: the default engine on all, with and without counting focus nodes, and pySHACL on the slice. The limit is on reading
and validating. Counting focus nodes costs about 36 µs a node (each is a result of a probe); its rate, and the whole command, which always
counts, are told beside it and have no limit.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.shacl.engines import INSTALLED, Engine, engines
from harness.shacl.reading import RdfFile, parsed, read_file
from harness.shacl.shapes import ShapesGraph
from scripts.bars.support import call, ended, listed, result, say, scratch

TRIPLES, SLICE, ROUNDS = 200_000, 20_000, 5
LEAST: Final = 250_000.0
A_NODE: Final = 10
SHAPES: Final = """@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix x: <urn:x:> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
x:PersonShape a sh:NodeShape ; sh:targetClass x:Person ;
  sh:property [ sh:path x:name ; sh:minCount 1 ; sh:maxCount 1 ; sh:datatype xsd:string ; sh:minLength 3 ] ;
  sh:property [ sh:path x:age ; sh:datatype xsd:integer ; sh:minInclusive 0 ; sh:maxInclusive 150 ] ;
  sh:property [ sh:path x:mail ; sh:pattern "^[^@]+@[^@]+$" ] .
x:FriendShape a sh:NodeShape ; sh:targetClass x:Person ; sh:property [ sh:path x:knows ; sh:nodeKind sh:IRI ; sh:class x:Person ] .
"""


@dataclasses.dataclass(frozen=True)
class Rate:
    """Triples a second, by the clock and by processor time."""

    wall: float
    cpu: float


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.shacl_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args(arguments).rounds
    if not INSTALLED:
        return result("the Rust engine is not installed here", passed=None)
    with scratch() as folder:
        shapes_path = folder / "shapes.ttl"
        shapes_path.write_text(SHAPES, encoding="utf-8")
        whole, part = written(folder / "whole.nt", TRIPLES), written(folder / "part.nt", SLICE)
        shapes = ShapesGraph([read_file(shapes_path)])
        default, reference = engines()[:2]
        fast, counted, slow = list[Rate](), list[Rate](), list[Rate]()
        for _ in range(rounds):
            fast.append(bare(shapes, whole, TRIPLES))
            counted.append(rate(default, shapes, whole, TRIPLES))
            slow.append(rate(reference, shapes, part, SLICE))
        began = time.perf_counter()
        done = call("shacl", str(whole), str(shapes_path))
        seconds = time.perf_counter() - began
    wall, cpu = statistics.median(one.wall for one in fast), statistics.median(one.cpu for one in fast)
    told = statistics.median(one.cpu for one in counted)
    beside = statistics.median(one.cpu for one in slow)
    say(done.stdout.strip())
    figure = (
        f"{TRIPLES} triples: {wall:,.0f}/s by the clock, {cpu:,.0f}/s of processor time, read and validated; "
        f"with focus nodes counted {told:,.0f}/s of processor time; "
        f"pySHACL {beside:,.0f}/s on {SLICE}: {cpu / beside:.0f} x; the whole command {seconds:.2f} s"
    )
    limits = (("clock", wall), ("processor", cpu))
    slow_ones = [f"{name}: {value:,.0f}/s, wanted {LEAST:,.0f}" for name, value in limits if value < LEAST]
    problems = slow_ones + ([f"the command ended with {done.returncode}: {done.stderr[-300:]}"] if done.returncode else [])
    return result(figure, passed=not problems, detail=listed(problems))


def written(path: Path, triples: int) -> Path:
    """``triples`` statements, ten a person."""
    kind, person = "<http://www.w3.org/1999/02/22-rdf-syntax-ns#type>", "<urn:x:Person>"
    people = triples // A_NODE
    with path.open("w", encoding="utf-8") as stream:
        for number in range(people):
            me = f"<urn:x:person/{number}>"
            stream.write(f'{me} {kind} {person} .\n{me} <urn:x:name> "Person {number}" .\n')
            stream.write(f'{me} <urn:x:age> "{number % 100}"^^<http://www.w3.org/2001/XMLSchema#integer> .\n')
            stream.write(f'{me} <urn:x:mail> "p{number}@example.org" .\n')
            for step in range(1, A_NODE - 3):
                stream.write(f"{me} <urn:x:knows> <urn:x:person/{(number + step * 7) % people}> .\n")
    return path


def bare(shapes: ShapesGraph, path: Path, triples: int) -> Rate:
    """Reading the file and validating it, from the compiling of the shapes to the results, without counting."""
    import shacl as wheel  # there are platforms without it

    began, worked = time.perf_counter(), time.process_time()
    compiled = wheel.Shapes.from_text(shapes.engine_text, format="ntriples")
    found = compiled.validate_text(read_file(path).text, format="ntriples").results
    spent = Rate(triples / (time.perf_counter() - began), triples / (time.process_time() - worked))
    assert not found, "sound data were refused"
    return spent


def rate(engine: Engine, shapes: ShapesGraph, path: Path, triples: int) -> Rate:
    """Reading and judging once, from the file on; nothing of an earlier round is used again."""
    parsed.cache_clear()
    began, worked = time.perf_counter(), time.process_time()
    data: RdfFile = read_file(path)
    found = engine.judge(shapes, data)
    spent = Rate(triples / (time.perf_counter() - began), triples / (time.process_time() - worked))
    assert not found.results, "sound data were refused"
    assert all(len(nodes) == triples // A_NODE for nodes in found.focus.values()), "focus nodes were missed"
    return spent


if __name__ == "__main__":
    raise SystemExit(ended(main))
