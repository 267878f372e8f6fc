"""When arrivals are due: one timer for all streams of a process, and whatever is due by then is started in one turn of the loop.

uvloop's timers count milliseconds. On Linux the alarm is a ``timerfd``: it wakes the loop on time and costs no spinning, so that the
CPU share of the generator says how busy it is, and the system under test keeps the other cycles. Elsewhere the last stretch is spun.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Protocol

now_ns = time.monotonic_ns
NS = 1_000_000_000
GATHER_NS = 100_000  # arrivals nearer together than this are started together: 10,000 wake-ups a second are enough
TURN_MAX = 64  # arrivals a turn: answers are read in between, also when there is much to catch up
SPIN_NS = 1_200_000  # before the millisecond timers of the loop could be late
EMPTY_TURN_NS = 20_000  # a turn of the loop that found nothing to do
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
_NONBLOCK = os.O_NONBLOCK
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class Alarm(Protocol):
    """Calls back at a time of CLOCK_MONOTONIC; only the last setting counts. ``spun_ns`` is CPU time that was only spent waiting."""

    spun_ns: int

    def set(self, at_ns: int) -> None: ...
    def close(self) -> None: ...


class _Spec(ctypes.Structure):
    """``struct itimerspec``."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]
    value_s: int
    value_ns: int


class TimerfdAlarm:
    """A timer of the kernel as a file descriptor; setting it again also withdraws an expiry that nobody has read."""

    spun_ns = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._fd: int = library.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK | _CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._settime = library.timerfd_settime
        self._spec = _Spec()
        self._reference = ctypes.byref(self._spec)
        self._loop = loop
        loop.add_reader(self._fd, call)

    def set(self, at_ns: int) -> None:
        spec = self._spec
        spec.value_s, spec.value_ns = divmod(max(at_ns, 1), NS)  # 0 would disarm it
        if self._settime(self._fd, _ABSOLUTE, self._reference, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def close(self) -> None:
        """May be called again: by then the number of the descriptor may be somebody else's."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1


class SpinningAlarm:
    """The loop's own timer, then turns of the loop until it is time."""

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
        self._loop, self._call = loop, call
        self._handle: asyncio.Handle | None = None
        self._turned_ns = 0
        self.spun_ns = 0

    def set(self, at_ns: int) -> None:
        self.close()
        self._aim(at_ns)

    def _aim(self, at_ns: int) -> None:
        now = now_ns()
        ahead = at_ns - now
        if ahead > SPIN_NS:
            self._handle = self._loop.call_later((ahead - SPIN_NS) / NS, self._aim, at_ns)
        elif ahead > 0:
            self._count_turn(now)
            self._handle = self._loop.call_soon(self._aim, at_ns)
        else:
            self._handle = self._loop.call_soon(self._call)

    def _count_turn(self, now: int) -> None:
        """A turn this short did nothing else: the generator was not busy."""
        turn = now - self._turned_ns
        self.spun_ns += turn if turn < EMPTY_TURN_NS else 0
        self._turned_ns = now

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


def alarm(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> Alarm:
    """The best this platform has."""
    return TimerfdAlarm(loop, call) if sys.platform == "linux" else SpinningAlarm(loop, call)


class Stream:
    """Arrivals of one lane: ``arrive(index)`` is called for each at its due time, in order, none left out."""

    __slots__ = ("arrive", "count", "due_ns", "next")

    def __init__(self, offsets_ns: Sequence[int], arrive: Callable[[int], None]) -> None:
        self.due_ns, self.count, self.arrive = offsets_ns, len(offsets_ns), arrive
        self.next = 0


class Pacer:
    """Walks the streams; ``done`` is set when all arrivals have been started. Late ones are caught up at once, never dropped."""

    def __init__(self, start_ns: int, streams: Sequence[Stream], make_alarm: Callable[..., Alarm] = alarm) -> None:
        self._start_ns = start_ns
        self._streams = [stream for stream in streams if stream.count]
        self._loop = asyncio.get_running_loop()
        self._alarm = make_alarm(self._loop, self._turn)
        self.done = asyncio.Event()
        self._aim(now_ns())

    def _turn(self) -> None:
        now = now_ns()
        elapsed = now - self._start_ns
        for stream in self._streams:
            due, index, arrive = stream.due_ns, stream.next, stream.arrive
            last = min(index + TURN_MAX, stream.count)
            while index < last and due[index] <= elapsed:
                stream.next = index + 1
                arrive(index)
                index += 1
        self._aim(now)

    def _aim(self, now: int) -> None:
        """Set the alarm for what comes next."""
        following = [stream.due_ns[stream.next] for stream in self._streams if stream.next < stream.count]
        if following:
            self._alarm.set(max(self._start_ns + min(following), now + GATHER_NS))
        else:
            self.close()
            self.done.set()

    def stop(self) -> None:
        """Start what is due by now and nothing more: the plan ends here."""
        elapsed = now_ns() - self._start_ns
        for stream in self._streams:
            while stream.next < stream.count and stream.due_ns[stream.next] <= elapsed:
                stream.next += 1
                stream.arrive(stream.next - 1)
        self.close()
        self.done.set()

    @property
    def spun_s(self) -> float:
        """CPU time that was only spent waiting."""
        return self._alarm.spun_ns / NS

    def close(self) -> None:
        """Start nothing more."""
        self._streams = []
        self._alarm.close()
