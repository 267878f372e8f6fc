"""Rows of one engine process: packed where they arise, made into Arrow columns and histograms in the writing thread.

The event loop packs forty bytes a request into a block and gives the block away about ten times a second. Everything else is done
on whole columns. A row has no text in it: ids, names and intended starts follow from the arrival's number and the plan.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.journal.segments import ANSWERS, CANARY, OUTCOMES, REQUESTS, STREAM_EVENTS, Emits, SegmentWriter
from harness.load.engine.plan import EnginePlan
from harness.load.engine.verify import OK, RATE_LIMITED
from harness.load.histogram import LatencyHistogram
from harness.load.requests import ID_DIGITS, ID_LENGTH, ID_STEP

ROW = struct.Struct("<qqqqiHBx")
ROWS = np.dtype(
    [
        ("index", "<i8"),
        ("sent", "<i8"),
        ("first", "<i8"),
        ("done", "<i8"),
        ("bytes", "<i4"),
        ("status", "<u2"),
        ("outcome", "u1"),
        ("_", "u1"),
    ]
)
BLOCK_ROWS = 4_096
_OUTCOMES = pa.array(OUTCOMES)
Ints = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True, slots=True)
class Arrivals:
    """The arrivals of one process: due times as offsets from the start, and the request each chooses."""

    offsets_ns: Ints
    choices: npt.NDArray[np.int32]
    first: int  # place of the first one in the whole plan
    stride: int

    def __len__(self) -> int:
        return len(self.offsets_ns)


class Totals:
    """What the rows add up to; filled by the writing thread, read after ``close``."""

    __slots__ = ("completed", "failures", "lag", "rate_limited", "response", "rows", "sent", "service")

    def __init__(self) -> None:
        self.rows = self.sent = self.completed = self.rate_limited = 0
        self.lag = LatencyHistogram()
        self.failures: Counter[tuple[str, str, int]] = Counter()  # by operation, outcome, status
        self.response: dict[str, LatencyHistogram] = {}
        self.service: dict[str, LatencyHistogram] = {}


class Recorder:
    """``row`` is the hot path: no allocation but a block every few thousand rows."""

    __slots__ = ("_block", "_columns", "_failed", "_pack", "_position", "_writer")

    def __init__(self, columns: Columns, writer: SegmentWriter) -> None:
        self._columns, self._writer = columns, writer
        self._pack = ROW.pack_into
        self._block = bytearray(ROW.size * BLOCK_ROWS)
        self._position = 0
        self._failed: Exception | None = None

    def row(self, index: int, sent_ns: int, first_ns: int, done_ns: int, length: int, status: int, outcome: int) -> None:
        """One finished request; a time of 0 is one that never came."""
        position = self._position
        self._pack(self._block, position, index, sent_ns, first_ns, done_ns, length, status, outcome)
        self._position = position + 40
        if position == _LAST:
            self._give()

    def hand_over(self) -> None:
        """Give what was packed to the writing thread; raises what the writing of earlier rows raised."""
        self._give()
        if self._failed is not None:
            raise self._failed

    def _give(self) -> None:
        if not self._position:
            return
        rows = np.frombuffer(self._block, dtype=ROWS, count=self._position // ROW.size)
        self._block, self._position = bytearray(ROW.size * BLOCK_ROWS), 0
        try:
            self._writer.extend(len(rows), lambda: self._columns.batch(rows))
        except Exception as error:  # noqa: BLE001 - here it would be lost in a callback of the loop: ``hand_over`` raises it
            self._failed = error

    def close(self) -> Totals:
        """Wait until everything is on disk."""
        self.hand_over()
        self._writer.close()
        return self._columns.totals


_LAST = ROW.size * (BLOCK_ROWS - 1)


class Columns:
    """Makes a record batch of packed rows."""

    def __init__(self, plan: EnginePlan, arrivals: Arrivals) -> None:
        self._plan, self._arrivals = plan, arrivals
        self._closed = plan.closed_connections > 0
        self._start_ns = 0
        self._warm_ns = round(plan.warmup_s * 1e9)
        ops = sorted({kind.op for kind in plan.kinds})
        self._ops = pa.array(ops)
        self._op_of = np.array([ops.index(plan.kinds[request.kind].op) for request in plan.requests], dtype=np.int32)
        self._named = np.array([plan.kinds[request.kind].request_id for request in plan.requests])
        keys = [request.key for request in plan.requests]
        self._keys = pa.array(keys) if any(keys) else None
        self._step = pa.array([plan.step])
        self._id = np.frombuffer(f"{plan.step[:ID_STEP]}-".encode().ljust(ID_LENGTH, b"x"), dtype=np.uint8)
        self._digits_at = len(plan.step[:ID_STEP].encode()) + 1
        self.totals = Totals()

    def begin(self, start_ns: int) -> None:
        """The start of the plan, known only when the process is told."""
        self._start_ns = start_ns

    def batch(self, rows: npt.NDArray[Any]) -> pa.RecordBatch:
        """The rows as columns of the stream ``requests``; counts them into the totals."""
        index = rows["index"]
        chosen = self._arrivals.choices[index % len(self._arrivals)]
        sent, done = rows["sent"], rows["done"]
        intended = sent if self._closed else self._start_ns + self._arrivals.offsets_ns[index]
        outcome, op = rows["outcome"].astype(np.int32), self._op_of[chosen]
        self._count(intended, sent, done, outcome, op)
        self._count_failures(op, outcome, rows["status"])
        columns = [
            pa.DictionaryArray.from_arrays(op, self._ops),
            pa.DictionaryArray.from_arrays(np.zeros(len(rows), dtype=np.int32), self._step),
            pa.array(np.ascontiguousarray(intended)),
            _times(sent),
            _times(rows["first"]),
            _times(done),
            pa.array(rows["status"].astype(np.int16)),
            pa.DictionaryArray.from_arrays(outcome, _OUTCOMES),
            pa.array(np.ascontiguousarray(rows["bytes"])),
            self._ids(index, self._named[chosen]),
            _blank(len(rows)) if self._keys is None else self._keys.take(pa.array(chosen)),
        ]
        return pa.record_batch(columns, schema=REQUESTS)

    def _count(self, intended: Ints, sent: Ints, done: Ints, outcome: npt.NDArray[np.int32], op: npt.NDArray[np.int32]) -> None:
        totals = self.totals
        totals.rows += len(sent)
        totals.sent += int(np.count_nonzero(sent))
        totals.completed += int(np.count_nonzero(done))
        totals.rate_limited += int(np.count_nonzero(outcome == RATE_LIMITED))
        was_sent = sent != 0
        totals.lag.record((sent - intended)[was_sent])
        steady = intended >= self._start_ns + self._warm_ns
        good = steady & (outcome == OK)
        for number, name in enumerate(self._ops.to_pylist()):
            mine = op == number
            never = int(np.count_nonzero(steady & mine & (outcome != OK)))
            totals.response.setdefault(name, LatencyHistogram()).record((done - intended)[good & mine], never)
            totals.service.setdefault(name, LatencyHistogram()).record((done - sent)[good & mine], never)

    def _count_failures(self, op: npt.NDArray[np.int32], outcome: npt.NDArray[np.int32], status: npt.NDArray[np.uint16]) -> None:
        failed = outcome != OK
        if failed.any():
            kinds, counts = np.unique(np.stack([op[failed], outcome[failed], status[failed].astype(np.int32)]), axis=1, return_counts=True)
            for (one, what, code), count in zip(kinds.T.tolist(), counts.tolist(), strict=True):
                self.totals.failures[self._ops[one].as_py(), OUTCOMES[what], code] += count

    def _ids(self, index: Ints, named: npt.NDArray[np.bool_]) -> pa.Array:
        """Ids of 24 characters each, written digit by digit over the whole column."""
        count = len(index)
        if not named.all():
            return pa.nulls(count, pa.string()) if not named.any() else self._some_ids(index, named)
        text = np.tile(self._id, (count, 1))
        number = self._arrivals.first + index * self._arrivals.stride
        for place in range(ID_DIGITS):
            number, digit = np.divmod(number, 10)
            text[:, self._digits_at + ID_DIGITS - 1 - place] = digit + ord("0")
        offsets = np.arange(0, (count + 1) * ID_LENGTH, ID_LENGTH, dtype=np.int32)
        return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(text))

    def _some_ids(self, index: Ints, named: npt.NDArray[np.bool_]) -> pa.Array:
        ids = self._ids(index, np.ones(len(index), dtype=np.bool_))
        return pa.compute.if_else(pa.array(named), ids, pa.scalar(None, pa.string()))


def _times(values: Ints) -> pa.Array:
    """A column of times; 0 is null."""
    missing = values == 0
    return pa.array(np.ascontiguousarray(values), mask=missing if missing.any() else None)


def _blank(count: int) -> pa.Array:
    return pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, dtype=np.int32)), pa.py_buffer(b""))


class CanaryRecorder:
    """Rows of the canary: few, so they are appended one by one. The body of an answer is how long the server held it."""

    def __init__(self, plan: EnginePlan, emitter: Emits, intended_ns: Callable[[int], int]) -> None:
        self._writer = SegmentWriter("canary", CANARY, Path(plan.run_folder), emitter, trial=plan.trial)
        self._intended_ns = intended_ns

    def row(self, index: int, sent_ns: int, done_ns: int, outcome: int, body: bytes) -> None:
        """One canary, answered or not."""
        held = int(body) if body.isdigit() else None
        self._writer.append(
            intended_ns=self._intended_ns(index),
            sent_ns=sent_ns or None,
            done_ns=done_ns or None,
            known_delay_ns=held,
            outcome=OUTCOMES[outcome],
        )

    def close(self) -> None:
        self._writer.close()


class SideStreams:
    """The streams beside ``requests``: kept answers and the events of event streams; opened when the plan has such kinds."""

    def __init__(self, plan: EnginePlan, emitter: Emits) -> None:
        folder = Path(plan.run_folder)
        self._step = plan.step
        kept = any(kind.keep_answers for kind in plan.kinds)
        streams = any(kind.protocol in {"sse", "grpc_stream"} for kind in plan.kinds)
        self._answers = SegmentWriter("answers", ANSWERS, folder, emitter, trial=plan.trial) if kept else None
        self._events = SegmentWriter("stream_events", STREAM_EVENTS, folder, emitter, trial=plan.trial) if streams else None

    def answer(self, row: Mapping[str, object]) -> None:
        """Keep the body of an answer."""
        if self._answers is not None:
            self._answers.append(step=self._step, **row)

    def events(self, op: str, request_id: str, at_ns: Sequence[int]) -> None:
        """Keep when each event of one answer came."""
        if self._events is None:
            return
        for number, at in enumerate(at_ns):
            gap = (at - at_ns[number - 1]) / 1e9 if number else None
            self._events.append(op=op, step=self._step, request_id=request_id, number=number, at_ns=at, event_gap=gap)

    def close(self) -> None:
        for writer in (self._answers, self._events):
            if writer is not None:
                writer.close()
