"""What a load step is told in a scenario, and the plan that is made of it: offsets, choices, requests; stored before the first arrival."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from harness.core import jsonio
from harness.core.errors import UsageError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadMixPlanned
from harness.load.requests import PlannedRequest, RequestKind, bodies, request_kind
from harness.load.shape.arrivals import offsets
from harness.load.shape.grammar import Constant, Poisson, Shape, check_window
from harness.load.shape.mixes import Chosen, Hot, Indexes, Mix, choose, single
from harness.load.shape.pieces import Offsets

MAX_REQUESTS = 1_000_000
CHUNK = 100_000  # arrivals made into Python numbers at a time


class Arrivals(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When and what: ``shape`` over ``duration``, which counts from the end of ``warmup``.

    The plainest form is ``rate`` alone (even arrivals; ``shape: poisson`` makes them random) with one request kind in ``requests``;
    ``mix`` takes the place of ``requests`` where several kinds share the load.
    """

    duration: Duration
    rate: Rate | None = None
    shape: Literal["constant", "poisson"] | Shape = "constant"
    requests: str = ""
    mix: Mix | None = None
    warmup: Duration = Duration.parse("0 s")

    def __post_init__(self) -> None:
        if isinstance(self.shape, str) and self.rate is None:
            raise ValueError("give `rate`, or a `shape` with its rates")
        if not isinstance(self.shape, str) and self.rate is not None:
            raise ValueError("`rate` stands beside a `shape` that has its own: leave it out")
        if bool(self.requests) == (self.mix is not None):
            raise ValueError("give exactly one of `requests` and `mix`")
        if self.duration.base <= 0:
            raise ValueError("`duration` must be longer than 0 s")
        check_window(self.shaped, self.duration.base)

    @property
    def shaped(self) -> Shape:
        """The shape, also where only a rate was given."""
        if not isinstance(self.shape, str):
            return self.shape
        assert self.rate is not None
        return Constant(rate=self.rate) if self.shape == "constant" else Poisson(rate=self.rate)

    @property
    def mixed(self) -> Mix:
        """The mix, also where only one request kind was given."""
        return self.mix or single(self.requests)

    @property
    def window(self) -> Fraction:
        """Seconds of warm-up and duration."""
        return self.warmup.base + self.duration.base


@dataclasses.dataclass(frozen=True, slots=True)
class LoadPlan:
    """Everything decided before the first request. ``choices[i]`` is the place in ``requests`` of the arrival at ``offsets[i]`` (ns)."""

    mix: Mix
    kinds: tuple[RequestKind, ...]
    requests: tuple[PlannedRequest, ...]
    principals: int
    offsets: Offsets
    choices: Indexes
    chosen: Chosen

    def rate_per_s(self, seconds: float) -> float:
        """The mean rate over that many seconds."""
        return len(self.offsets) / seconds

    def sendings(self) -> Iterator[tuple[int, str, int, int]]:
        """Each arrival: ns from the start, operation, number of the body in its pool, number of the principal among its kind's."""
        ops = [kind.op for kind in self.kinds]
        roles = [len(kind.roles) for kind in self.kinds]
        columns = (self.offsets, self.chosen.operations, self.chosen.bodies, self.chosen.principals)
        for begin in range(0, len(self.offsets), CHUNK):
            part = (column[begin : begin + CHUNK].tolist() for column in columns)
            for due, operation, body, principal in zip(*part, strict=True):
                yield due, ops[operation], body, principal % roles[operation]

    def store(self, folder: Path, step: str) -> Mapping[str, str]:
        """Write ``<step>.{offsets,choices,operations,principals}.npy``; their SHA-256 by file name. The same plan gives the same bytes."""
        parts: Mapping[str, Any] = {
            "offsets": self.offsets,
            "choices": self.choices,
            "operations": self.chosen.operations,
            "principals": self.chosen.principals,
        }
        for name, array in parts.items():
            np.save(folder / f"{step}.{name}.npy", array)
        return {f"{step}.{name}.npy": jsonio.sha256_file(folder / f"{step}.{name}.npy") for name in parts}

    def event(self, trial: str, step: str, files: Mapping[str, str]) -> LoadMixPlanned:
        """What the check ``mix`` judges by."""
        return LoadMixPlanned(
            trial=trial,
            step=step,
            operations=tuple(kind.op for kind in self.kinds),
            probabilities=tuple(self.mix.weights.tolist()),
            transitions=tuple(tuple(row) for row in self.mix.matrix.tolist()) if self.mix.transitions else (),
            principals=self.principals,
            files=files,
        )


def load_plan(parameters: Arrivals, configuration: Mapping[str, Any], project: Path, seed: int) -> LoadPlan:
    """A pure function of its arguments and the files they name. Raises ``UsageError`` for an unknown request kind, a bad pool or trace."""
    mix = parameters.mixed
    kinds = tuple(request_kind(configuration, name) for name in mix.operations)
    if len({kind.op for kind in kinds}) < len(kinds):
        raise UsageError("two request kinds of the mix have one `op`", file="harness.toml", place="[requests]", remedy="rename one `op`")
    pools = [bodies(kind, project) for kind in kinds]
    try:
        due = offsets(parameters.shaped, parameters.duration, seed, warmup=parameters.warmup, project=project)
    except ValueError as error:
        raise UsageError(str(error), place="shape", remedy="correct the scenario") from None
    principals = max(len(kind.roles) for kind in kinds)
    chosen = choose(mix, len(due), [len(pool) for pool in pools], principals, seed)
    requests, choices = _requests(mix, kinds, pools, principals, chosen)
    return LoadPlan(mix, kinds, requests, principals, due, choices, chosen)


def _requests(
    mix: Mix, kinds: tuple[RequestKind, ...], pools: list[list[bytes]], principals: int, chosen: Chosen
) -> tuple[tuple[PlannedRequest, ...], Indexes]:
    """Each combination that occurs, once, and which of them every arrival is."""
    most = max(len(pool) for pool in pools)
    roles = np.array([len(kind.roles) for kind in kinds], dtype=np.int64)[chosen.operations]
    codes = (chosen.operations.astype(np.int64) * most + chosen.bodies) * principals + chosen.principals % roles
    known, places = np.unique(codes, return_inverse=True)
    if len(known) > MAX_REQUESTS:
        raise UsageError(f"{len(known)} different requests", remedy=f"at most {MAX_REQUESTS}: fewer bodies or principals")
    hot = [operation.bodies.keys if isinstance(operation.bodies, Hot) else 0 for operation in mix.operations.values()]
    requests = []
    for code in known.tolist():
        rest, principal = divmod(code, principals)
        operation, body = divmod(rest, most)
        role = kinds[operation].roles[principal]
        key = f"hot-{body}" if body < hot[operation] else role if principals > 1 else ""
        requests.append(PlannedRequest(kind=operation, body=pools[operation][body].decode(), role=role, key=key))
    return tuple(requests), places.astype(np.int32)
