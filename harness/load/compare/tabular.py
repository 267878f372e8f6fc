"""Tables of single requests: CSV with headings, JSON Lines, JSON. Known headings say what is a latency, a time, a failure, and the unit."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.core.errors import listing
from harness.load.compare.lines import csv_rows, moment, number, text_lines, unit_factor, wrong
from harness.load.compare.outcomes import failed_by_status, says_error, says_good, says_yes
from harness.load.compare.recording import Recording, in_order

# heading: (unit, tool). Names that leave the unit open are not here: a factor of 1000 is no detail.
LATENCIES: Mapping[str, tuple[str, str]] = {
    "response_time": ("ms", "Locust"),
    "elapsed": ("ms", "JMeter"),
    "response-time": ("s", "hey"),
    **{f"{name}_{unit}": (unit, "") for name in ("latency", "duration", "response_time", "elapsed") for unit in ("s", "ms", "us", "ns")},
}
UNIT_OPEN = ("latency", "duration", "time", "value")
TIMES = ("timestamp", "time", "start_time", "started", "timeStamp", "offset", "intended_s", "at")
# Headings are compared in lower case, with _ for blanks and dashes.
SUCCESSES = ("success", "successful", "succeeded", "ok", "passed", "is_success", "is_ok", "expected_response")
FAILURES = ("failed", "failure", "is_failed", "is_failure", "is_error", "has_error", "errored")
ERRORS = ("exception", "error", "errors", "err", "error_message", "error_msg", "error_text", "failure_message", "failuremessage")
STATUSES = ("status", "code", "status_code", "statuscode", "http_status", "http_code", "http_status_code", "response_code", "responsecode")
OUTCOMES = ("outcome", "result")  # a word for what became of it
AGGREGATED = {"50%", "95%", "Request Count", "p95", "median_response_time"}


@dataclasses.dataclass(frozen=True, slots=True)
class Columns:
    """Which heading is what."""

    latency: str
    factor: float
    tool: str
    time: str = ""
    success: str = ""
    failure: str = ""
    error: str = ""
    status: str = ""
    outcome: str = ""


def find_columns(path: Path, line: int, names: Iterable[str], unit: str) -> Columns:
    """Raises ``UsageError`` when no heading is a latency, or when the file holds aggregates."""
    headings = list(names)
    known = {_heading(name): name for name in reversed(headings)}
    if AGGREGATED & set(headings):
        raise wrong(path, line, "these are aggregates, not single requests", "give a file with one line a request")
    latency = next((name for name in headings if name in LATENCIES), "")  # as written: response_time is ms, response-time is s
    open_name = next((name for name in headings if _heading(name) in UNIT_OPEN), "")
    if not latency and open_name and not unit:
        raise wrong(path, line, f"the unit of {open_name!r} is not known", "add --unit s, ms, us or ns")
    if not latency and not open_name:
        raise wrong(path, line, f"no column of latencies (columns: {listing(headings)})", f"name one of {listing(LATENCIES)}")
    stated, tool = LATENCIES.get(latency, (unit, ""))
    kinds = (
        *(("time", TIMES), ("success", SUCCESSES), ("failure", FAILURES), ("error", ERRORS)),
        *(("status", STATUSES), ("outcome", OUTCOMES)),
    )
    value = latency or open_name
    pick = {field: next((known[word] for word in map(_heading, words) if known.get(word, value) != value), "") for field, words in kinds}
    return Columns(value, unit_factor(path, unit or stated), tool, **pick)


def _heading(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip()).lower()


def failed(path: Path, line: int, row: Mapping[str, Any], columns: Columns) -> bool:
    """Whether any of the columns that can say so says that this request failed; what is not understood is refused with the value."""
    good = says_yes(path, line, row[columns.success], columns.success) if columns.success else None
    bad = bool(columns.failure) and says_yes(path, line, row[columns.failure], columns.failure)
    error = bool(columns.error) and says_error(path, line, row.get(columns.error), columns.error)
    status = bool(columns.status) and failed_by_status(path, line, row[columns.status], columns.status, good)
    outcome = bool(columns.outcome) and not says_good(path, line, row[columns.outcome], columns.outcome)
    return good is False or bad or error or status or outcome


def gather(path: Path, rows: Iterable[tuple[int, Mapping[str, Any]]], unit: str, kind: str) -> Recording:
    """Rows to a recording; the columns of the first row are those of all."""
    columns: Columns | None = None
    values, times = [], []
    for line, row in rows:
        columns = columns or find_columns(path, line if kind != "CSV" else 1, row, unit)
        needed = (columns.latency, columns.time, columns.success, columns.failure, columns.status, columns.outcome)
        missing = [name for name in needed if name and name not in row]
        if missing:
            raise wrong(path, line, f"{missing[0]!r} is missing", "every line needs the fields of the first")
        value = number(path, line, row[columns.latency], columns.latency) * columns.factor
        values.append(np.inf if failed(path, line, row, columns) else value)
        if columns.time:
            times.append(moment(path, line, row[columns.time]))
    if columns is None:
        raise wrong(path, 1, "there is no sample in it", "give a file with one line a request")
    named = f"{columns.tool} {kind}".strip()
    return in_order(named, np.array(values, dtype=np.float64), np.array(times, dtype=np.float64) if times else None)


def read_csv(path: Path, unit: str) -> Recording:
    """A CSV with headings, one line a request."""
    return gather(path, csv_rows(path), unit, "CSV")


def read_json_lines(path: Path, unit: str) -> Recording:
    """One JSON object (or number) a line. vegeta's ``latency`` is in ns."""
    return gather(path, _objects(path), unit or _vegeta_unit(path), "JSON Lines")


def _vegeta_unit(path: Path) -> str:
    _, first = next(_objects(path), (0, {}))
    return "ns" if {"attack", "seq", "latency"} <= first.keys() else ""


def _objects(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in text_lines(path):
        if not text.strip():
            continue
        try:
            row = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise wrong(path, line, f"not JSON: {error}", "correct the line or remove it") from None
        yield line, _row(path, line, row)


def _row(path: Path, line: int, row: object) -> Mapping[str, Any]:
    if isinstance(row, dict):
        return row
    if isinstance(row, int | float) and not isinstance(row, bool):
        return {"value": row}
    raise wrong(path, line, "neither an object nor a number", "one object or number a sample is needed")


def read_json(path: Path, unit: str) -> Recording:
    """A JSON array of numbers or objects; the line of an error is the sample's number."""
    try:
        rows = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, OSError) as error:
        raise wrong(path, 0, f"not JSON: {error}", "give an array of samples") from None
    if not isinstance(rows, list):
        raise wrong(path, 1, "not an array of samples", "give an array of numbers or objects")
    return gather(path, ((place, _row(path, place, row)) for place, row in enumerate(rows, start=1)), unit, "JSON")


def read_numbers(path: Path, unit: str) -> Recording:
    """One number a line; lines that begin with # are comments."""
    factor = unit_factor(path, unit or "ms")
    values = [number(path, line, text, "the sample") * factor for line, text in text_lines(path) if text.strip() and text[0] != "#"]
    if not values:
        raise wrong(path, 1, "there is no sample in it", "give a file with one number a line")
    notes = () if unit else ("the unit is taken for ms (--unit)",)
    return Recording("numbers", np.array(values, dtype=np.float64), notes=notes)
