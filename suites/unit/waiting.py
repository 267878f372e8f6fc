"""Waiting for a condition with a deadline: the only place in these tests that sleeps, between two questions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

POLL_S = 0.01


def reached(condition: Callable[[], object], deadline_s: float = 5.0) -> bool:
    """Whether ``condition`` holds within ``deadline_s`` seconds; what it raises ends the wait."""
    until = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(POLL_S)
    return True


def wait_for(condition: Callable[[], object], deadline_s: float = 60.0, what: object = "the condition") -> None:
    """Wait for ``condition``; the test fails at the deadline, naming ``what`` it waited for."""
    assert reached(condition, deadline_s), f"waited {deadline_s:g} s in vain for {what}"


async def until(condition: Callable[[], bool], deadline_s: float = 10.0) -> None:
    """The same in an event loop; ``TimeoutError`` at the deadline."""
    async with asyncio.timeout(deadline_s):
        while not condition():  # noqa: ASYNC110 - the condition belongs to another thread
            await asyncio.sleep(POLL_S / 10)
