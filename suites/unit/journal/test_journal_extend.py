"""Rows given many at a time: same segments, same order, encoded where they are written."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.core.clock import FakeClock
from harness.journal.segments import CANARY, SegmentWriter, read_segment, read_stream


class Kept:
    def __init__(self) -> None:
        self.events: list[Any] = []

    def emit(self, event: Any, *, sync: bool = False) -> None:
        self.events.append(event)


def batch(first: int, count: int) -> pa.RecordBatch:
    times = pa.array(range(first, first + count), pa.int64())
    outcome = pa.DictionaryArray.from_arrays(pa.array([0] * count, pa.int32()), pa.array(["ok"]))
    return pa.record_batch([times, times, times, times, outcome], schema=CANARY)


def test_many_rows_at_once_and_single_ones_keep_their_order(tmp_path: Path) -> None:
    """Appended and extended rows come back as they were given; a second is a segment; the hash is that of the file."""
    clock, kept = FakeClock(), Kept()
    with SegmentWriter("canary", CANARY, tmp_path, kept, trial="t", clock=clock) as writer:
        writer.append(intended_ns=0, outcome="ok")
        writer.extend(3, lambda: batch(1, 3))
        writer.append(intended_ns=4, outcome="late")
        clock.advance(1.5)
        writer.extend(2, lambda: batch(5, 2))
    assert [event.rows for event in kept.events] == [5, 2]
    table = read_stream(tmp_path, "canary", "t", kept.events)
    assert table["intended_ns"].to_pylist() == list(range(7))
    assert table["outcome"].to_pylist() == ["ok", "ok", "ok", "ok", "late", "ok", "ok"]
    for event in kept.events:
        assert hashlib.sha256((tmp_path / event.path).read_bytes()).hexdigest() == event.sha256
        assert read_segment(tmp_path / event.path)[1] is False


def test_encoding_happens_in_the_writing_thread(tmp_path: Path) -> None:
    """extend returns at once; what the encoding raises is raised to who gives the next rows, and later rows are written."""
    threads: list[str] = []
    kept = Kept()

    def encode() -> pa.RecordBatch:
        threads.append(threading.current_thread().name)
        return batch(0, 1)

    def broken() -> pa.RecordBatch:
        raise ValueError("cannot be encoded")

    writer = SegmentWriter("canary", CANARY, tmp_path, kept, trial="t")
    writer.extend(1, encode)
    writer.flush()
    assert threads == ["samples-canary"]
    writer.extend(1, broken)
    with pytest.raises(ValueError, match="cannot be encoded"):
        writer.flush()
    writer.extend(1, encode)
    writer.close()
    assert read_stream(tmp_path, "canary", "t", kept.events).num_rows == 2


def test_rows_given_at_once_survive_a_kill_after_flush(tmp_path: Path) -> None:
    """A segment that was never closed reads back as an open tail with all that was handed over."""
    writer = SegmentWriter("canary", CANARY, tmp_path, Kept(), trial="t")
    writer.extend(4, lambda: batch(0, 4))
    writer.flush()
    table, torn = read_segment(next((tmp_path / "segments").iterdir()))
    assert (table.num_rows, torn) == (4, True)
    writer.close()
