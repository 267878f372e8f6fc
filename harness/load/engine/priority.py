"""The priority of an engine process: an arrival that is due should not wait until another process has used up its time.

An ordinary process that wakes up may wait milliseconds for its core, also on a machine that is nearly idle: for a thread of the
kernel, or for the thread of its own that writes the samples. At the lowest real-time priority it does not. Where the system allows
none (Linux: ``ulimit -r`` is 0 and the user is not root; macOS) the engine runs as it is, and the schedule lag says what that costs.
"""

from __future__ import annotations

import contextlib
import os

LOWEST = 1  # of the real-time priorities: above all ordinary processes, below all other real-time ones


def take_realtime() -> None:
    """Ask for it, for the calling thread only: threads and processes that it starts are ordinary ones."""
    if hasattr(os, "sched_setscheduler"):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(LOWEST))


def is_realtime() -> bool:
    """Whether the calling thread has it."""
    return hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
