"""Continuous batching: waiting texts share inferences, short requests pass between the parts of long ones.

All state belongs to the event loop; only the inference itself runs in threads. A lone short text starts at once. Once a worker
is busy, an idle one waits ``window_s`` for companions before it takes short texts, so requests that arrive together share one
inference; everything that arrives during an inference shares the next. Big requests are served in parts, in turn, and never
hold a worker longer than one part (16 short texts or one long one).
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from system.models.encoder import SHARED_TEXTS, SHARED_TOKENS, TokenIds, batches, can_share

Infer = Callable[[Sequence[TokenIds]], Sequence[bytes]]
Observe = Callable[[int, float], None]  # texts in the inference, seconds it took

_URGENT_TEXTS = 4  # a request of at most so many short texts is a query, not a batch of documents
_URGENT_TURNS = 8  # urgent inferences in a row, while long work waits
_SCAN_TEXTS = 128  # how far ahead companions of one padded length are looked for


class Overloaded(Exception):
    """The queue is full; ``retry_after_s`` is how long the work already waiting should take."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the queue is full; retry after {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the scheduler."""

    workers: int = min(2, os.cpu_count() or 1)
    waiting_texts: int = 1024
    window_s: float = 0.002


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Item:
    ids: TokenIds
    result: asyncio.Future[bytes]


class Scheduler:
    """Queues texts and runs them; use ``submit`` while ``run`` runs."""

    def __init__(self, infer: Infer, limits: Limits, observe: Observe = lambda _texts, _seconds: None) -> None:
        self._infer = infer
        self._limits = limits
        self._observe = observe
        self._urgent: deque[_Item] = deque()
        self._long: deque[deque[list[_Item]]] = deque()  # requests, each a queue of ready batches
        self._waiting = 0
        self._busy = 0
        self._urgent_turns = 0
        self._seconds_per_text = 0.03
        self._arrived = asyncio.Event()

    @property
    def waiting(self) -> int:
        return self._waiting

    def check_room(self, texts: int) -> None:
        """Raises ``Overloaded`` when ``texts`` more do not fit; an idle scheduler takes any single request."""
        if texts and self._waiting and self._waiting + texts > self._limits.waiting_texts:
            seconds = self._waiting * self._seconds_per_text / self._limits.workers
            raise Overloaded(min(30, max(1, round(seconds))))

    def submit(self, texts: Sequence[TokenIds], *, bounded: bool = True) -> list[asyncio.Future[bytes]]:
        """One future a text, in order; cancel them when nobody waits any more. Raises ``Overloaded`` where ``bounded``."""
        if bounded:
            self.check_room(len(texts))
        loop = asyncio.get_running_loop()
        items = [_Item(ids, loop.create_future()) for ids in texts]
        if len(items) <= _URGENT_TEXTS and all(len(item.ids) <= SHARED_TOKENS for item in items):
            self._urgent.extend(items)
        else:
            self._long.append(deque([items[position] for position in batch] for batch in batches(texts)))
        self._waiting += len(items)
        self._arrived.set()
        return [item.result for item in items]

    async def run(self) -> None:
        """Serve until cancelled; what still waits is then cancelled."""
        with ThreadPoolExecutor(self._limits.workers, thread_name_prefix="inference") as pool:
            try:
                async with asyncio.TaskGroup() as group:
                    for _ in range(self._limits.workers):
                        group.create_task(self._work(pool))
            finally:
                self._cancel_waiting()

    async def _work(self, pool: ThreadPoolExecutor) -> None:
        while True:
            while not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
            if self._urgent and self._busy and len(self._urgent) < SHARED_TEXTS:
                await asyncio.sleep(self._limits.window_s)
            if batch := self._take():
                await self._run_batch(pool, batch)

    async def _run_batch(self, pool: ThreadPoolExecutor, batch: Sequence[_Item]) -> None:
        self._busy += 1
        started = time.perf_counter()
        try:
            running = asyncio.get_running_loop().run_in_executor(pool, self._infer, [item.ids for item in batch])
            await asyncio.wait([running])
        finally:
            self._busy -= 1
            if not running.done():  # the server stops: nobody will deliver
                _cancel(batch)
        seconds = time.perf_counter() - started
        self._seconds_per_text += 0.1 * (seconds / len(batch) - self._seconds_per_text)
        self._observe(len(batch), seconds)
        _deliver(batch, running)

    def _take(self) -> list[_Item]:
        """The next inference's items; empty when all were cancelled or another worker was faster."""
        urgent = bool(self._urgent) and not (self._long and self._urgent_turns >= _URGENT_TURNS)
        self._urgent_turns = self._urgent_turns + 1 if urgent else 0
        batch = self._take_urgent() if urgent else self._take_long()
        self._waiting -= len(batch)
        return [item for item in batch if not item.result.done()]

    def _take_urgent(self) -> list[_Item]:
        batch = [self._urgent.popleft()]
        passed: list[_Item] = []
        for _ in range(min(len(self._urgent), _SCAN_TEXTS)):
            item = self._urgent.popleft()
            (batch if can_share(batch[0].ids, item.ids, len(batch)) else passed).append(item)
        self._urgent.extendleft(reversed(passed))
        return batch

    def _take_long(self) -> list[_Item]:
        if not self._long:
            return []
        request = self._long.popleft()
        batch = request.popleft()
        if request:
            self._long.append(request)  # the next part waits its turn behind the other requests
        return batch

    def _cancel_waiting(self) -> None:
        _cancel([*self._urgent, *(item for request in self._long for batch in request for item in batch)])
        self._urgent.clear()
        self._long.clear()
        self._waiting = 0


def _cancel(items: Sequence[_Item]) -> None:
    for item in items:
        item.result.cancel()


def _deliver(batch: Sequence[_Item], running: asyncio.Future[Sequence[bytes]]) -> None:
    error = running.exception()
    vectors = [b""] * len(batch) if error else running.result()
    for item, vector in zip(batch, vectors, strict=True):
        if item.result.done():
            continue
        if error:
            item.result.set_exception(error)
        else:
            item.result.set_result(vector)
