"""The open-loop engine, a process of its own: ``python -m harness.load.engine PLAN``.

Arrivals follow the plan whatever the answers do. Every intended request leaves one row: sent or not, answered or not. The canary
stream runs in the same event loop against a server of known delay, so that whatever delays the generator shows there.
The API key (EH_LOAD_KEY) and the journal's address (EH_JOURNAL_ADDRESS: it has a token) come in the environment, never in
argv or the plan. When everything is loaded it says ``ready`` and is told on its input when the first arrival is due (CLOCK_MONOTONIC
ns): a machine that starts processes slowly delays the beginning, not the first arrivals. The last line of the output is what the
generator says of itself, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import uvloop

from harness.journal.hub import JournalClient
from harness.journal.segments import CANARY, REQUESTS, SegmentWriter
from harness.load.client import Connection, Exchange, now_ns
from harness.load.requests import ID_LENGTH, ID_PLACEHOLDER, RequestKind, prepared

SPIN_NS = 1_200_000  # uvloop's timers are coarse (1 ms): the last stretch before an arrival is spent yielding
CONNECTIONS_MAX = 2_000
READY = "ready"  # the first line of the output
ISOLATE_GC_ABOVE = 200  # arrivals a second above which a full collection would show in the figures


class CanaryPlan(msgspec.Struct, frozen=True):
    """Where the server of known delay listens, and how often it is asked."""

    host: str
    port: int
    rate_per_s: float


class EnginePlan(msgspec.Struct, frozen=True):
    """All the engine needs; written by the driver into the trial's folder."""

    trial: str
    step: str
    host: str
    port: int
    kind: RequestKind
    bodies: tuple[str, ...]
    key_header: str
    offsets_file: str
    choices_file: str
    timeout_s: float
    duration_s: float
    canary: CanaryPlan
    address: str
    run_folder: str


class Lane:
    """One stream of arrivals to one address: its own connections, its own rows."""

    def __init__(self, host: str, port: int, timeout_s: float, record: Callable[[Exchange], None], *, replayable: bool) -> None:
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._record = record
        self._replayable = replayable
        self._idle: list[Connection] = []
        self._open = 0
        self._opening: set[asyncio.Task[None]] = set()
        self.waiting: set[Exchange] = set()

    def arrive(self, exchange: Exchange) -> None:
        """An arrival: on an idle connection at once, else on a new one. Never waits for another answer."""
        self.waiting.add(exchange)
        exchange.timer = asyncio.get_running_loop().call_later(self._timeout_s, self._timed_out, exchange)
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                connection.send(exchange)
                return
        if self._open >= CONNECTIONS_MAX:
            self._end(exchange, "unsent")
            return
        self._open += 1
        task = asyncio.get_running_loop().create_task(self._send_on_new(exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _send_on_new(self, exchange: Exchange) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(lambda: Connection(self), self._host, self._port)
        except OSError:
            self._open -= 1
            if exchange in self.waiting:
                self._end(exchange, "connection_error")
            return
        if exchange in self.waiting:
            connection.send(exchange)
        else:  # timed out while the connection was made
            self.idle(connection)

    def idle(self, connection: Connection) -> None:
        self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        self._open -= 1
        if connection in self._idle:
            self._idle.remove(connection)

    def finished(self, exchange: Exchange) -> None:
        if exchange in self.waiting:
            self._end(exchange, "")

    def broken(self, exchange: Exchange, *, before_answer: bool) -> None:
        """A connection ended under a request. An idle one closed by the server just then says nothing about the request: once more."""
        if exchange not in self.waiting:
            return
        if before_answer and self._replayable and not exchange.retried:
            exchange.retried = True
            self._cancel_timer(exchange)
            self.arrive(exchange)
        else:
            self._end(exchange, "connection_error")

    def _timed_out(self, exchange: Exchange) -> None:
        """The answer would come on a connection that nobody may use meanwhile: it is given up, or a dead server would use them all up."""
        if exchange in self.waiting:
            self._end(exchange, "timeout")
            if exchange.connection is not None:
                exchange.connection.abandon()

    def end_all(self) -> None:
        """What is still unanswered when the run ends is censored: it is a row, and never a good one."""
        for exchange in list(self.waiting):
            self._end(exchange, "censored" if exchange.sent_ns else "unsent")
        for task in self._opening:
            task.cancel()

    def _end(self, exchange: Exchange, outcome: str) -> None:
        self.waiting.discard(exchange)
        self._cancel_timer(exchange)
        exchange.outcome = outcome
        self._record(exchange)

    def _cancel_timer(self, exchange: Exchange) -> None:
        if exchange.timer is not None:
            exchange.timer.cancel()
            exchange.timer = None


async def pace(start_ns: int, offsets: list[int], arrive: Callable[[int, int], None]) -> None:
    """Call ``arrive(index, intended_ns)`` for every offset at its time; late ones are caught up at once, never dropped."""
    index = 0
    count = len(offsets)
    while index < count:
        due = start_ns + offsets[index]
        ahead = due - now_ns()
        if ahead > SPIN_NS:
            await asyncio.sleep((ahead - SPIN_NS) / 1e9)
        elif ahead > 0:
            await asyncio.sleep(0)
        else:
            arrive(index, due)
            index += 1


class Engine:
    """Runs one plan."""

    def __init__(self, plan: EnginePlan, key: str) -> None:
        self._plan = plan
        host = f"{plan.host}:{plan.port}"
        self._payloads = [prepared(plan.kind, body.encode(), host, key, plan.key_header) for body in plan.bodies]
        self._journal = JournalClient(plan.address or os.environ["EH_JOURNAL_ADDRESS"])
        folder = Path(plan.run_folder)
        self._requests = SegmentWriter("requests", REQUESTS, folder, self._journal, trial=plan.trial)
        self._canaries = SegmentWriter("canary", CANARY, folder, self._journal, trial=plan.trial)
        self._sent = 0
        self._completed = 0
        self._offsets: list[int] = np.load(plan.offsets_file).tolist()
        self._chosen: list[int] = np.load(plan.choices_file).tolist()

    async def run(self, start_ns: int) -> dict[str, float]:
        """Walk the plan, wait for what is in flight (bounded by the time-out), and say what was done."""
        plan = self._plan
        offsets, chosen = self._offsets, self._chosen
        lane = Lane(plan.host, plan.port, plan.timeout_s, self._record, replayable=plan.kind.replayable)
        canary = Lane(plan.canary.host, plan.canary.port, plan.timeout_s, self._record_canary, replayable=True)
        canary_payload = f"GET / HTTP/1.1\r\nHost: {plan.canary.host}\r\n\r\n".encode()
        gap_ns = round(1e9 / plan.canary.rate_per_s)
        canary_offsets = list(range(gap_ns // 2, round(plan.duration_s * 1e9), gap_ns))
        cpu_before, wall_before = time.process_time(), time.monotonic()
        await asyncio.gather(
            pace(start_ns, offsets, lambda index, due: lane.arrive(self._exchange(index, due, chosen[index]))),
            pace(start_ns, canary_offsets, lambda index, due: canary.arrive(Exchange(index, due, canary_payload, ""))),
        )
        deadline = time.monotonic() + plan.timeout_s + 1.0
        while (lane.waiting or canary.waiting) and time.monotonic() < deadline:  # noqa: ASYNC110 - bounded, for many answers
            await asyncio.sleep(0.01)
        lane.end_all()
        canary.end_all()
        self._requests.close()
        self._canaries.close()
        return {
            "intended": len(offsets),
            "sent": self._sent,
            "completed": self._completed,
            "cpu_share": (time.process_time() - cpu_before) / (time.monotonic() - wall_before),
            "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }

    def _exchange(self, index: int, due: int, choice: int) -> Exchange:
        request_id = f"{self._plan.step[:8]}-{index:08d}".ljust(ID_LENGTH, "x")
        payload = self._payloads[choice].replace(ID_PLACEHOLDER, request_id.encode(), 1)
        return Exchange(index, due, payload, request_id)

    def _record(self, exchange: Exchange) -> None:
        outcome = exchange.outcome or self._judge(exchange)
        self._sent += exchange.sent_ns is not None
        self._completed += exchange.done_ns is not None
        self._requests.append(
            op=self._plan.kind.op,
            step=self._plan.step,
            intended_ns=exchange.intended_ns,
            sent_ns=exchange.sent_ns,
            first_byte_ns=exchange.first_byte_ns,
            done_ns=exchange.done_ns if outcome not in {"timeout", "censored"} else None,
            status=exchange.status,
            outcome=outcome,
            bytes=exchange.length,
            request_id=exchange.request_id,
            key="",
        )
        exchange.body = b""

    def _judge(self, exchange: Exchange) -> str:
        kind = self._plan.kind
        if exchange.status == 429:
            return "rate_limited"
        if exchange.status != kind.expect_status:
            return "http_error"
        if kind.expect_nonempty:
            try:
                found = msgspec.json.decode(exchange.body)[kind.expect_nonempty]
            except (msgspec.DecodeError, KeyError, TypeError):
                return "bad_body"
            if not isinstance(found, list) or not found:
                return "bad_body"
        return "ok"

    def _record_canary(self, exchange: Exchange) -> None:
        self._canaries.append(
            intended_ns=exchange.intended_ns,
            sent_ns=exchange.sent_ns,
            done_ns=exchange.done_ns,
            known_delay_ns=int(exchange.body or b"0"),
            outcome=exchange.outcome or ("ok" if exchange.status == 200 else "http_error"),
        )


def main() -> int:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=EnginePlan)
    engine = Engine(plan, os.environ.pop("EH_LOAD_KEY", ""))
    pa.array(["warm"])  # the first array imports hundreds of modules where pandas is installed: not while requests are measured
    gc.collect()
    gc.freeze()
    print(READY, flush=True)
    said = uvloop.run(engine.run(int(sys.stdin.readline())))
    print(json.dumps(said), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
