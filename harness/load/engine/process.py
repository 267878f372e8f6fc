"""One engine process: ``python -m harness.load.engine PLAN [WORKER WORKERS]``, alone or one of several that share the plan.

Arrivals follow the plan whatever the answers do. Every intended request leaves one row: sent or not, answered or not. The canary
stream runs in the same event loop against a server of known delay, so that whatever delays the generator shows there.
The API keys (EH_LOAD_KEYS, JSON by role) and the journal's address (EH_JOURNAL_ADDRESS: it has a token) come in the environment, never
in argv or the plan. When everything is loaded and connections are open it says ``ready`` and is told on its input when the first
arrival is due (CLOCK_MONOTONIC ns): a machine that starts processes slowly delays the beginning, not the first arrivals. The last
line of the output is what the generator says of itself, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import uvloop

from harness.journal.hub import JournalClient
from harness.journal.segments import REQUESTS, Emits, SegmentWriter
from harness.load.attribution.pauses import write_pauses
from harness.load.engine.connection import Connection
from harness.load.engine.failures import FirstFailures
from harness.load.engine.lane import ClosedLane, Lane, LaneLike
from harness.load.engine.pace import Pacer, Stream
from harness.load.engine.plan import CanaryPlan, EnginePlan, Said
from harness.load.engine.priority import is_realtime, take_realtime
from harness.load.engine.recorder import Arrivals, CanaryRecorder, Columns, Recorder, SideStreams, Totals
from harness.load.engine.saturation import Watch, peak_rss_bytes, raise_file_limit
from harness.load.engine.verify import Prepared, identifier, prepare
from harness.load.requests import RequestKind

READY = "ready"  # the first line of the output
STOP = "stop"  # the line of the input that ends the plan early
TICKS_A_TIMEOUT = 20
TICK_MIN_S, TICK_MAX_S = 0.005, 0.05
HAND_OVER_S = 0.1  # so that the writing thread's half millisecond delays less than one arrival in a hundred
SWITCH_S = 0.0002  # the writing thread gives the interpreter back after this, not after 5 ms
GARBAGE_MAX = 1_000_000  # objects made and not freed since the last collection: some hundred MB
FILES_BESIDE = 200  # open files that are no connections


def arrivals_of(plan: EnginePlan) -> Arrivals:
    """The share of this process: every ``workers``-th arrival of the plan."""
    chosen = slice(plan.worker, None, plan.workers)
    offsets, choices = (np.load(path, mmap_mode="r")[chosen] for path in (plan.offsets_file, plan.choices_file))
    return Arrivals(np.array(offsets, dtype=np.int64), np.array(choices, dtype=np.int32), plan.worker, plan.workers)


def _indexed(column: npt.NDArray[Any]) -> Sequence[int]:
    """A column as Python ints one by one, without a list of them: twenty times smaller, and faster than numpy's own indexing."""
    return cast("Sequence[int]", memoryview(column))  # type: ignore[arg-type]  # numpy does not say that it is a buffer


class Engine:
    """Runs one plan."""

    def __init__(self, plan: EnginePlan, keys: dict[str, str], emitter: Emits) -> None:
        self._plan, self._emitter = plan, emitter
        self._arrivals = arrivals_of(plan)
        self._columns = Columns(plan, self._arrivals)
        self._recorder = Recorder(self._columns, SegmentWriter("requests", REQUESTS, Path(plan.run_folder), emitter, trial=plan.trial))
        self._side = SideStreams(plan, emitter)
        self._failures = FirstFailures(plan, tuple(keys.values()))
        self._identify = identifier(plan.step, plan.worker, plan.workers)
        self._prepared = prepare(
            plan.kinds,
            plan.requests,
            host=f"{plan.host}:{plan.port}",
            keys=keys,
            key_header=plan.key_header,
            identify=self._identify,
            project=Path(plan.project),
        )
        self._start_ns = self._intended = 0
        self._pacer: Pacer | None = None  # while the plan is walked
        self._offsets = _indexed(self._arrivals.offsets_ns)
        self._watch = Watch()
        self._lane = self._make_lane(keys)
        self._canary: _Canary | None = _Canary(plan, plan.canary, emitter, self) if plan.canary is not None else None

    @property
    def start_ns(self) -> int:
        """When the plan began."""
        return self._start_ns

    def _make_lane(self, keys: dict[str, str]) -> LaneLike:
        plan = self._plan
        if plan.kinds[0].is_grpc:
            from harness.load.engine.grpc import GrpcLane  # an extra, loaded where it is used

            lane: LaneLike = GrpcLane(
                plan,
                self._prepared,
                _indexed(self._arrivals.choices),
                self._intended_ns,
                self._recorder.row,
                self._side,
                [((plan.key_header.lower(), keys[one.role]),) if keys.get(one.role) else () for one in plan.requests],
            )
            return lane
        make: Callable[[Lane], Connection] = Connection
        if any(kind.protocol == "sse" for kind in plan.kinds):
            from harness.load.engine.sse import sse_connections

            make = sse_connections(self._side, self._identify)
        return (ClosedLane if plan.closed_connections else Lane)(
            (plan.host, plan.port),
            self._prepared,
            _indexed(self._arrivals.choices),
            self._intended_ns,
            timeout_s=plan.timeout_s,
            connections_max=plan.connections_max,
            record=self._recorder.row,
            read=self._read,
            make=make,
            failed=self._failures.see,
        )

    def _intended_ns(self, index: int) -> int:
        return self._start_ns + self._offsets[index] if not self._plan.closed_connections else time.monotonic_ns()

    def _read(self, connection: Connection, index: int, done_ns: int, status: int, body: bytes) -> None:
        """An answer whose body is looked at or kept."""
        request = connection.request
        assert request is not None
        outcome = request.outcome(status, connection.length, body)
        self._recorder.row(index, connection.sent_ns, connection.first_ns, done_ns, connection.length, status, outcome)
        if outcome:
            self._failures.see(request, outcome, status, connection.first_data, "")
        if request.keep:
            self._side.answer(
                {
                    "op": request.kind.op,
                    "intended_ns": self._intended_ns(index),
                    "request_id": self._identify(index).decode(),
                    "request": request.number,
                    "status": status,
                    "body": body,
                }
            )

    async def open(self) -> None:
        """Connections that the first arrivals will find."""
        await self._lane.open_ahead(self._plan.closed_connections or self._plan.connections_ahead)
        if self._canary is not None:
            await self._canary.lane.open_ahead(1)

    async def run(self, start_ns: int) -> Said:
        """Walk the plan, wait for what is in flight (bounded by the time-out), and say what was done."""
        self._start_ns = start_ns
        self._columns.begin(start_ns)
        self._watch.begin()
        async with asyncio.TaskGroup() as group:  # rows that cannot be written end the plan: nobody would know what was measured
            ticking = group.create_task(self._tick())
            if isinstance(self._lane, ClosedLane):
                await self._run_closed(self._lane)
            else:
                await self._run_open()
            self._watch.end(self._pacer.spun_s if self._pacer is not None else 0.0)  # waiting for the last answers is no work
            await self._drain()
            ticking.cancel()
        return self._close()

    async def _run_open(self) -> None:
        canaries = [] if self._canary is None else [self._canary.stream]
        stream = Stream(self._offsets, self._lane.arrive)
        self._pacer = Pacer(self._start_ns, [stream, *canaries])
        await self._pacer.done.wait()
        self._intended = stream.next

    def stop(self) -> None:
        """End the plan here: what is not due yet was never intended and leaves no row; what is in flight is waited for."""
        if self._pacer is not None:
            self._pacer.stop()

    async def _run_closed(self, lane: ClosedLane) -> None:
        await asyncio.sleep((self._start_ns - time.monotonic_ns()) / 1e9)
        canaries = [] if self._canary is None else [self._canary.stream]
        pacer = Pacer(self._start_ns, canaries)
        lane.begin(self._start_ns + round(self._plan.duration_s * 1e9))
        await asyncio.sleep(self._plan.duration_s)
        await pacer.done.wait()

    async def _tick(self) -> None:
        """Time-outs, and rows to the writing thread."""
        every_s = min(max(self._plan.timeout_s / TICKS_A_TIMEOUT, TICK_MIN_S), TICK_MAX_S)
        lanes: list[LaneLike] = [self._lane, *([self._canary.lane] if self._canary is not None else [])]
        handed = time.monotonic()
        while True:
            await asyncio.sleep(every_s)
            for lane in lanes:
                lane.sweep()
            if (now := time.monotonic()) - handed >= HAND_OVER_S:
                handed = now
                self._recorder.hand_over()
            if gc.get_count()[0] > GARBAGE_MAX:
                gc.collect()  # a pause, and one that is told

    async def _drain(self) -> None:
        """Wait for what is in flight: to its time-out, or as long as the plan says. What is left then is censored."""
        lanes: list[LaneLike] = [self._lane, *([self._canary.lane] if self._canary is not None else [])]
        plan = self._plan
        deadline = time.monotonic() + (plan.timeout_s + 1.0 if plan.drain_s is None else plan.drain_s)
        while any(lane.busy for lane in lanes) and time.monotonic() < deadline:  # noqa: ASYNC110 - bounded, for many answers
            await asyncio.sleep(0.01)
        for lane in lanes:
            await lane.end()

    def _close(self) -> Said:
        totals = self._recorder.close()
        self._side.close()
        if self._canary is not None:
            self._canary.recorder.close()
        self._emit_histograms(totals)
        for failure in self._failures.events():
            self._emitter.emit(failure)
        plan, watch, lane = self._plan, self._watch, self._lane
        write_pauses(Path(plan.run_folder), plan.trial, self._emitter, plan.worker, watch.pauses)
        return Said(
            worker=plan.worker,
            intended=lane.asked if isinstance(lane, ClosedLane) else self._intended,
            sent=totals.sent,
            completed=totals.completed,
            rate_limited=totals.rate_limited,
            cpu_share=watch.cpu_share,
            connections_most=lane.connections_most,
            connections_max=plan.connections_max,
            connections_refused_by_cap=lane.capped,
            gc_pauses=watch.gc_pauses,
            gc_total_s=watch.gc_total_s,
            gc_max_s=watch.gc_max_s,
            lag_p99_s=totals.lag.quantile_ns(Fraction(99, 100)) / 1e9 if len(totals.lag) else 0.0,
            peak_rss_bytes=peak_rss_bytes(),
            realtime=is_realtime(),
            failures=tuple((*kind, count) for kind, count in sorted(totals.failures.items())),
        )

    def _emit_histograms(self, totals: Totals) -> None:
        """One a metric and operation, without the warm-up; those of all processes merge exactly."""
        plan = self._plan
        for metric, by_op in (("response_time", totals.response), ("service_time", totals.service)):
            for op, histogram in by_op.items():
                if len(histogram):
                    tags = {"op": op, "step": plan.step, "worker": str(plan.worker)}
                    self._emitter.emit(histogram.event(plan.trial, metric, tags))


class _Canary:
    """The canary's lane, its arrivals and its rows."""

    def __init__(self, plan: EnginePlan, canary: CanaryPlan, emitter: Emits, engine: Engine) -> None:
        gap_ns = round(1e9 / canary.rate_per_s)
        offsets = _indexed(np.arange(gap_ns // 2, round(plan.duration_s * 1e9), gap_ns, dtype=np.int64))
        intended_ns = lambda index: engine.start_ns + offsets[index]  # noqa: E731 - a view of two others
        self.recorder = CanaryRecorder(plan, emitter, intended_ns)
        payload = f"GET / HTTP/1.1\r\nHost: {canary.host}\r\n\r\n".encode()
        request = Prepared(0, RequestKind(op="canary", path="/", keep_answers=True, replayable=True), payload, b"", None, None)
        self.lane = Lane(
            (canary.host, canary.port),
            [request],
            _indexed(np.zeros(len(offsets), dtype=np.int32)),
            intended_ns,
            timeout_s=plan.timeout_s,
            connections_max=plan.connections_max,
            record=lambda index, sent, _first, done, _length, _status, outcome: self.recorder.row(index, sent, done, outcome, b""),
            read=self._read,
        )
        self.stream = Stream(offsets, self.lane.arrive)

    def _read(self, connection: Connection, index: int, done_ns: int, status: int, body: bytes) -> None:
        assert connection.request is not None
        self.recorder.row(index, connection.sent_ns, done_ns, connection.request.outcome(status, len(body)), body)


async def _serve(engine: Engine) -> Said:
    await engine.open()
    gc.collect()
    gc.freeze()
    gc.disable()  # what a request leaves is freed by counting references; the rest waits until there is much of it
    print(READY, flush=True)
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.readline)
    loop.add_reader(sys.stdin.fileno(), _told, engine)  # no thread: one that waits for a line would outlive the plan
    return await engine.run(int(line))


def _told(engine: Engine) -> None:
    """A second line, ``stop``, ends the plan early; the end of the input says nothing."""
    said = os.read(sys.stdin.fileno(), 64)
    if STOP.encode() in said:
        engine.stop()
    if not said:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())


def main() -> int:
    """Exit 0 when the plan was walked; what went wrong stands on stderr."""
    sys.setswitchinterval(SWITCH_S)
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=EnginePlan)
    if len(sys.argv) > 2:
        plan = msgspec.structs.replace(plan, worker=int(sys.argv[2]), workers=int(sys.argv[3]))
    raise_file_limit(plan.connections_max + FILES_BESIDE)
    keys = msgspec.json.decode(os.environ.pop("EH_LOAD_KEYS", "{}"), type=dict[str, str])
    journal = JournalClient(os.environ["EH_JOURNAL_ADDRESS"])
    pa.array(["warm"])  # the first array imports hundreds of modules where pandas is installed: not while requests are measured
    if not plan.closed_connections:  # that one is never idle: it would leave its core to nobody
        take_realtime()
    said = uvloop.run(_serve(Engine(plan, keys, journal)))
    print(msgspec.json.encode(said).decode(), flush=True)
    return 0
