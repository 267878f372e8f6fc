"""Several workers at once, in drawn interleavings of their port calls, with and without deaths: the end is always the same."""

from __future__ import annotations

from typing import Any

import pytest

from suites.unit.memory_ports import World
from suites.unit.versions.test_arrivals import MIDDLE, NEW, OLD, ingest, standing
from suites.unit.versions.turns import Applying, Consumer, Turns, outages, removing

RUNS = 25


def race(seed: int, *, consumers: int, deaths: int, away: int = 0, remove: str = "") -> World:
    """The three versions, each in its own payload; ``consumers`` workers a document, for a lease may be lost; one applier."""
    world = World()
    for number, payload in enumerate([NEW, OLD, MIDDLE]):
        world.receive("ctgov", payload, str(number))
    turns = Turns(world, seed, deaths)
    for number in range(consumers):
        for year in ("2020", "2021", "2022"):
            turns.add(f"{year}-{number}", Consumer(world, lambda key, year=year: f"#{year}-" in key))  # type: ignore[misc]
        turns.add(f"splitter-{number}", Consumer(world, lambda key: key.startswith("sub-")))
    turns.add("applier", Applying())
    turns.add("graph", outages(world, "graph", away))
    if remove:
        turns.add("remover", removing(lambda: next((key for key in world.records.rows if remove in key), None)))
    turns.run()
    return world


def end(world: World) -> dict[str, Any]:
    return {name: value for name, value in standing(world).items() if name != "waiting"}


@pytest.fixture(scope="module")
def right() -> dict[str, Any]:
    return end(ingest([OLD, MIDDLE, NEW]))


@pytest.mark.parametrize("deaths", [0, 3])
@pytest.mark.parametrize("consumers", [1, 2])
def test_every_interleaving_ends_the_same(right: dict[str, Any], consumers: int, deaths: int) -> None:
    """Each document has its worker, or two of which one has lost its lease; some die in the middle of a step."""
    for seed in range(RUNS):
        assert end(race(seed, consumers=consumers, deaths=deaths)) == right, f"seed {seed}"


def test_a_graph_that_comes_and_goes_changes_nothing(right: dict[str, Any]) -> None:
    """Batches and withdrawals wait for it, in any order, and nobody is left waiting."""
    for seed in range(RUNS):
        assert end(race(seed, consumers=1, deaths=seed % 3, away=3)) == right, f"seed {seed}"


def test_a_removal_in_the_middle_leaves_what_there_would_be_without_it() -> None:
    """The newest is removed at any moment of the race: the one before it stands, and nothing of the newest is left."""
    without = end(ingest([OLD, MIDDLE]))
    for seed in range(RUNS):
        found = end(race(seed, consumers=1, deaths=0, remove="#2022-"))
        assert found == without, f"seed {seed}"
