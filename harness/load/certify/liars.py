"""The gallery of lying engines, each a common way to hide a stall; small, and real: they send real requests.

``python -m harness.load.certify.liars KIND PLAN.json`` is started by the certificate only, to show that it rejects them. A liar asks
its target for the token in EH_REFERENCE_TOKEN first and refuses to load anything else than that reference server.
``honest`` does the same work without the lie: the control that shows that it is the lie which is rejected.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec
import uvloop

from harness.load.certify.engines import Reported
from harness.load.certify.truth import figures

WORKERS = 50  # of the engines that have workers: more than twice what an undisturbed server needs at 1,000/s
CAP_MS = 1000.0
GIVE_UP_S = 1.0
now_ns = time.monotonic_ns


class LiarPlan(msgspec.Struct, frozen=True):
    """What is to be sent: ``count`` requests, ``period_ns`` apart, from ``lead_s`` after the start of the process."""

    host: str
    port: int
    group: str
    count: int
    period_ns: float
    duration_s: float
    lead_s: float


class Wire(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._data = b""
        self.open = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("the server closed the connection"))

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if found and len(body) >= int(head.rpartition(b"Content-Length: ")[2].partition(b"\r\n")[0]):
            self._data = b""
            if self._answer is not None and not self._answer.done():
                self._answer.set_result(body)

    async def ask(self, path: str, request_id: str) -> bytes:
        """The body of the answer; raises ``ConnectionError`` where there is none."""
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: reference\r\nX-Request-ID: {request_id}\r\n\r\n".encode())
        return await self._answer

    def close(self) -> None:
        self.open = False
        if self._transport is not None:
            self._transport.abort()


class Work:
    """The plan at work: connections, and what the engine chose to remember."""

    def __init__(self, plan: LiarPlan) -> None:
        self.plan = plan
        self.start_ns = now_ns() + round(plan.lead_s * 1e9)
        self.end_ns = self.start_ns + round(plan.duration_s * 1e9)
        self.kept_ms: list[float] = []
        self._idle: list[Wire] = []

    def due_ns(self, number: int) -> int:
        return self.start_ns + int(number * self.plan.period_ns)

    async def until(self, due_ns: int) -> None:
        if (ahead_s := (due_ns - now_ns()) / 1e9) > 0:
            await asyncio.sleep(ahead_s)

    async def send(self, number: int) -> None:
        """One request on an idle or new connection; returns when it was answered. Cancelled: the connection is given up."""
        wire = await self._wire()
        try:
            await wire.ask("/", f"{self.plan.group}-{number:08d}")
        except BaseException:
            wire.close()
            raise
        self._idle.append(wire)

    def keep(self, from_ns: int) -> None:
        self.kept_ms.append((now_ns() - from_ns) / 1e6)

    async def at_their_times(self, arrive: Callable[[int], Awaitable[None]]) -> None:
        """Start ``arrive(number)`` for every request when it is due, and wait for all of them."""
        tasks = []
        for number in range(self.plan.count):
            await self.until(self.due_ns(number))
            tasks.append(asyncio.ensure_future(arrive(number)))
        await asyncio.gather(*tasks, return_exceptions=True)

    async def of_workers(self, worker: Callable[[int], Awaitable[None]]) -> None:
        await asyncio.gather(*(worker(number) for number in range(WORKERS)), return_exceptions=True)

    async def _wire(self) -> Wire:
        while self._idle:
            wire = self._idle.pop()
            if wire.open:
                return wire
        _, wire = await asyncio.get_running_loop().create_connection(Wire, self.plan.host, self.plan.port)
        return wire


async def honest(work: Work) -> None:
    """No lie: open, from the intended start, everything kept."""

    async def arrive(number: int) -> None:
        await work.send(number)
        work.keep(work.due_ns(number))

    await work.at_their_times(arrive)


async def from_send(work: Work) -> None:
    """Latency from the send: workers with a schedule of their own send late after a stall and start their watches then."""

    async def worker(first: int) -> None:
        for number in range(first, work.plan.count, WORKERS):
            await work.until(work.due_ns(number))
            sent_ns = now_ns()
            await work.send(number)
            work.keep(sent_ns)

    await work.of_workers(worker)


async def drop_when_busy(work: Work) -> None:
    """Drop when busy: an arrival that finds no free worker is forgotten."""
    busy = 0

    async def arrive(number: int) -> None:
        nonlocal busy
        if busy >= WORKERS:
            return
        busy += 1
        try:
            await work.send(number)
            work.keep(work.due_ns(number))
        finally:
            busy -= 1

    await work.at_their_times(arrive)


async def closed_loop(work: Work) -> None:
    """Closed loop: a worker sends its next request a pause after its last answer, so that a slow server gets less load."""
    pause_ns = work.plan.period_ns * WORKERS
    numbers = iter(range(work.plan.count))

    async def worker(index: int) -> None:
        await work.until(work.due_ns(index))
        while now_ns() < work.end_ns:
            sent_ns = now_ns()
            await work.send(next(numbers))
            work.keep(sent_ns)
            await work.until(int(sent_ns + pause_ns))

    await work.of_workers(worker)


async def overflow_bucket(work: Work) -> None:
    """Overflow bucket: a histogram that ends at one second counts everything above as one second."""
    await honest(work)
    work.kept_ms = [min(value, CAP_MS) for value in work.kept_ms]


async def timeouts_discarded(work: Work) -> None:
    """Time-outs discarded: what takes longer than a second is given up and never mentioned."""

    async def arrive(number: int) -> None:
        await asyncio.wait_for(work.send(number), GIVE_UP_S)
        work.keep(work.due_ns(number))

    await work.at_their_times(arrive)


async def capped_pool(work: Work) -> None:
    """Capped pool: the wait for one of its connections is not counted."""
    pool = asyncio.Semaphore(WORKERS)

    async def arrive(number: int) -> None:
        async with pool:
            sent_ns = now_ns()
            await work.send(number)
            work.keep(sent_ns)

    await work.at_their_times(arrive)


Liar = Callable[[Work], Awaitable[None]]
LIARS: Mapping[str, Liar] = {
    "from_send": from_send,
    "drop_when_busy": drop_when_busy,
    "closed_loop": closed_loop,
    "overflow_bucket": overflow_bucket,
    "timeouts_discarded": timeouts_discarded,
    "capped_pool": capped_pool,
}
KINDS: Mapping[str, Liar] = {**LIARS, "honest": honest}


def title(kind: str) -> str:
    """What a liar does, in one line."""
    return (KINDS[kind].__doc__ or "").splitlines()[0].rstrip(".")


class NotTheReferenceServer(Exception):
    """The target is something else: nothing was sent to it but one question."""


async def run(kind: str, plan: LiarPlan, token: str) -> tuple[int, Reported]:
    """The start (ns) and the report; raises ``NotTheReferenceServer``."""
    _, wire = await asyncio.get_running_loop().create_connection(Wire, plan.host, plan.port)
    try:
        answer = await asyncio.wait_for(wire.ask("/reference", "who-0"), 5.0)
    finally:
        wire.close()
    if not token or answer != token.encode():
        raise NotTheReferenceServer(f"port {plan.port} is not the reference server that this process was started for")
    work = Work(plan)
    await KINDS[kind](work)
    return work.start_ns, Reported(engine=kind, figures=figures(work.kept_ms), answers=len(work.kept_ms), how=title(kind))


def main() -> int:
    kind, plan = sys.argv[1], msgspec.json.decode(Path(sys.argv[2]).read_bytes(), type=LiarPlan)
    try:
        start_ns, reported = uvloop.run(run(kind, plan, os.environ.get("EH_REFERENCE_TOKEN", "")))
    except (NotTheReferenceServer, OSError, TimeoutError) as error:
        print(f"liars: {error}", file=sys.stderr)
        return 2
    print(start_ns)
    print(msgspec.json.encode(reported).decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
