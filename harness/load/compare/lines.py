"""Reading foreign text files strictly: every error names the file, the line and what to do."""

from __future__ import annotations

import csv
import datetime as dt
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core.errors import UsageError, listing
from harness.load.compare.recording import UNITS

LINE_MAX = 1_000_000  # characters
ROWS_MAX = 50_000_000
RECORD_LINES_MAX = 1_000  # that a quoted text of one record may span
_SECONDS = 1e11  # a time stamp above it is in ms, above 1e14 in µs, above 1e17 in ns


def wrong(path: Path, line: int, message: str, remedy: str) -> UsageError:
    """The error of this room."""
    return UsageError(message, file=str(path), line=line, remedy=remedy)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines without their ends; a NUL, a broken character or an endless line is an error."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            number = 0
            while raw := stream.readline(LINE_MAX):
                number += 1
                if len(raw) >= LINE_MAX or "\0" in raw:
                    raise wrong(path, number, "this is no line of text", "give a text file of samples")
                if number > ROWS_MAX:
                    raise wrong(path, number, f"more than {ROWS_MAX} lines", "give a shorter recording")
                yield number, raw.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise wrong(path, 0, f"not UTF-8 text: {error.reason} at byte {error.start}", "give a text file of samples") from None
    except OSError as error:
        raise wrong(path, 0, f"cannot be read: {error.strerror}", "check the path and its permissions") from None


def number(path: Path, line: int, text: object, what: str) -> float:
    """A finite number that is not negative."""
    try:
        value = float(str(text))
    except ValueError:
        raise wrong(path, line, f"{what} is {str(text)[:40]!r}, not a number", "correct the line or remove it") from None
    if isinstance(text, bool) or not math.isfinite(value) or value < 0:
        raise wrong(path, line, f"{what} is {str(text)[:40]}", "a finite number that is not negative is needed")
    return value


def moment(path: Path, line: int, text: object) -> float:
    """A time stamp in seconds: seconds, ms, µs or ns since 1970 by their size, or ISO 8601."""
    try:
        value = float(str(text))
    except ValueError:
        return _iso(path, line, str(text))
    if not math.isfinite(value) or value < 0:
        raise wrong(path, line, f"the time is {str(text)[:40]}", "seconds since 1970 or ISO 8601 is needed")
    for factor in (1.0, 1e3, 1e6):
        if value < _SECONDS * factor:
            return value / factor
    return value / 1e9


def _iso(path: Path, line: int, text: str) -> float:
    head, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789"))
    trimmed = f"{head}.{rest[: min(digits, 6)]}{rest[digits:]}" if dot else text  # Go writes nanoseconds, Python reads microseconds
    try:
        parsed = dt.datetime.fromisoformat(trimmed)
    except ValueError:
        raise wrong(path, line, f"the time is {text[:40]!r}", "seconds since 1970 or ISO 8601 is needed") from None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)).timestamp()


def unit_factor(path: Path, unit: str) -> float:
    """Seconds in one of ``unit``."""
    if unit not in UNITS:
        raise wrong(path, 0, f"unknown unit {unit!r}", f"one of {listing(UNITS)} is needed")
    return UNITS[unit]


def csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows of a CSV with headings, by the line they begin in; a quoted field may span lines. Too few or too many fields are an error."""
    records = _records(path)
    first = next(records, None)
    if first is None:
        raise wrong(path, 1, "the file is empty", "give a file of samples")
    headings = [name.strip() for name in first[1]]
    if len(set(headings)) != len(headings):
        raise wrong(path, 1, "a heading stands twice", "rename one of them")
    for line, fields in records:
        if len(fields) != len(headings):
            raise wrong(path, line, f"{len(fields)} fields, the headings are {len(headings)}", "correct the line or remove it")
        yield line, dict(zip(headings, fields, strict=True))


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Records that are not blank with the line each begins in."""
    begun = 1

    def lines() -> Iterator[str]:
        for line, text in text_lines(path):
            if line - begun >= RECORD_LINES_MAX:
                raise wrong(path, begun, f"a quote is open for {RECORD_LINES_MAX} lines", "close it, or double it inside a quoted field")
            yield text + "\n"

    reader = csv.reader(lines(), strict=True)
    while True:
        begun = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise wrong(path, begun, f"no line of a CSV: {error}", "close the quote, or double it inside a quoted field") from None
        if any(field.strip() for field in fields):
            yield begun, fields
