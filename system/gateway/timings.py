"""Where the time of each recent request went: a bounded ring of spans, given out to operators at ``GET /v1/timings``.

Kept beside the spans of requests: what stopped the whole process, its garbage collector and its event loop (an empty request id).
Everything here happens in the event loop, so nothing is locked; an entry is encoded once, when its request ends, and a page only joins.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import gc
import itertools
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, Final

import msgspec

from system.platform.stages import Span

PATH: Final = "/v1/timings"
ENTRIES_MAX: Final = 10_000  # about 14 MB
TURN_S: Final = 0.02  # how often the event loop is looked at
LATE_NS: Final = 5_000_000  # a turn this late is kept
PAUSE_NS: Final = 1_000_000  # a garbage collection this long is kept
PAUSES_MAX: Final = 1_000
WHOLE: Final = "gateway"  # the stage around all others
HANDLER: Final = "handler"  # the stage in which a route does its work


class _Entry(msgspec.Struct, frozen=True):
    sequence: int
    request_id: str
    spans: Sequence[Span]


class Timings:
    """The newest entries of this process, numbered from 1 without gaps."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self.process = f"gateway {os.getpid()}"
        self._numbers = itertools.count(1)
        self._last = 0
        self._ring: collections.deque[bytes] = collections.deque(maxlen=entries_max)
        self._encoder = msgspec.json.Encoder()

    def keep(self, request_id: str, spans: Sequence[Span]) -> None:
        self._last = next(self._numbers)
        self._ring.append(self._encoder.encode(_Entry(self._last, request_id, spans)))

    def page(self, after: int, limit: int) -> bytes:
        """At most ``limit`` entries behind number ``after``, oldest first, as JSON; ``first`` and ``last`` bound what is still there."""
        first = self._last - len(self._ring) + 1
        skipped = max(0, after - first + 1)
        chosen = itertools.islice(self._ring, skipped, skipped + limit)
        head = msgspec.json.encode({"process": self.process, "now_ns": time.monotonic_ns(), "first": first, "last": self._last})
        return head[:-1] + b',"entries":[' + b",".join(chosen) + b"]}"


def request_spans(noted: Sequence[Span], arrived_ns: int, answered_ns: int, ended_ns: int) -> Sequence[Span]:
    """What was noted, and around it: the whole, the wait for a handler, the making of the answer, its sending. 0: never answered."""
    within = [msgspec.structs.replace(span, parent=span.parent or WHOLE) for span in noted]
    spans = [Span(WHOLE, arrived_ns, ended_ns - arrived_ns), *within]
    handlers = [span for span in noted if span.stage == HANDLER]
    if handlers:
        began = min(span.start_ns for span in handlers)
        ended = max(span.start_ns + span.duration_ns for span in handlers)
        spans.append(Span("queue", arrived_ns, began - arrived_ns, WHOLE))
        if answered_ns:
            spans.append(Span("serialise", ended, answered_ns - ended, WHOLE))
            spans.append(Span("send", answered_ns, ended_ns - answered_ns, WHOLE))
    return [span for span in spans if span.duration_ns >= 0]


@contextlib.asynccontextmanager
async def watching(timings: Timings) -> AsyncIterator[None]:
    """While this is open, long garbage collections and late turns of the event loop are kept."""
    pauses: collections.deque[Span] = collections.deque(maxlen=PAUSES_MAX)
    collecting = _Collections(pauses)
    gc.callbacks.append(collecting)
    watch = asyncio.create_task(_watch(timings, pauses))
    try:
        yield
    finally:
        watch.cancel()
        gc.callbacks.remove(collecting)


class _Collections:
    """Called by the garbage collector, in any thread, at any moment: it only appends."""

    def __init__(self, pauses: collections.deque[Span]) -> None:
        self._pauses, self._began_ns = pauses, 0

    def __call__(self, phase: str, _info: dict[str, Any]) -> None:
        now_ns = time.monotonic_ns()
        if phase == "start":
            self._began_ns = now_ns
        elif self._began_ns and now_ns - self._began_ns >= PAUSE_NS:
            self._pauses.append(Span("gc", self._began_ns, now_ns - self._began_ns))


async def _watch(timings: Timings, pauses: collections.deque[Span]) -> None:
    while True:
        due_ns = time.monotonic_ns() + round(TURN_S * 1e9)
        await asyncio.sleep(TURN_S)
        late_ns = time.monotonic_ns() - due_ns
        spans = [pauses.popleft() for _ in range(len(pauses))]
        if late_ns >= LATE_NS:
            spans.append(Span("event_loop", due_ns, late_ns))
        if spans:
            timings.keep("", spans)


def is_kept(path: str, skipped: Iterable[str] = (PATH,)) -> bool:
    """Whether requests to this path are kept: those of the API, reading the timings themselves excepted."""
    return path.startswith("/v1/") and path not in skipped
