"""How long the gate takes on a batch of 50 nodes and 80 edges, beside the gate as it was, and what kg/write makes of it.

One interleaved run in one process: a round is one check by the old gate and ten by the new one, on eight batches in turn. The new
gate is the gateway's: the Rust engine here, the reference in a process of its own, the differential and its sample on. The old one
runs here too, without the hand-over to a process that it had in the gateway. kg/write goes through the real application (ASGI, in
this process) over ports in memory, each gate as the gateway runs it, so that what differs is the gate alone.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from scripts.bars.gate_before import Before, BeforeBeside
from scripts.bars.support import ended, listed, result, say
from suites.shacl.batches import NEGATIVES, changed, valid_batch
from suites.unit.gateway.conftest import KEYS, Forgetful, settings_of
from suites.unit.memory_ports import World
from system.assembly import Platform, PooledReference, differential_gate
from system.evidence.graph.gate import Gate
from system.evidence.retrieval import RetrievalSettings, Retriever
from system.gateway.app import create_app
from system.gateway.routes_graph import batch_of
from system.gateway.schemas import GraphWrite
from system.platform.errors import GateRefused
from system.platform.ports import GraphBatch, NodeRef

RATIO = 30.0
NODES, EDGES = 50, 80
ROUNDS = 60
NEW_A_ROUND = 10
BATCHES = 8
BLOCKS = 3
CLIENTS = 4


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.gate_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--block-s", type=float, default=4.0, help="seconds a block of writes, three of each gate")
    given = parser.parse_args(arguments)
    reference = PooledReference(1)
    gate, watch = differential_gate(reference, 0.01, lambda *_: None)
    if "alone" in watch.engines:
        return result(watch.engines, passed=None, detail="the Rust engine is not installed here")
    before, beside = Before(), BeforeBeside()
    refused = refusals(gate, before)
    old, new = checks(gate, before, given.rounds)
    ratio = old.wall_ms / new.wall_ms
    say(f"p50 of {NODES} nodes and {EDGES} edges: {old.wall_ms:.2f} ms before, {new.wall_ms:.3f} ms now, {ratio:.1f} x")
    say(f"processor time of the same: {old.cpu_ms:.2f} ms before, {new.cpu_ms:.3f} ms now, {old.cpu_ms / new.cpu_ms:.1f} x")
    say(f"p50 of a refusal (both engines judge): {refused[0]:.2f} ms before, {refused[1]:.2f} ms now")
    rates = asyncio.run(writes(gate, beside, given.block_s))
    beside.close()
    say(f"kg/write through the ASGI app, {CLIENTS} clients: {rates[0]:.1f}/s before, {rates[1]:.1f}/s now, {rates[1] / rates[0]:.1f} x")
    tally = watch.tally
    problems = [f"{ratio:.1f} x, wanted {RATIO:g} x"] if ratio < RATIO else []
    problems += ["the differential was not on: no refusal was confirmed"] if not tally.confirmed.value else []
    problems += ["the sample was not on: no accepted batch was judged"] if not tally.sampled.value else []
    differ = tally.refusals_differ.value + tally.samples_differ.value
    problems += [f"{differ} differences between the engines"] if differ else []
    figure = (
        f"gate p50 {old.wall_ms:.2f} ms before, {new.wall_ms:.3f} ms now: {ratio:.1f} x (processor time {old.cpu_ms / new.cpu_ms:.1f} x); "
        f"kg/write {rates[0]:.0f}/s before, {rates[1]:.0f}/s now (ASGI in process, ports in memory); "
        f"{tally.confirmed.value} refusals confirmed, {tally.sampled.value} samples, {differ} differences"
    )
    return result(figure, passed=not problems, detail=listed(problems))


def batch_body(number: int) -> dict[str, Any]:
    """Four studies that touch every shape, and one condition more: 50 nodes, 80 edges, keys of their own."""
    parts = [valid_batch(f"write-{number:08d}", f"{(number * 4 + study) % 10**6:06d}") for study in range(4)]
    nodes = {(node["label"], node["key"]): node for part in parts for node in part["nodes"]}
    nodes["", ""] = {"label": "Condition", "key": f"condition {number}", "properties": {"name": "A condition"}}
    made = {"write_id": f"write-{number:08d}", "nodes": list(nodes.values()), "edges": [edge for part in parts for edge in part["edges"]]}
    assert (len(made["nodes"]), len(made["edges"])) == (NODES, EDGES)
    return made


def batch(number: int) -> GraphBatch:
    return batch_of(GraphWrite.model_validate(batch_body(number)))


@dataclasses.dataclass(frozen=True, slots=True)
class Spent:
    """What checks cost, in milliseconds; as p50s where there are many."""

    wall_ms: float
    cpu_ms: float

    @classmethod
    def median(cls, of: Sequence[Spent]) -> Spent:
        return cls(statistics.median(one.wall_ms for one in of), statistics.median(one.cpu_ms for one in of))


def checks(gate: Gate, before: Before, rounds: int) -> tuple[Spent, Spent]:
    """The old gate and the new one, in turns on the same few batches."""
    batches = [batch(number) for number in range(BATCHES)]
    old, new = list[Spent](), list[Spent]()
    for number in range(-2, rounds):  # two rounds warm both up
        mine = [timed(gate, batches[(number + at) % BATCHES]) for at in range(NEW_A_ROUND)]
        theirs = timed(before, batches[number % BATCHES])
        if number >= 0:
            new += mine
            old.append(theirs)
    return Spent.median(old), Spent.median(new)


def refusals(gate: Gate, before: Before) -> tuple[float, float]:
    """p50 in milliseconds of either for a batch with one value wrong."""
    old, new = list[float](), list[float]()
    for number in range(10):
        spoilt = batch_of(GraphWrite.model_validate(changed(batch_body(number), NEGATIVES["AeGrade"][0])))
        old.append(timed(before, spoilt, refused=True).wall_ms)
        new.append(timed(gate, spoilt, refused=True).wall_ms)
    return statistics.median(old[2:]), statistics.median(new[2:])


def timed(gate: Any, batch: GraphBatch, *, refused: bool = False) -> Spent:
    began, worked = time.perf_counter(), time.process_time()
    try:
        gate.check(batch, _nowhere)
    except GateRefused:
        assert refused, "a sound batch was refused"
    else:
        assert not refused, "a broken batch was let pass"
    return Spent((time.perf_counter() - began) * 1e3, (time.process_time() - worked) * 1e3)


def _nowhere(_ref: NodeRef) -> bool:
    return False


def _answers() -> None:
    """A probe that finds its service there."""


async def writes(gate: Gate, beside: BeforeBeside, block_s: float) -> tuple[float, float]:
    """Writes a second behind the old gate and behind the new one, in alternating blocks."""
    done = {"old": 0, "new": 0}
    with tempfile.TemporaryDirectory() as folder:
        sites = {"old": application(beside, Path(folder) / "old"), "new": application(gate, Path(folder) / "new")}
        numbers = iter(range(10**6))
        for name, app in sites.items():
            await block(app, numbers, 1.0)
            say(f"warm: {name}")
        spent = dict.fromkeys(done, 0.0)
        for _ in range(BLOCKS):
            for name, app in sites.items():
                began = time.perf_counter()
                done[name] += await block(app, numbers, block_s)
                spent[name] += time.perf_counter() - began
    return done["old"] / spent["old"], done["new"] / spent["new"]


async def block(app: Any, numbers: Any, seconds: float) -> int:
    """How many writes were answered 200 while ``seconds`` went by."""
    until = time.perf_counter() + seconds
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway", headers={"X-API-Key": KEYS["writer"]}) as client:

        async def write() -> int:
            count = 0
            while time.perf_counter() < until:
                answer = await client.post("/v1/kg/write", json=batch_body(next(numbers)))
                assert answer.status_code == 200, answer.text
                count += 1
            return count

        return sum(await asyncio.gather(*(write() for _ in range(CLIENTS))))


def application(gate: Any, folder: Path) -> Any:
    """The gateway over a world in memory, with this gate."""
    world = World()
    world.gate = gate
    ports = world.ports()
    retriever = Retriever(ports.search, ports.dense, ports.sparse, Forgetful(), RetrievalSettings())
    probes: dict[str, Callable[[], None]] = dict.fromkeys(("records", "search"), _answers)
    return create_app(settings_of(folder), Platform(ports, world.wire("events"), retriever, probes))


if __name__ == "__main__":
    raise SystemExit(ended(main))
