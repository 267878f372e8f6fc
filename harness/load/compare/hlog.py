"""Interval logs of HdrHistogram (``.hlog``): the legend says what each column is; intervals of several tags are never added unasked."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from harness.core.errors import listing, nearest_word
from harness.load.compare.hdr import histogram_recording
from harness.load.compare.hdr_codec import DamagedHistogramError, UnknownVersionError, decode
from harness.load.compare.lines import number, text_lines, unit_factor, wrong
from harness.load.compare.recording import Recording

START, LENGTH, END, MAX, HISTOGRAM = "StartTimestamp", "Interval_Length", "EndTimestamp", "Interval_Max", "Interval_Compressed_Histogram"
USUAL: Final = (START, LENGTH, MAX, HISTOGRAM)  # of a log without a legend
UNTAGGED: Final = "(none)"
WRITER: Final = "give the log of HdrHistogram's HistogramLogWriter"
Tags = Mapping[str, str]


@dataclasses.dataclass(frozen=True, slots=True)
class Interval:
    """One line: seconds since the log's base, and its histogram in base64."""

    line: int
    tag: str
    start_s: float
    end_s: float
    encoded: str


def read_hlog(path: Path, unit: str, tags: Tags) -> Recording:
    """The intervals of one tag, merged. Values are ns unless said otherwise."""
    factor = unit_factor(path, unit or "ns")
    counts: Counter[float] = Counter()
    intervals = list(_chosen(path, list(_intervals(path)), tags))
    for interval in intervals:
        try:
            counts.update(decode(interval.encoded))
        except UnknownVersionError as other:
            raise wrong(path, interval.line, f"the histogram is of another version: {other}", "write the log with HdrHistogram 2") from None
        except DamagedHistogramError as damage:
            raise wrong(path, interval.line, f"the histogram is damaged: {damage}", "correct the line or remove it") from None
    if not counts:
        raise wrong(path, 1, "no interval with a count", WRITER)
    duration = max(item.end_s for item in intervals) - min(item.start_s for item in intervals)
    notes = () if unit else ("the unit is taken for ns (--unit)",)
    return histogram_recording("hlog", counts, factor, 0, duration or None, notes)


def _intervals(path: Path) -> Iterator[Interval]:
    columns: Sequence[str] = USUAL
    for line, text in text_lines(path):
        stripped = text.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if stripped.startswith('"'):
            columns = _legend(path, line, stripped)
            continue
        head, _, rest = stripped.partition(",")
        tag = head.removeprefix("Tag=") if head.startswith("Tag=") else UNTAGGED
        yield _interval(path, line, tag, (rest if tag is not UNTAGGED else stripped).split(","), columns)


def _legend(path: Path, line: int, text: str) -> Sequence[str]:
    names = [name.strip() for name in next(csv.reader([text]))]
    missing = [name for name in (START, HISTOGRAM) if name not in names]
    if missing or not {LENGTH, END} & set(names):
        lost = missing[0] if missing else f"{LENGTH} or {END}"
        raise wrong(
            path, line, f"the legend has no {lost} (columns: {listing(names)})", "give the log of HdrHistogram's HistogramLogWriter"
        )
    return names


def _interval(path: Path, line: int, tag: str, fields: Sequence[str], columns: Sequence[str]) -> Interval:
    if len(fields) != len(columns):
        raise wrong(path, line, f"{len(fields)} fields; an interval has {len(columns)}", "correct the line or remove it")
    given = dict(zip(columns, fields, strict=True))
    start = number(path, line, given[START], "the start")
    end = number(path, line, given[END], "the end") if END in given else start + number(path, line, given[LENGTH], "the length")
    if end < start:
        raise wrong(path, line, f"the interval ends at {end:g} s, before its start at {start:g} s", "correct the line or remove it")
    return Interval(line, tag, start, end, given[HISTOGRAM])


def _chosen(path: Path, intervals: Sequence[Interval], tags: Tags) -> Iterator[Interval]:
    """The intervals of the tag that was asked for; of the only one where none was."""
    known = list(dict.fromkeys(item.tag for item in intervals))
    if tags.keys() - {"tag"}:
        raise wrong(path, 0, f"an interval log has no column {next(iter(tags))!r}", "choose with --tag tag=NAME")
    wanted = tags.get("tag")
    if wanted is None and len(known) > 1:
        raise wrong(path, 0, f"the log holds several recordings, by tag: {listing(known)}", "choose one with --tag tag=NAME")
    if wanted is not None and wanted not in known:
        near = nearest_word(wanted, known)
        raise wrong(
            path, 0, f"no interval has the tag {wanted!r}", f"{f'did you mean {near!r}? ' if near else ''}the tags are {listing(known)}"
        )
    return (item for item in intervals if wanted in {None, item.tag})
