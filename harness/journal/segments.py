"""Bulk samples as Arrow IPC stream segments of at most one second, each hashed into an event when it is closed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import io
import os
import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import pyarrow as pa

from harness.core.clock import NS_PER_S, Clock, SystemClock
from harness.journal.events import Event, SamplesSegment

FOLDER = "segments"
SEGMENT_NS = NS_PER_S
FLUSH_NS = NS_PER_S // 20  # rows are handed to the kernel at least this often while samples come
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
DRAIN_S = 30.0  # how long flush and close wait for the disk
MAX_ROWS = 200_000  # a segment is closed earlier when a second brings more

OUTCOMES = ("ok", "http_error", "rate_limited", "timeout", "connection_error", "unsent", "censored", "bad_body")
_WORD = pa.dictionary(pa.int32(), pa.string())

REQUESTS = pa.schema(
    [
        ("op", _WORD),
        ("step", _WORD),
        ("intended_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("first_byte_ns", pa.int64()),
        ("done_ns", pa.int64()),
        ("status", pa.int16()),
        ("outcome", _WORD),
        ("bytes", pa.int32()),
        ("request_id", pa.string()),
        ("key", pa.string()),
    ]
)
CANARY = pa.schema(
    [("intended_ns", pa.int64()), ("sent_ns", pa.int64()), ("done_ns", pa.int64()), ("known_delay_ns", pa.int64()), ("outcome", _WORD)]
)
WRITES = pa.schema(
    [
        ("write_id", pa.string()),
        ("kind", _WORD),
        ("sent_ns", pa.int64()),
        ("acked_ns", pa.int64()),
        ("status", pa.int16()),
        ("visible_ns", pa.int64()),
        ("found", pa.bool_()),
    ]
)
STREAM_EVENTS = pa.schema(
    [
        ("op", _WORD),
        ("step", _WORD),
        ("request_id", pa.string()),
        ("number", pa.int32()),  # of the event within its answer, from 0
        ("at_ns", pa.int64()),
        ("event_gap", pa.float64()),  # s since the event before it; null for the first
    ]
)
ANSWERS = pa.schema(
    [
        ("op", _WORD),
        ("step", _WORD),
        ("intended_ns", pa.int64()),
        ("request_id", pa.string()),
        ("request", pa.int32()),  # number of the planned request, so that an oracle knows what was asked
        ("status", pa.int16()),
        ("body", pa.binary()),
    ]
)
SCHEMAS: Mapping[str, pa.Schema] = {
    "requests": REQUESTS,
    "canary": CANARY,
    "writes": WRITES,
    "stream_events": STREAM_EVENTS,
    "answers": ANSWERS,
}


class Emits(Protocol):
    """The part of ``Emitter`` that is needed here."""

    def emit(self, event: Event, *, sync: bool = False) -> None: ...


Encode = Callable[[], pa.RecordBatch]


@dataclasses.dataclass(frozen=True, slots=True)
class _Job:
    """Rows on their way to the file: what makes their batch (none: only closes), and whether the segment ends with them."""

    encode: Encode | None
    opened_ns: int
    now_ns: int
    closes: bool
    done: threading.Event | None = None


class SegmentWriter:
    """Appends rows of one stream; thread-safe. Missing columns are null; an unknown column is an error.

    ``append`` only keeps the row (microseconds): a thread encodes, writes, syncs and journals, so that a slow disk does
    not delay the next request. Who has many rows at once gives them with ``extend``, unencoded.
    Files: ``<run folder>/segments/<trial>.<stream>.<pid>-<number>.arrows``.
    """

    def __init__(self, stream: str, schema: pa.Schema, run_folder: Path, emitter: Emits, *, trial: str, clock: Clock | None = None) -> None:
        self._schema = schema
        self._clock: Clock = clock or SystemClock()
        self._scribe = _Scribe(stream, schema, run_folder / FOLDER, emitter, trial)
        self._lock = threading.Lock()
        self._columns: dict[str, list[Any]] = {name: [] for name in schema.names}
        self._rows = self._opened_ns = self._flushed_ns = 0

    def append(self, **row: Any) -> None:
        """Add one row; times are CLOCK_MONOTONIC ns. Raises what the writing of earlier rows raised."""
        if unknown := row.keys() - self._columns.keys():
            raise TypeError(f"this stream has no column {sorted(unknown)}; columns: {self._schema.names}")
        with self._lock:
            now = self._clock.monotonic_ns()
            if self._rows and (now - self._opened_ns >= SEGMENT_NS or self._rows >= MAX_ROWS):
                self._hand_over(now, closes=True)
            if not self._rows:
                self._opened_ns = now
            for name, values in self._columns.items():
                values.append(row.get(name))
            self._rows += 1
            if now - self._flushed_ns >= FLUSH_NS:
                self._hand_over(now)

    def extend(self, rows: int, encode: Encode) -> None:
        """Add ``rows`` rows that ``encode`` makes a record batch of this stream's schema of, later, in the writing thread.

        They reach the kernel as soon as that thread comes to them. Raises what the writing of earlier rows raised.
        """
        with self._lock:
            now = self._clock.monotonic_ns()
            if self._rows and (now - self._opened_ns >= SEGMENT_NS or self._rows + rows > MAX_ROWS):
                self._hand_over(now, closes=True)
            elif self._columns[self._schema.names[0]]:
                self._hand_over(now)  # what was appended before comes before
            if not self._rows:
                self._opened_ns = now
            self._rows += rows
            self._flushed_ns = now
            self._scribe.take(_Job(encode, self._opened_ns, now, closes=False))

    def flush(self) -> None:
        """Wait until everything appended so far is in the kernel's hands: it then survives SIGKILL."""
        self._finish_jobs(closes=False)

    def close(self) -> None:
        """Wait until the open segment is closed and journaled; the writer may be used again afterwards."""
        self._finish_jobs(closes=True)
        self._scribe.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _hand_over(self, now: int, *, closes: bool = False, done: threading.Event | None = None) -> None:
        columns, self._columns = self._columns, {name: [] for name in self._schema.names}
        self._flushed_ns = now
        if closes:
            self._rows = 0
        encode = functools.partial(_encoded, columns, self._schema) if columns[self._schema.names[0]] else None
        self._scribe.take(_Job(encode, self._opened_ns, now, closes, done))

    def _finish_jobs(self, *, closes: bool) -> None:
        done = threading.Event()
        with self._lock:
            self._hand_over(self._clock.monotonic_ns(), closes=closes, done=done)
        if not done.wait(DRAIN_S):
            raise TimeoutError(f"samples were not written within {DRAIN_S:g} s")
        self._scribe.raise_error()


def _encoded(columns: Mapping[str, list[Any]], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([pa.array(columns[field.name], type=field.type) for field in schema], schema=schema)


class _Scribe:
    """The thread that writes: one job after the other, in order."""

    def __init__(self, stream: str, schema: pa.Schema, folder: Path, emitter: Emits, trial: str) -> None:
        self._stream, self._schema, self._trial = stream, schema, trial
        self._folder, self._emitter = folder, emitter
        self._folder.mkdir(parents=True, exist_ok=True)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._open: _OpenSegment | None = None
        self._number = 0
        self._error: Exception | None = None

    def take(self, job: _Job) -> None:
        self.raise_error()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"samples-{self._stream}", daemon=True)
            self._thread.start()
        self._jobs.put(job)

    def raise_error(self) -> None:
        """Raise, once, what went wrong in the thread."""
        error, self._error = self._error, None
        if error is not None:
            raise error

    def end(self) -> None:
        """Let the thread end; the next job starts another."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._jobs.put(None)
            thread.join(DRAIN_S)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._write(job)
            except Exception as error:  # noqa: BLE001 - raised in the appending thread
                self._error = error
            finally:
                if job.done is not None:
                    job.done.set()

    def _write(self, job: _Job) -> None:
        if job.encode is not None:
            batch = job.encode()
            if self._open is None:
                self._open = self._start(job.opened_ns)
            self._open.write(batch, job.now_ns)
        if job.closes and self._open is not None:
            segment, self._open = self._open, None
            self._emitter.emit(self._closed(segment))

    def _start(self, now: int) -> _OpenSegment:
        while True:
            self._number += 1
            path = self._folder / f"{self._trial}.{self._stream}.{os.getpid()}-{self._number:05d}.arrows"
            try:
                return _OpenSegment(path, self._schema, now)
            except FileExistsError:
                continue  # another writer of this process, or an earlier process of the same pid

    def _closed(self, segment: _OpenSegment) -> SamplesSegment:
        digest = segment.close()
        return SamplesSegment(
            trial=self._trial,
            stream=self._stream,
            path=f"{FOLDER}/{segment.path.name}",
            sha256=digest,
            rows=segment.rows,
            first_ns=segment.opened_ns,
            last_ns=segment.last_ns,
        )


class _OpenSegment:
    """The file being written: each batch goes to the kernel at once, so that a SIGKILL loses none of it.

    Hashed while it is written: reading it again when it is closed would cost a busy core milliseconds at once.
    """

    def __init__(self, path: Path, schema: pa.Schema, now: int) -> None:
        self.path, self.opened_ns, self.last_ns, self.rows = path, now, now, 0
        self._file = path.open("xb")
        self._digest = hashlib.sha256()
        self._fresh = io.BytesIO()  # what Arrow wrote since the last batch went out
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=False)
        self._writer = pa.ipc.new_stream(pa.PythonFile(self._fresh, mode="w"), schema, options=options)

    def write(self, batch: pa.RecordBatch, now: int) -> None:
        self._writer.write_batch(batch)
        self._hand_to_kernel()
        self.rows += batch.num_rows
        self.last_ns = now

    def _hand_to_kernel(self) -> None:
        fresh = self._fresh.getvalue()
        self._fresh.seek(0)
        self._fresh.truncate()
        self._digest.update(fresh)
        self._file.write(fresh)
        self._file.flush()

    def close(self) -> str:
        self._writer.close()
        self._hand_to_kernel()
        os.fdatasync(self._file.fileno())
        self._file.close()
        return self._digest.hexdigest()


def read_segment(path: Path) -> tuple[pa.Table, bool]:
    """All whole batches of a segment and whether its end is missing (an open tail); words come as plain strings."""
    batches: list[pa.RecordBatch] = []
    try:
        with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as reader:
            schema = reader.schema
            torn = _collect(reader.read_next_batch, batches)
    except (pa.ArrowInvalid, OSError):  # not even the schema is whole
        return pa.table({}), True
    return plain(pa.Table.from_batches(batches, schema)), torn or not _ended(path)


def _ended(path: Path) -> bool:
    """Whether the stream's end mark was written: Arrow itself takes a clean cut between two batches for an end."""
    with path.open("rb") as stream:
        stream.seek(-len(END_OF_STREAM), os.SEEK_END)
        return stream.read() == END_OF_STREAM


def _collect(read_next: Callable[[], pa.RecordBatch], batches: list[pa.RecordBatch]) -> bool:
    while True:
        try:
            batches.append(read_next())
        except StopIteration:
            return False
        except (pa.ArrowInvalid, OSError):
            return True


def plain(table: pa.Table) -> pa.Table:
    """Dictionary columns as plain ones: segments have dictionaries of their own."""
    fields = [pa.field(f.name, f.type.value_type) if pa.types.is_dictionary(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def empty(stream: str) -> pa.Table:
    """A table without rows of a known stream (without columns for another)."""
    schema = SCHEMAS.get(stream)
    return pa.table({}) if schema is None else plain(schema.empty_table())


def read_stream(run_folder: Path, stream: str, trial: str, closed: Iterable[SamplesSegment]) -> pa.Table:
    """All rows of a stream: the closed segments in journal order, then open tails left by a kill."""
    paths = [run_folder / segment.path for segment in closed]
    known = {path.name for path in paths}
    tails = sorted(path for path in (run_folder / FOLDER).glob("*.arrows") if _belongs(path, trial, stream) and path.name not in known)
    tables = [read_segment(path)[0] for path in (*paths, *tails)]
    rows = [table for table in tables if table.num_rows]
    return pa.concat_tables(rows, promote_options="default") if rows else empty(stream)


def _belongs(path: Path, trial: str, stream: str) -> bool:
    return path.name.startswith(f"{trial}.{stream}.")
