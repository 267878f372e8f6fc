"""Requests do their work in threads; how many at once is bounded here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import anyio.to_thread

from system.platform.stages import stage

Result = TypeVar("Result")
THREADS = 24  # requests at work at once; further ones wait in the event loop


def allow_threads() -> None:
    """Set the bound; called once in the event loop."""
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS


async def in_thread(call: Callable[..., Result], *arguments: Any) -> Result:
    """``call(*arguments)`` in a thread of the pool."""
    return await anyio.to_thread.run_sync(functools.partial(_handled, call, *arguments))


def _handled(call: Callable[..., Result], *arguments: Any) -> Result:
    with stage("handler"):
        return call(*arguments)
