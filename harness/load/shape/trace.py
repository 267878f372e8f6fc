"""Arrivals from a file of timestamps or from the requests of an earlier run, rebased to the first and sped up."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.compute as pc

from harness.core.errors import UsageError, listing, nearest_word
from harness.load.shape.grammar import Trace
from harness.load.shape.pieces import MAX_ARRIVALS, NS, Offsets
from harness.run.view import FolderView

UNITS = {"_ns": 1, "_us": 1_000, "_ms": 1_000_000}
MEMBER = "timestamp"
LARGEST = 2**62
SHOWN = 60
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def trace_offsets(trace: Trace, project: Path) -> Offsets:
    """Sorted offsets (ns) from the first arrival, divided by ``speed``; raises ``UsageError`` with file and line."""
    times = _of_run(trace, project) if trace.run else _of_file(trace, project)
    since: Offsets = times - times[0]
    return since if trace.speed == 1.0 else np.rint(since / trace.speed).astype(np.int64)


def _of_run(trace: Trace, project: Path) -> Offsets:
    samples = FolderView(project / trace.run).samples("requests", trace.trial)
    if samples.num_rows and trace.step:
        known = sorted(set(samples["step"].to_pylist()))
        samples = samples.filter(pc.equal(samples["step"], trace.step))
        if not samples.num_rows:
            near = nearest_word(trace.step, known)
            raise UsageError(f"no request of a step {trace.step!r}", file=trace.run, nearest=near, remedy=f"steps: {listing(known)}")
    if not samples.num_rows:
        raise UsageError(f"the trial {trace.trial!r} has no requests", file=trace.run, remedy="name a trial that carried load")
    found: Offsets = np.sort(samples["intended_ns"].to_numpy())
    return found


def _of_file(trace: Trace, project: Path) -> Offsets:
    path = project / trace.file
    read = {".csv": _csv, ".jsonl": _json_lines, ".ndjson": _json_lines}.get(path.suffix.lower())
    if read is None:
        raise UsageError(f"a trace of the kind {path.suffix or 'without an ending'}", file=trace.file, remedy="give .csv or .jsonl")
    try:
        times = np.fromiter(_ordered(read(trace, path), trace.file), dtype=np.int64)
    except OSError as error:
        raise UsageError(f"the trace cannot be read: {error.strerror}", file=trace.file, remedy="correct `file`") from None
    except UnicodeDecodeError:
        raise UsageError("the trace is not UTF-8", file=trace.file, remedy="save it as UTF-8") from None
    if not len(times):
        raise UsageError("the trace has no timestamp", file=trace.file, remedy="one arrival a line")
    return times


def _ordered(times: Iterator[tuple[int, int]], file: str) -> Iterator[int]:
    """Refuse what goes back in time: sorting it silently would replay something that never happened."""
    before, first = -LARGEST, 0
    for count, (line, time) in enumerate(times):
        first = time if count == 0 else first
        if time < before:
            raise UsageError(f"this timestamp is {(before - time) / NS:g} s before the one above", file=file, line=line, remedy="sort them")
        if count >= MAX_ARRIVALS:
            raise UsageError("too many timestamps", file=file, line=line, remedy=f"at most {MAX_ARRIVALS}: cut the trace")
        before = time
        yield time


def _csv(trace: Trace, path: Path) -> Iterator[tuple[int, int]]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.reader(stream)
        heading = next(rows, None)
        if heading is None:
            return
        place = _column(trace, heading)
        read = _reader(heading[place])
        if not trace.column and _is_time(heading[0]):
            raise UsageError("the first line is no heading", file=trace.file, line=1, remedy="name the columns in the first line")
        try:
            for row in rows:
                if not row:
                    continue
                if len(row) <= place:
                    raise UsageError(f"this line has {len(row)} columns", file=trace.file, line=rows.line_num, remedy=f"give {place + 1}")
                yield rows.line_num, _time(row[place], read, trace.file, rows.line_num)
        except csv.Error as error:
            raise UsageError(f"not CSV: {error}", file=trace.file, line=rows.line_num, remedy="check quotes") from None


def _column(trace: Trace, heading: list[str]) -> int:
    if not trace.column:
        return 0
    if trace.column not in heading:
        near = nearest_word(trace.column, heading)
        message = f"there is no column {trace.column!r}"
        raise UsageError(message, file=trace.file, line=1, nearest=near, remedy=f"columns: {listing(heading)}")
    return heading.index(trace.column)


def _json_lines(trace: Trace, path: Path) -> Iterator[tuple[int, int]]:
    name = trace.column or MEMBER
    read = _reader(name)
    decoder = msgspec.json.Decoder(float_hook=str)  # text: seconds since 1970 with nanoseconds have no exact float
    with path.open("rb") as stream:
        for line, content in enumerate(stream, 1):
            if not content.strip():
                continue
            try:
                value: Any = decoder.decode(content)
            except msgspec.DecodeError as error:
                raise UsageError(f"this line is not JSON: {error}", file=trace.file, line=line, remedy="one arrival a line") from None
            if isinstance(value, dict):
                if name not in value:
                    near = nearest_word(name, value)
                    raise UsageError(f"there is no member {name!r}", file=trace.file, line=line, nearest=near, remedy="set `column`")
                value = value[name]
            yield line, _time(value, read, trace.file, line)


def _reader(name: str) -> Callable[[str], int]:
    """Text to ns, by the ending of the column's name."""
    scale = next((factor for ending, factor in UNITS.items() if name.endswith(ending)), NS)

    def read(text: str) -> int:
        if text.isdecimal():
            return int(text) * scale
        try:
            return round(Decimal(text) * scale)
        except InvalidOperation:
            return _iso(text)

    return read


def _iso(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    whole = moment if moment.tzinfo is not None else moment.replace(tzinfo=dt.UTC)
    return (whole - _EPOCH) // dt.timedelta(microseconds=1) * 1000


def _time(value: object, read: Callable[[str], int], file: str, line: int) -> int:
    text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    try:
        found = read(text)
    except (ValueError, OverflowError):
        raise UsageError(f"{str(value)[:SHOWN]!r} is no timestamp", file=file, line=line, remedy="a number, or ISO 8601") from None
    if abs(found) >= LARGEST:
        raise UsageError(f"{str(value)[:SHOWN]!r} is out of range", file=file, line=line, remedy="name the unit: …_ns, …_us, …_ms")
    return found


def _is_time(text: str) -> bool:
    try:
        _reader("")(text)
    except (ValueError, OverflowError):
        return False
    return True
