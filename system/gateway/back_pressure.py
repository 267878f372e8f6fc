"""Back-pressure: when retrieve is too slow for too long, it does less until it is well again.

Time is cut into windows. A window is *breached* when its p95 is above the limit; three in a row begin **overload mode**: no reranking,
fewer candidates a retriever, fewer results, fusion by rank (RRF, DESIGN §10). That makes answers fast again, so fast answers alone
cannot say that the trouble is over: the first request of every window, and every fiftieth after it, is a *probe* that gets the full
treatment. Overload mode ends after three healthy windows in a row: p95 of the others within the limit, and every probe too.
So the mode never changes faster than three windows, does not flap while the cause stays, and ends by itself when it has gone.

What counts is the time since the request came in, its wait for a thread included. Requests still at work for longer than the limit
count as slow ones when a window closes: a standstill is seen although nobody answers. A refusal faster than the limit does not
count at all: fast 503s would make p95 look well.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping

from system.platform.errors import BadInput

LOG = logging.getLogger("system.gateway")
QUANTILE = 0.95
KEPT_MAX = 100_000  # durations of one window; further ones are left out of its p95
VARIABLES = {
    "limit_s": "EH_BACK_PRESSURE_LIMIT_S",
    "window_s": "EH_BACK_PRESSURE_WINDOW_S",
    "breached": "EH_BACK_PRESSURE_BREACHED",
    "healthy": "EH_BACK_PRESSURE_HEALTHY",
    "requests_min": "EH_BACK_PRESSURE_REQUESTS_MIN",
}


class Mode(enum.StrEnum):
    """How a request is served."""

    NORMAL = "normal"
    OVERLOAD = "overload"
    PROBE = "probe"  # served in full although the mode is overload


@dataclasses.dataclass(frozen=True, slots=True)
class PressureSettings:
    """When overload mode begins and ends. ``requests_min``: a window with fewer is no reason to begin it."""

    limit_s: float = 0.9
    window_s: float = 5.0
    breached: int = 3
    healthy: int = 3
    requests_min: int = 20
    probe_every: int = 50

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> PressureSettings:
        """From EH_BACK_PRESSURE_* variables; raises ``BadInput`` naming the one that is wrong."""
        given: dict[str, float | int] = {}
        for field, name in VARIABLES.items():
            if name in environ:
                given[field] = _positive(name, environ[name], whole=not field.endswith("_s"))
        return cls(**given)  # type: ignore[arg-type]  # the loop above reads each by its kind


def _positive(name: str, raw: str, *, whole: bool) -> float | int:
    try:
        value: float | int = int(raw) if whole else float(raw)
    except ValueError:
        value = 0
    if not 0 < value < math.inf:
        kind = "a whole number above 0" if whole else "seconds above 0"
        raise BadInput(f"{name} is {raw!r}", f"environment variable {name}", f"give {kind}")
    return value


@dataclasses.dataclass(frozen=True, slots=True)
class Ticket:
    """One request at work."""

    number: int
    came_s: float
    mode: Mode


class BackPressure:
    """The mode of this process. Thread-safe; ``clock`` gives seconds and never goes back."""

    def __init__(
        self,
        settings: PressureSettings | None = None,
        clock: Callable[[], float] = time.monotonic,
        changed: Callable[[Mode], None] = lambda _mode: None,
    ) -> None:
        self.settings = settings or PressureSettings()
        self._clock, self._changed = clock, changed
        self._lock = threading.Lock()
        self._mode = Mode.NORMAL
        self._streak = 0  # breached windows in normal mode, healthy ones in overload mode
        self._window = math.floor(clock() / self.settings.window_s)
        self._number = self._asked = 0
        self._durations: list[float] = []
        self._probes: list[float] = []
        self._working: dict[int, Ticket] = {}

    @property
    def mode(self) -> Mode:
        """``normal`` or ``overload``, as of now."""
        with self._lock:
            self._close_windows()
            return self._mode

    def begin(self, came_s: float | None = None) -> Ticket:
        """A request begins; ``came_s`` is when it came in, by the same clock. How it is to be served stands in the ticket."""
        with self._lock:
            self._close_windows()
            self._number += 1
            mode = self._mode
            if mode is Mode.OVERLOAD:
                mode = Mode.PROBE if self._asked % self.settings.probe_every == 0 else mode
                self._asked += 1
            ticket = Ticket(self._number, self._clock() if came_s is None else came_s, mode)
            self._working[ticket.number] = ticket
            return ticket

    def end(self, ticket: Ticket, *, answered: bool) -> None:
        """It has ended: with an answer, or with a refusal that only counts when it took long."""
        with self._lock:
            self._close_windows()
            if self._working.pop(ticket.number, None) is None:
                return
            took_s = self._clock() - ticket.came_s
            if answered or took_s > self.settings.limit_s:
                self._count(ticket.mode, took_s)

    def _count(self, mode: Mode, took_s: float) -> None:
        kept = self._probes if mode is Mode.PROBE else self._durations
        if len(kept) < KEPT_MAX:
            kept.append(took_s)

    def _close_windows(self) -> None:
        """Judge every window that has ended; after a long silence only as many idle ones as could change anything."""
        now = math.floor(self._clock() / self.settings.window_s)
        passed = now - self._window
        if passed <= 0:
            return
        self._window = now
        for _ in range(min(passed, 1 + self.settings.breached + self.settings.healthy)):
            self._close_one()

    def _close_one(self) -> None:
        self._count_standing()
        if self._mode is Mode.NORMAL:
            self._streak = self._streak + 1 if self._breached() else 0
            if self._streak >= self.settings.breached:
                self._turn(Mode.OVERLOAD)
        else:
            self._streak = self._streak + 1 if self._healthy() else 0
            if self._streak >= self.settings.healthy:
                self._turn(Mode.NORMAL)
        self._durations, self._probes, self._asked = [], [], 0

    def _count_standing(self) -> None:
        now_s = self._clock()
        for ticket in self._working.values():
            if now_s - ticket.came_s > self.settings.limit_s:
                self._count(ticket.mode, math.inf)

    def _breached(self) -> bool:
        return len(self._durations) >= self.settings.requests_min and self._p95() > self.settings.limit_s

    def _healthy(self) -> bool:
        """A window that nobody asked anything in is healthy too: else the next visitor would find it degraded for ever."""
        return (not self._durations or self._p95() <= self.settings.limit_s) and all(one <= self.settings.limit_s for one in self._probes)

    def _p95(self) -> float:
        """Nearest rank."""
        ordered = sorted(self._durations)
        return ordered[max(1, math.ceil(QUANTILE * len(ordered))) - 1]

    def _turn(self, mode: Mode) -> None:
        self._mode, self._streak = mode, 0
        slow = sum(one > self.settings.limit_s for one in (*self._durations, *self._probes))
        LOG.warning("back-pressure: %s mode; %d requests of the last window took more than %g s", mode.value, slow, self.settings.limit_s)
        self._changed(mode)
