"""The built-in control: the same work every time, timed beside each measurement. What changes its time is the machine, not A or B."""

from __future__ import annotations

import hashlib
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

NAME = "fixed work (hash, sort, system calls)"
REPEATS = 9
_BLOCK = bytes(range(256)) * (1 << 14)  # 4 MiB
_NUMBERS = tuple(random.Random(7).sample(range(1_000_000), 40_000))
_CALLS = 2_000
_HERE = Path(__file__)


def fixed_work() -> None:
    """About 20 ms of memory, computing and kernel work."""
    hashlib.sha256(_BLOCK).digest()
    sorted(_NUMBERS)
    for _ in range(_CALLS):
        _HERE.stat()


def timed_work(clock: Callable[[], int] = time.perf_counter_ns, work: Callable[[], None] = fixed_work) -> float:
    """The median time of a few repeats, seconds; always above 0."""
    spent = []
    for _ in range(REPEATS):
        began = clock()
        work()
        spent.append(clock() - began)
    return max(statistics.median(spent), 1) / 1e9
