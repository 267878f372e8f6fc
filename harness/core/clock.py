"""Time: the only place of ``harness`` that reads a clock. ``FakeClock`` is public test API."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000


class Cancel(Protocol):
    """What a wait can be ended by; ``threading.Event`` is one."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Clock(Protocol):
    """Monotonic time for measuring, wall time for people, and a wait that can be cancelled."""

    def monotonic_ns(self) -> int: ...
    def wall(self) -> str: ...
    def wait(self, seconds: float, cancel: Cancel | None = None) -> bool:
        """Wait; True when ``cancel`` ended it early (or was set before)."""


def iso_utc(moment: dt.datetime) -> str:
    """ISO 8601 with microseconds and Z."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class SystemClock:
    """CLOCK_MONOTONIC (comparable between processes of one machine) and UTC."""

    __slots__ = ()

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall(self) -> str:
        return iso_utc(dt.datetime.now(dt.UTC))

    def wait(self, seconds: float, cancel: Cancel | None = None) -> bool:
        if cancel is None:
            time.sleep(max(0.0, seconds))
            return False
        return cancel.wait(max(0.0, seconds))


class FakeClock:
    """A clock that moves only when told, or by the length of every wait when ``autojump``."""

    def __init__(self, start_ns: int = 0, *, autojump: bool = True) -> None:
        self._now_ns = start_ns
        self._epoch = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self._autojump = autojump
        self._moved = threading.Condition()

    def monotonic_ns(self) -> int:
        with self._moved:
            return self._now_ns

    def wall(self) -> str:
        return iso_utc(self._epoch + dt.timedelta(microseconds=self.monotonic_ns() / 1_000))

    def advance(self, seconds: float) -> None:
        """Move on; waits that end before are released."""
        with self._moved:
            self._now_ns += round(seconds * NS_PER_S)
            self._moved.notify_all()

    def wait(self, seconds: float, cancel: Cancel | None = None) -> bool:
        if cancel is not None and cancel.is_set():
            return True
        if self._autojump:
            self.advance(seconds)
            return cancel is not None and cancel.is_set()
        return self._wait_for_advance(self.monotonic_ns() + round(seconds * NS_PER_S), cancel)

    def _wait_for_advance(self, until_ns: int, cancel: Cancel | None) -> bool:
        with self._moved:
            while self._now_ns < until_ns:
                if cancel is not None and cancel.is_set():
                    return True
                self._moved.wait(0.01)  # real time only bounds how late a cancel is seen
        return False
