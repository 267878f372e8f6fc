"""Many regression tests at once, on simulated noise: the same fit and the same rule as ``judge``, for whoever doubts its error rates."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import numpy.typing as npt

from harness.load.compare.boundaries import LOOKS, ROUNDS_MAX
from harness.load.compare.contrast import Floats, fit, sides
from harness.load.compare.sequential import OPEN, codes

KINDS = ("gaussian", "ar1", "t3")


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """Of many tests: the answer's code and the round it came in (0: none by round 12), shape (rows,)."""

    codes: npt.NDArray[np.int8]
    rounds: npt.NDArray[np.int64]

    def share(self, code: int) -> float:
        """How many ended with this answer, as a share."""
        return float((self.codes == code).mean())


def noise(kind: str, rows: int, random: np.random.Generator, phi: float = 0.0) -> Floats:
    """Unit-variance noise of the machine in the order of measurement, shape (rows, 24). ``ar1``: each measurement remembers the last."""
    shape = (rows, 2 * ROUNDS_MAX)
    if kind == "gaussian":
        return random.standard_normal(shape)
    if kind == "t3":
        return random.standard_t(3, shape) / math.sqrt(3)
    if kind != "ar1":
        raise ValueError(f"unknown noise {kind!r}; one of {KINDS}")
    values = random.standard_normal(shape)
    for column in range(1, shape[1]):
        values[:, column] = phi * values[:, column - 1] + math.sqrt(1 - phi * phi) * values[:, column]
    return values


def side_memory(rows: int, random: np.random.Generator, phi: float) -> Floats:
    """Noise that interleaving cannot cancel: each *side* remembers its own last measurement and not the other's. Shape (rows, 24)."""
    order = sides(ROUNDS_MAX)
    values = np.empty((rows, 2 * ROUNDS_MAX))
    for side in (0, 1):
        own = noise("ar1", rows, random, phi)[:, :ROUNDS_MAX]
        values[:, order == side] = own
    return values


def answers(noises: Floats, gate: float, change: float = 0.0) -> Course:
    """Run all tests over their rounds. ``noises``: logarithms in the order of measurement; ``change``: what B really is slower, a share."""
    logs = noises + math.log1p(change) * sides(ROUNDS_MAX)[None, :]
    ended = np.full(len(logs), OPEN, dtype=np.int8)
    when = np.zeros(len(logs), dtype=np.int64)
    for look, rounds in enumerate(LOOKS):
        estimate, error, _ = fit(logs[:, : 2 * rounds], sides(rounds))
        now = np.where(ended == OPEN, codes(estimate, error, look, gate), OPEN).astype(np.int8)
        when[now != OPEN] = rounds
        ended = np.where(now != OPEN, now, ended).astype(np.int8)
    return Course(ended, when)
