"""What an engine process watches of itself: CPU, pauses of the garbage collector, memory."""

from __future__ import annotations

import gc
import resource
import sys
import time
from typing import Any

PAUSE_KEPT_S = 0.001
PAUSES_KEPT = 1_000


class Watch:
    """From ``begin`` to ``end``. ``pauses`` are the long ones of the garbage collector: (start, duration), ns."""

    def __init__(self) -> None:
        self.gc_pauses = 0
        self.pauses: list[tuple[int, int]] = []
        self.gc_total_s = self.gc_max_s = self.cpu_share = 0.0
        self._gc_began = self._cpu = self._wall = 0.0

    def begin(self) -> None:
        gc.callbacks.append(self._collecting)
        self._cpu, self._wall = time.process_time(), time.monotonic()

    def end(self, spun_s: float = 0.0) -> None:
        """``spun_s``: CPU time that was only spent waiting; it does not count as busy."""
        self.cpu_share = (time.process_time() - self._cpu - spun_s) / max(time.monotonic() - self._wall, 1e-9)
        gc.callbacks.remove(self._collecting)

    def _collecting(self, phase: str, _info: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_began = time.perf_counter()
            return
        pause = time.perf_counter() - self._gc_began
        self.gc_pauses += 1
        self.gc_total_s += pause
        self.gc_max_s = max(self.gc_max_s, pause)
        if pause >= PAUSE_KEPT_S and len(self.pauses) < PAUSES_KEPT:
            self.pauses.append((time.monotonic_ns() - round(pause * 1e9), round(pause * 1e9)))


def peak_rss_bytes() -> int:
    """The most memory this process had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def raise_file_limit(wanted: int) -> int:
    """As many open files as the hard limit allows, at most ``wanted``; what there is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return wanted if soft == resource.RLIM_INFINITY else soft
