"""From what a person names to recordings: run folders, segments, folders of sample files, and the files of other tools."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.errors import UsageError, listing
from harness.journal.events import TrialStarted
from harness.journal.segments import read_segment
from harness.load.compare.hdr import HEADING, read_hgrm
from harness.load.compare.hlog import read_hlog
from harness.load.compare.k6 import read_k6_csv, read_k6_json
from harness.load.compare.lines import text_lines, wrong
from harness.load.compare.recording import Recording, in_order
from harness.load.compare.tabular import read_csv, read_json, read_json_lines, read_numbers
from harness.run.folder import JOURNAL
from harness.run.view import FolderView
from harness.thresholds.figures import MetricError, filtered, values_of

FILES_MAX = 1_000
SNIFFED_LINES = 200
NS_PER_S = 1e9
_HISTOGRAM = re.compile(r",HIST[A-Za-z0-9+/=]{8,}$")  # base64 of the cookie of any version
Tags = Mapping[str, str]


def load(given: str, *, unit: str = "", tags: Tags | None = None) -> tuple[Recording, ...]:
    """All recordings behind a name, in order. ``unit``: of files that do not say theirs; ``tags``: columns of our own samples."""
    path = Path(given)
    if path.is_dir():
        return _folder(path, unit, tags or {})
    if not path.is_file():
        raise UsageError("this is not there", file=given, remedy="give a run folder, a sample file, or a folder of sample files")
    return (read_file(path, unit=unit, tags=tags or {}),)


def read_file(path: Path, *, unit: str = "", tags: Tags | None = None) -> Recording:
    """One file, whatever it is: by its name where that says it, else by its first lines."""
    if path.suffix in {".arrows", ".arrow"}:
        return _segments([path], tags or {})
    reader = _reader(path)
    if reader is None:
        return read_hlog(path, unit, tags or {})
    if tags:
        raise UsageError("--tag works on our own samples and interval logs only", file=str(path), remedy="give a run folder or segments")
    return reader(path, unit)


def _folder(path: Path, unit: str, tags: Tags) -> tuple[Recording, ...]:
    if (path / JOURNAL).is_file():
        return _run_folder(path, tags)
    files = sorted(item for item in path.iterdir() if item.is_file() and not item.name.startswith("."))
    if not files or len(files) > FILES_MAX:
        raise UsageError(f"{len(files)} files in this folder", file=str(path), remedy=f"1 to {FILES_MAX} sample files are needed")
    if all(item.suffix == ".arrows" for item in files):
        return (_segments(files, tags),)
    return tuple(read_file(item, unit=unit, tags=tags) for item in files)


def _run_folder(path: Path, tags: Tags) -> tuple[Recording, ...]:
    """A recording a trial that carried load; damaged files raise ``DamagedRun``."""
    view = FolderView(path)
    trials = [recorded.event.trial for recorded in view.events(TrialStarted.NAME) if isinstance(recorded.event, TrialStarted)]
    tables = [(trial, view.samples("requests", trial)) for trial in trials]
    found = tuple(_from_table(path, table, "run folder", tags) for _, table in tables if table.num_rows)
    if not found:
        raise UsageError("no trial of this run has samples of requests", file=str(path), remedy="give a run that carried load")
    return found


def _segments(paths: list[Path], tags: Tags) -> Recording:
    read = [(path, *read_segment(path)) for path in paths]
    tables = [table for _, table, _ in read if table.num_rows]
    if not tables:
        raise wrong(paths[0], 0, "no rows that can be read", "give segments of the stream `requests`")
    torn = [path.name for path, _, open_tail in read if open_tail]
    recording = _from_table(paths[0], pa.concat_tables(tables, promote_options="default"), "segments", tags)
    notes = (f"{len(torn)} segments have no end: {listing(torn, 3)}",) if torn else ()
    return Recording(recording.kind, recording.values_s, times_s=recording.times_s, notes=notes)


def _from_table(path: Path, table: pa.Table, kind: str, tags: Tags) -> Recording:
    try:
        values = values_of("response_time", filtered(table, tags))
    except MetricError as error:
        raise wrong(path, 0, str(error), "give samples of the stream `requests`, and tags that are its columns") from None
    if not len(values):
        raise wrong(path, 0, "no request has these tags", f"the operations are {listing(map(str, pc.unique(table['op']).to_pylist()))}")
    return in_order(kind, values.values, values.times_ns.astype(np.float64) / NS_PER_S)


Reader = Callable[[Path, str], Recording]


def _reader(path: Path) -> Reader | None:
    """By the file's name where it says the form, else by its first lines; None for an interval log, which also takes tags."""
    if path.suffix == ".hlog":
        return None
    head = [text for _, text in itertools.islice(text_lines(path), SNIFFED_LINES)]
    first = next((text.strip() for text in head if text.strip() and not text.startswith("#")), "")
    if not first:
        raise wrong(path, 1, "the file is empty", "give a file of samples")
    if path.suffix == ".hgrm" or any(tuple(text.split()[:3]) == HEADING for text in head):
        return read_hgrm
    if '"StartTimestamp"' in first or _HISTOGRAM.search(first):
        return None
    return _text_reader(path, first)


def _text_reader(path: Path, first: str) -> Reader:
    compact = first.replace(" ", "")
    if first.startswith("{") and ('"type":"Point"' in compact or '"type":"Metric"' in compact):
        return lambda file, _unit: read_k6_json(file)
    if first.startswith("["):
        return read_json
    if first.startswith("{"):
        return read_json_lines
    if first.startswith("metric_name,"):
        return lambda file, _unit: read_k6_csv(file)
    if _is_number(first):
        return read_numbers
    if "," in first or path.suffix == ".csv":
        return read_csv
    raise wrong(path, 1, f"unknown form: {first[:60]!r}", "give CSV with headings, JSON, JSON Lines, k6, .hgrm, .hlog, or numbers")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
