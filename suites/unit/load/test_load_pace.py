"""Pace: every arrival is started at its time or later, in order, none is left out; and the rows made of what was packed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from harness.journal.segments import OUTCOMES, REQUESTS
from harness.load.engine.pace import GATHER_NS, TURN_MAX, Pacer, SpinningAlarm, Stream, alarm
from harness.load.engine.plan import EnginePlan
from harness.load.engine.recorder import ROW, ROWS, Arrivals, Columns
from harness.load.requests import PlannedRequest, RequestKind, request_id

MS = 1_000_000


class Set:
    """An alarm that only says what it was set to."""

    def __init__(self, _loop: Any, call: Callable[[], None]) -> None:
        self.call, self.at, self.closed = call, 0, False

    def set(self, at_ns: int) -> None:
        self.at = at_ns

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("make", [alarm, SpinningAlarm])
def test_arrivals_start_at_their_time(make: Any) -> None:
    """Two streams, one timer: each in its order, nothing early, everything started, also what was due in the past."""
    seen: list[tuple[str, int, int]] = []

    async def walk() -> int:
        start = time.monotonic_ns() + 5 * MS
        offsets = {"a": [-3 * MS, 0, 0, 2 * MS, 2 * MS + 1_000, 30 * MS], "b": [MS, 20 * MS]}

        def arrive(name: str) -> Callable[[int], None]:
            return lambda index: seen.append((name, index, time.monotonic_ns() - start - offsets[name][index]))

        pacer = Pacer(start, [Stream(times, arrive(name)) for name, times in offsets.items()], make)
        await asyncio.wait_for(pacer.done.wait(), 10)
        return 0

    uvloop.run(walk())
    assert [index for name, index, _ in seen if name == "a"] == list(range(6))
    assert [index for name, index, _ in seen if name == "b"] == [0, 1]
    assert min(late for *_, late in seen) >= 0


@pytest.mark.parametrize("ending", ["stop", "close"])
def test_ending_a_plan_that_is_over_leaves_the_files_of_others_open(tmp_path: Path, ending: str) -> None:
    """The descriptor of its timer is closed once: the number is soon that of a file of samples."""

    async def walk() -> None:
        pacer = Pacer(time.monotonic_ns(), [Stream([0], lambda _index: None)])
        await asyncio.wait_for(pacer.done.wait(), 10)
        with contextlib.ExitStack() as files:
            opened = [files.enter_context((tmp_path / f"{number}").open("xb")) for number in range(4)]
            getattr(pacer, ending)()
            for file in opened:
                os.fstat(file.fileno())

    uvloop.run(walk())


def test_a_late_loop_catches_up_in_bounded_turns() -> None:
    """A thousand overdue arrivals are started in turns of a bounded number, none dropped, answers read in between."""

    async def walk() -> list[int]:
        turns, seen, made = [], [], []

        def make(loop: Any, call: Callable[[], None]) -> Set:
            made.append(Set(loop, call))
            return made[0]

        pacer = Pacer(0, [Stream(range(1_000), seen.append)], make)
        while not pacer.done.is_set():
            before, now = len(seen), time.monotonic_ns()
            made[0].call()
            turns.append(len(seen) - before)
            assert made[0].closed or made[0].at <= now + GATHER_NS + 1_000 * MS
        assert seen == list(range(1_000))
        return turns

    turns = asyncio.run(walk())
    assert max(turns) == TURN_MAX
    assert sum(turns) == 1_000


def plan_of(kinds: tuple[RequestKind, ...], requests: tuple[PlannedRequest, ...]) -> EnginePlan:
    return EnginePlan(
        trial="t",
        step="a step",
        host="h",
        port=1,
        kinds=kinds,
        requests=requests,
        key_header="X",
        offsets_file="",
        choices_file="",
        timeout_s=1,
        duration_s=1,
        run_folder="",
        warmup_s=0.000_005,
    )


ROW_VALUES = st.tuples(
    st.integers(0, 19),
    st.sampled_from([0, 5]),
    st.sampled_from([0, 6]),
    st.sampled_from([0, 7]),
    st.integers(0, 2**31 - 1),
    st.sampled_from([0, 200, 429, 503]),
    st.integers(0, len(OUTCOMES) - 1),
)


@given(values=st.lists(ROW_VALUES, min_size=1, max_size=30), worker=st.integers(0, 3), workers=st.integers(4, 7))
def test_columns_say_what_was_packed(values: list[tuple[int, ...]], worker: int, workers: int) -> None:
    """Whole-column encoding gives row for row what was packed: ids of the plan, nulls for times that never came, op and key by choice."""
    kinds = (RequestKind(op="one", path="/"), RequestKind(op="two", path="/", request_id=False))
    requests = (PlannedRequest(kind=0, key="k0"), PlannedRequest(kind=1, key="k1"), PlannedRequest(kind=0))
    offsets = np.arange(20, dtype=np.int64) * 1_000
    choices = (np.arange(20) % 3).astype(np.int32)
    columns = Columns(plan_of(kinds, requests), Arrivals(offsets, choices, worker, workers))
    columns.begin(1_000_000)
    packed = b"".join(ROW.pack(*row) for row in values)
    batch = columns.batch(np.frombuffer(packed, dtype=ROWS))
    assert batch.schema == REQUESTS
    for row, (index, sent, first, done, length, status, outcome) in zip(batch.to_pylist(), values, strict=True):
        planned = requests[choices[index]]
        kind = kinds[planned.kind]
        assert row == {
            "op": kind.op,
            "step": "a step",
            "intended_ns": 1_000_000 + index * 1_000,
            "sent_ns": sent or None,
            "first_byte_ns": first or None,
            "done_ns": done or None,
            "status": status,
            "outcome": OUTCOMES[outcome],
            "bytes": length,
            "request_id": request_id("a step", worker + index * workers) if kind.request_id else None,
            "key": planned.key,
        }
    totals = columns.totals
    assert totals.rows == len(values)
    assert totals.sent == sum(row[1] > 0 for row in values)
    assert totals.completed == sum(row[3] > 0 for row in values)
    counted = sum(len(histogram) for histogram in totals.response.values())
    assert counted == sum(row[0] * 1_000 >= 5_000 for row in values)  # the warm-up is not in the histograms
