"""Replayed arrivals: files of timestamps, earlier runs, and the places of what is wrong in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.core.errors import UsageError
from harness.core.units import Duration
from harness.load.shape.arrivals import offsets
from harness.load.shape.grammar import Trace
from harness.load.shape.trace import trace_offsets

MS = 1_000_000
GOOD = {
    "seconds.csv": "timestamp,op\n1700000000.000000001,a\n1700000000.5,b\n1700000001,c\n",
    "ns.csv": "op,at_ns\na,5000000001\nb,5500000000\nc,6000000000\n",
    "ms.csv": "at_ms\n0\n499.999999\n\n999.999999\n",
    "iso.csv": "when\n2024-05-01T10:00:00+00:00\n2024-05-01T10:00:00.5Z\n2024-05-01T12:00:01+02:00\n",
    "numbers.jsonl": "0.25\n0.75\n1.25\n",
    "members.jsonl": '{"timestamp": 1700000000.000000001}\n{"timestamp": 1700000000.5}\n\n{"timestamp": 1700000001}\n',
}


@pytest.mark.parametrize("name", GOOD)
def test_every_form_of_timestamps_gives_the_same_arrivals(name: str, tmp_path: Path) -> None:
    """Seconds, ms, ns, ISO 8601, CSV and JSON Lines: three arrivals half a second apart, rebased to the first, exact to the ns."""
    (tmp_path / name).write_text(GOOD[name])
    column = "at_ns" if name == "ns.csv" else ""
    found = trace_offsets(Trace(file=name, column=column), tmp_path)
    assert np.abs(found - np.array([0, 500, 1000]) * MS).max() <= 1
    assert trace_offsets(Trace(file=name, column=column, speed=2.0), tmp_path).tolist() == [round(value / 2) for value in found.tolist()]


BAD = {
    "backwards.csv": ("t\n1\n3\n2\n", r"backwards\.csv:4: this timestamp is 1 s before the one above; sort them"),
    "word.csv": ("t\n1\nsoon\n", r"word\.csv:3: 'soon' is no timestamp"),
    "short.csv": ("op,t\na,1\nb\n", r"short\.csv:3: this line has 1 columns; give 2"),
    "headless.csv": ("1\n2\n", r"headless\.csv:1: the first line is no heading"),
    "empty.csv": ("", r"empty\.csv: the trace has no timestamp"),
    "titles only.csv": ("t\n", r"titles only\.csv: the trace has no timestamp"),
    "nan.csv": ("t\n1\nnan\n", r"nan\.csv:3: 'nan' is no timestamp"),
    "huge.csv": ("t\n1\n1e30\n", r"huge\.csv:3: '1e30' is out of range"),
    "torn.jsonl": ('1\n{"timestamp": \n', r"torn\.jsonl:2: this line is not JSON"),
    "other.jsonl": ('{"timestmp": 1}\n', r"other\.jsonl:1: there is no member 'timestamp' \(did you mean 'timestmp'\?\)"),
    "list.jsonl": ("[1]\n", r"list\.jsonl:1: '\[1\]' is no timestamp"),
    "table.xlsx": ("", r"table\.xlsx: a trace of the kind \.xlsx; give \.csv or \.jsonl"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_trace_is_named_by_file_and_line(name: str, tmp_path: Path) -> None:
    """Whatever is wrong with a trace stops the step before anything is sent, and says where."""
    content, message = BAD[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(UsageError, match=message):
        trace_offsets(Trace(file=name, column="t" if name == "short.csv" else ""), tmp_path)


def test_a_trace_that_is_not_there_or_lacks_its_column_is_named(tmp_path: Path) -> None:
    """No file, no such column, bytes that are no text."""
    (tmp_path / "a.csv").write_text("start,op\n1,a\n")
    (tmp_path / "b.csv").write_bytes(b"t\n\xff\xfe\n")
    for trace, message in (
        (Trace(file="none.csv"), r"none\.csv: the trace cannot be read: No such file"),
        (Trace(file="a.csv", column="strat"), r"a\.csv:1: there is no column 'strat' \(did you mean 'start'\?\)"),
        (Trace(file="b.csv"), r"b\.csv: the trace is not UTF-8"),
    ):
        with pytest.raises(UsageError, match=message):
            trace_offsets(trace, tmp_path)


def test_the_requests_of_an_earlier_run_are_replayed(place: Any) -> None:
    """Intended starts of a trial, of one step where it had several; unknown ones list the known."""
    rows = [
        {"op": "ask", "step": step, "intended_ns": 10**9 + at * MS, "outcome": "ok", "status": 200}
        for step, at in (("a", 0), ("b", 30), ("a", 70))
    ]
    place.rows("requests", rows[::-1])
    folder = place.run_folder
    assert trace_offsets(Trace(run=str(folder), trial="t"), place.project).tolist() == [0, 30 * MS, 70 * MS]
    assert trace_offsets(Trace(run=str(folder), trial="t", step="a", speed=0.5), place.project).tolist() == [0, 140 * MS]
    with pytest.raises(UsageError, match=r"no request of a step 'c'.*steps: a, b"):
        trace_offsets(Trace(run=str(folder), trial="t", step="c"), place.project)
    with pytest.raises(UsageError, match="the trial 'u' has no requests"):
        trace_offsets(Trace(run=str(folder), trial="u"), place.project)


def test_the_window_bounds_a_replay_and_the_warm_up_goes_before_it(tmp_path: Path) -> None:
    """Three arrivals in two seconds, replayed in a window of one: two of them, behind a warm-up at their mean rate."""
    (tmp_path / "t.csv").write_text("t\n10\n10.5\n12\n")
    trace = Trace(file="t.csv")
    assert offsets(trace, Duration.parse("1 s"), 1, project=tmp_path).tolist() == [0, 500 * MS]
    warmed = offsets(trace, Duration.parse("1 s"), 1, warmup=Duration.parse("1 s"), project=tmp_path)
    assert warmed.tolist() == [0, 500 * MS, 1000 * MS, 1500 * MS]
