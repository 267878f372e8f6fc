"""One alarm, exact to a tenth of a millisecond without spinning: uvloop's own timers count whole milliseconds."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Protocol

_CLOCK_MONOTONIC, _ABSOLUTE, _NONBLOCK_CLOEXEC = 1, 1, 0o2004000
NS = 1_000_000_000


class Alarm(Protocol):
    """Calls back once, at or after the moment that was set last."""

    def set(self, due_ns: int) -> None: ...


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Setting(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class KernelAlarm:
    """A ``timerfd`` of the kernel in the event loop (Linux)."""

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._settime = library.timerfd_settime
        self._descriptor: int = library.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._setting = _Setting()
        self._callback = callback
        loop.add_reader(self._descriptor, self._fire)

    def set(self, due_ns: int) -> None:
        value = self._setting.value
        value.seconds, value.nanoseconds = divmod(max(due_ns, 1), NS)
        self._settime(self._descriptor, _ABSOLUTE, ctypes.byref(self._setting), None)

    def _fire(self) -> None:
        with contextlib.suppress(BlockingIOError):  # set anew in the meantime
            os.read(self._descriptor, 8)
        self._callback()


class LoopAlarm:
    """The event loop's own timer, then yielding for the last stretch: exact too, at the price of a busy core."""

    COARSE_S = 0.0012

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop, self._callback = loop, callback
        self._due_ns = 0
        self._handle: asyncio.Handle | None = None

    def set(self, due_ns: int) -> None:
        self._due_ns = due_ns
        if self._handle is not None:
            self._handle.cancel()
        self._look()

    def _look(self) -> None:
        ahead_s = (self._due_ns - time.monotonic_ns()) / NS
        if ahead_s <= 0:
            self._handle = self._loop.call_soon(self._callback)
        elif ahead_s > self.COARSE_S:
            self._handle = self._loop.call_later(ahead_s - self.COARSE_S, self._look)
        else:
            self._handle = self._loop.call_soon(self._look)


def make_alarm(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> Alarm:
    """The best alarm of this machine."""
    return KernelAlarm(loop, callback) if sys.platform == "linux" else LoopAlarm(loop, callback)
