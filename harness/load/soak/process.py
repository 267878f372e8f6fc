"""A small process that leaks at a known rate, or only looks like it (``python -m``): what the real-process proof samples.

Every tick it makes garbage and frees it (a saw-tooth of some MB) and keeps its share of the leak for ever. It ends after its time,
or with its parent. Memory is touched, so that it is resident.
"""

from __future__ import annotations

import argparse
import mmap
import os
import random
import sys
import time

MB = 1_000_000
TICK_S = 0.25
GARBAGE_MB = (2, 12)
CYCLE = 24  # ticks


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--leak-mb-per-hour", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    chance, parent, began = random.Random(options.seed), os.getppid(), time.monotonic()
    kept: list[mmap.mmap] = []  # pages of their own: what is kept does not depend on how the allocator places the garbage
    garbage: list[bytearray] = []
    owed = 0.0
    last = began
    while (now := time.monotonic()) - began < options.seconds and os.getppid() == parent:
        owed += options.leak_mb_per_hour * MB * (now - last) / 3600
        last = now
        if owed >= MB:
            pages = mmap.mmap(-1, int(owed))
            pages.write(b"x" * int(owed))
            kept.append(pages)
            owed -= int(owed)
        garbage.append(bytearray(b"x" * (chance.randint(*GARBAGE_MB) * MB // 4)))
        if len(garbage) >= CYCLE:
            garbage.clear()
        time.sleep(TICK_S)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
