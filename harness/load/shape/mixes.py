"""Which request each arrival carries: the operation, its body, and on whose behalf; drawn from the plan's seed.

Operations are independent draws by weight, or a Markov chain for each principal: the source's transition rows sum to 1.35, 1.15
and 1.25, so rows are weights here and normalised. Its Zipf sampler u^(-1/s) has no upper bound; ours is the exact bounded law over
the pool.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt

from harness.core.errors import UsageError, listing, nearest_word
from harness.core.seeds import Seeds
from harness.core.units import Share

Weight = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Floats = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int32]
MAX_OPERATIONS = 100


class _Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """How one of a pool is chosen."""


class Passes(_Choice, frozen=True, tag="passes"):
    """Whole shuffled passes over the pool: every one gets its turn before any comes again."""


class Uniform(_Choice, frozen=True, tag="uniform"):
    """Each with the same probability, whatever came before."""


class Zipf(_Choice, frozen=True, tag="zipf"):
    """The pool's number i (from 1) with probability i^-exponent / Σ j^-exponent, j over the pool."""

    exponent: Annotated[float, msgspec.Meta(gt=0, le=10)] = 1.0


class Hot(_Choice, frozen=True, tag="hot"):
    """``share`` of all go to the first ``keys`` of the pool, the rest to the others; uniformly on both sides."""

    share: Share
    keys: Annotated[int, msgspec.Meta(ge=1)] = 1

    def __post_init__(self) -> None:
        if not 0 < self.share.fraction < 1:
            raise ValueError(f"a share of {self.share}: it lies between 0 % and 100 %")


Choice = Passes | Uniform | Zipf | Hot


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request kind of harness.toml in a mix."""

    weight: Weight = 1.0
    bodies: Choice = Passes()


class Mix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``operations``: request kind → weight and bodies. ``transitions``: from → to → weight, for the next request of the same principal.

    With probability ``correlation`` the next operation follows the transitions of the one before, else the weights; an
    operation without a row follows the weights. ``principals``: how whose turn it is is chosen among those of the request kinds.
    """

    operations: Annotated[Mapping[str, Operation], msgspec.Meta(min_length=1, max_length=MAX_OPERATIONS)]
    transitions: Mapping[str, Mapping[str, Weight]] = {}
    correlation: Share = Share.parse("100 %")
    principals: Choice = Passes()

    def __post_init__(self) -> None:
        if not any(operation.weight for operation in self.operations.values()):
            raise ValueError("no operation has a weight above 0")
        if not 0 <= self.correlation.fraction <= 1:
            raise ValueError(f"a correlation of {self.correlation}: it lies between 0 % and 100 %")
        for name, row in self.transitions.items():
            for word in (name, *row):
                if word not in self.operations:
                    near = nearest_word(word, self.operations)
                    hint = f" (did you mean {near!r}?)" if near else ""
                    raise ValueError(f"transitions name {word!r}{hint}; operations: {listing(self.operations)}")
            if not any(row.values()):
                raise ValueError(f"nothing follows {name!r}: no weight in its row is above 0")

    @property
    def weights(self) -> Floats:
        """Probabilities of the operations, in their order."""
        given = np.array([operation.weight for operation in self.operations.values()], dtype=np.float64)
        return np.asarray(given / given.sum())

    @property
    def matrix(self) -> Floats:
        """Row: operation before; column: operation after; probabilities with the correlation worked in."""
        names = list(self.operations)
        rows = np.tile(self.weights, (len(names), 1))
        for name, row in self.transitions.items():
            given = np.array([row.get(other, 0.0) for other in names], dtype=np.float64)
            strength = self.correlation.fraction
            rows[names.index(name)] = strength * given / given.sum() + (1 - strength) * self.weights
        return rows


def single(request: str) -> Mix:
    """The mix of one request kind."""
    return Mix(operations={request: Operation()})


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """For each arrival: operation (place in the mix), body (place in its pool), principal (from 0)."""

    operations: npt.NDArray[np.int16]
    bodies: Indexes
    principals: Indexes


def choose(mix: Mix, count: int, pools: Sequence[int], principals: int, seed: int) -> Chosen:
    """``pools``: bodies of each operation, in their order. Raises ``UsageError`` for a pool that has no more than the hot keys."""
    seeds = Seeds(seed)
    whose = chosen(mix.principals, count, principals, _generator(seeds, "principals"), "principals")
    operations = _operations(mix, whose, _generator(seeds, "operations"))
    bodies = np.zeros(count, dtype=np.int32)
    for place, (name, operation) in enumerate(mix.operations.items()):
        mine = np.flatnonzero(operations == place)
        bodies[mine] = chosen(operation.bodies, len(mine), pools[place], _generator(seeds, f"bodies/{name}"), f"bodies of {name}")
    return Chosen(operations, bodies, whose)


def chosen(choice: Choice, count: int, pool: int, generator: np.random.Generator, what: str) -> Indexes:
    """``count`` places in a pool, int32."""
    if isinstance(choice, Passes):
        rounds = [generator.permutation(pool) for _ in range(-(-count // pool))]
        return np.concatenate(rounds)[:count].astype(np.int32) if rounds else np.empty(0, dtype=np.int32)
    if isinstance(choice, Uniform):
        return generator.integers(pool, size=count, dtype=np.int32)
    edges = np.cumsum(probabilities(choice, pool, what))
    found = np.searchsorted(edges / edges[-1], generator.random(count), side="right")
    return np.minimum(found, pool - 1).astype(np.int32)


def probabilities(choice: Choice, pool: int, what: str = "pool") -> Floats:
    """The law of one choice over the pool; sums to 1."""
    if isinstance(choice, Zipf):
        law = np.arange(1, pool + 1, dtype=np.float64) ** -choice.exponent
        return np.asarray(law / law.sum())
    if isinstance(choice, Hot):
        if choice.keys >= pool:
            raise UsageError(f"{choice.keys} hot keys among {pool} ({what})", remedy="give fewer hot keys, or a larger pool")
        law = np.full(pool, (1 - choice.share.fraction) / (pool - choice.keys))
        law[: choice.keys] = choice.share.fraction / choice.keys
        return law
    return np.full(pool, 1 / pool)


def _operations(mix: Mix, whose: Indexes, generator: np.random.Generator) -> npt.NDArray[np.int16]:
    draws = generator.random(len(whose))
    first = _edges(mix.weights)
    if not mix.transitions:
        return np.searchsorted(np.asarray(first), draws, side="right").astype(np.int16)
    edges = [_edges(row) for row in mix.matrix]
    last: dict[int, int] = {}
    found = np.empty(len(whose), dtype=np.int16)
    for place, (principal, draw) in enumerate(zip(whose.tolist(), draws.tolist(), strict=True)):
        before = last.get(principal)
        found[place] = last[principal] = bisect.bisect_right(first if before is None else edges[before], draw)
    return found


def _edges(law: Floats) -> list[float]:
    """Cumulative probabilities; everything from the last possible one on is 1, so that rounding never draws an impossible one."""
    edges = np.cumsum(law)
    edges[np.flatnonzero(law)[-1] :] = 1.0
    listed: list[float] = edges.tolist()
    return listed


def _generator(seeds: Seeds, name: str) -> np.random.Generator:
    bits: Any = np.random.PCG64(seeds.derive(name))
    return np.random.Generator(bits)
