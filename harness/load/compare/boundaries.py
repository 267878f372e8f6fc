"""The critical values of the sequential test, and the script that made them: ``python -m harness.load.compare.boundaries``.

An answer is given after complete ABBA blocks only (rounds 4, 6, 8, 10, 12); in between the test says `cannot tell`, so that looking
after every round costs nothing. The share of each error rate that may be spent by round k is (k/12)^7: strict early, nearly the
full rate at the end. Found by simulation under Gaussian noise of any size (the statistic has no scale), two-sided symmetry used;
heavier tails and AR(1) noise of the machine only make the same values more careful (``scripts.bars.regression`` shows it).
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import msgspec
import numpy as np

from harness.core import jsonio
from harness.load.compare.contrast import Floats, fit, sides

PATH = Path(__file__).with_name("boundaries.json")
ROUNDS_MAX = 12
LOOKS = (4, 6, 8, 10, 12)
FALSE_ALARM = 0.00045  # promised: 0.001
FALSE_PASS = 0.005
SPENDING_POWER = 7
SEED = 20260
SIMULATIONS = 2_000_000
BATCH = 100_000


class Boundaries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Critical values by look: the first for `regressed`, the second for `not regressed`, in standard errors."""

    looks: tuple[int, ...]
    regressed: tuple[float, ...]
    not_regressed: tuple[float, ...]
    false_alarm: float
    false_pass: float
    spending_power: int
    simulations: int
    seed: int


@functools.cache
def boundaries() -> Boundaries:
    """The stored table."""
    return msgspec.json.decode(PATH.read_bytes(), type=Boundaries)


def statistics(noise: Floats) -> Floats:
    """The studentised difference at every look; ``noise`` has shape (rows, 24), the answer (rows, looks)."""
    columns = []
    for rounds in LOOKS:
        estimate, error, _ = fit(noise[:, : 2 * rounds], sides(rounds))
        columns.append(estimate / error)
    return np.stack(columns, axis=1)


def critical(values: Floats, rate: float) -> tuple[float, ...]:
    """One critical value a look, so that the share of rows above any of them so far is the rate that may be spent by then."""
    rows = len(values)
    alive = np.ones(rows, dtype=np.bool_)
    found, used = [], 0
    for column, rounds in enumerate(LOOKS):
        wanted = max(1, round(rate * (rounds / ROUNDS_MAX) ** SPENDING_POWER * rows) - used)
        current = np.where(alive, values[:, column], -np.inf)
        limit = float(np.partition(current, rows - wanted - 1)[rows - wanted - 1])
        above = current > limit
        used += int(above.sum())
        alive &= ~above
        found.append(round(limit, 4))
    return tuple(found)


def calibrate(simulations: int = SIMULATIONS, seed: int = SEED) -> Boundaries:
    """Simulate and solve; the same seed gives the same table."""
    random = np.random.default_rng(seed)
    parts = []
    for _ in range(0, simulations, BATCH):
        values = statistics(random.standard_normal((min(BATCH, simulations), 2 * ROUNDS_MAX))).astype(np.float32)
        parts += [values, -values]
    both = np.concatenate(parts).astype(np.float64)
    return Boundaries(
        looks=LOOKS,
        regressed=critical(both, FALSE_ALARM),
        not_regressed=critical(both, FALSE_PASS),
        false_alarm=FALSE_ALARM,
        false_pass=FALSE_PASS,
        spending_power=SPENDING_POWER,
        simulations=simulations,
        seed=seed,
    )


def main(arguments: list[str]) -> int:
    """Write the table to the given file, or where it is read from."""
    path = Path(arguments[0]) if arguments else PATH
    jsonio.write_atomic(path, jsonio.pretty(msgspec.to_builtins(calibrate())))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
