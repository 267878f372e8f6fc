"""When requests are meant to be sent: offsets from the start in nanoseconds, fixed before the first one.

Arrivals do not wait for answers: that is what makes the load open. The constant shape spaces them evenly; Poisson draws
exponential gaps from the plan's seed.
"""

from __future__ import annotations

import random
from typing import Literal

import numpy as np
import numpy.typing as npt

Shape = Literal["constant", "poisson"]
Offsets = npt.NDArray[np.int64]
NS = 1_000_000_000


def offsets(shape: Shape, rate_per_s: float, duration_s: float, seed: int) -> Offsets:
    """Sorted offsets in ``[0, duration)``; about ``rate × duration`` of them. Raises ``ValueError`` for a rate that is not positive."""
    if rate_per_s <= 0 or duration_s <= 0:
        raise ValueError(f"rate {rate_per_s}/s and duration {duration_s} s must be above zero")
    count = round(rate_per_s * duration_s)
    if shape == "constant":
        return (np.arange(count, dtype=np.float64) * (NS / rate_per_s)).astype(np.int64)
    generator = np.random.Generator(np.random.PCG64(seed))
    gaps = generator.exponential(NS / rate_per_s, size=count + 10 * int(count**0.5) + 16)
    times = np.cumsum(gaps).astype(np.int64)
    return times[times < int(duration_s * NS)]


def choices(count: int, pool: int, seed: int) -> npt.NDArray[np.int32]:
    """Which body each arrival carries: whole shuffled passes over the pool, so that every body gets its turn."""
    generator = random.Random(seed)
    order: list[int] = []
    while len(order) < count:
        one_pass = list(range(pool))
        generator.shuffle(one_pass)
        order.extend(one_pass)
    return np.asarray(order[:count], dtype=np.int32)
