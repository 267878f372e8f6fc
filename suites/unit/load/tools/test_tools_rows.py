"""What load tools write, read back: whole rows as they were written, and for every broken line its file and number."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from harness.load.k6_stream import K6Stream, StageRow
from harness.load.locust_plan import COLUMNS
from harness.load.locust_rows import Tail, read_line
from harness.load.tool_rows import CanaryRow, RequestRow, ToolError

HEAD = ",".join(COLUMNS)
START = "start,,,100,,,0,ok,0,,"
ASKED = "request,retrieve,dose,1000,1200,5000,200,ok,321,locust-1-0-1,"
UNSENT = "request,retrieve,,2000,,,0,unsent,0,,"
CANARY = "canary,,,10,20,5030,0,ok,0,,5000"
GOLDEN = (Path(__file__).parent / "k6_stream.csv").read_text()
WALL_NS = 1_795_286_000_000_000_000  # so much later the wall clock of the golden file is
MS = 1_000_000


def tail_of(folder: Path, *lines: str, name: str = "s.7.csv") -> Tail:
    (folder / name).write_text("\n".join(lines) + "\n")
    return Tail(folder / "s")


def test_rows_of_locust_are_read_as_they_were_written(tmp_path: Path) -> None:
    """A start, a request, one never sent, a canary."""
    rows = list(tail_of(tmp_path, HEAD, START, ASKED, UNSENT, CANARY).finish())
    assert rows == [
        100,
        RequestRow("retrieve", "dose", 1000, 1200, 5000, 200, "ok", 321, "locust-1-0-1"),
        RequestRow("retrieve", "", 2000, None, None, 0, "unsent"),
        CanaryRow(10, 20, 5030, 5000, "ok"),
    ]


def test_files_are_read_while_they_grow_and_a_half_line_waits(tmp_path: Path) -> None:
    """Two processes write; what is whole comes once, in order, however the pieces fall."""
    tail = tail_of(tmp_path, HEAD, START)
    assert list(tail.rows()) == [100]
    with (tmp_path / "s.7.csv").open("a") as stream:
        stream.write(ASKED[:20])
        stream.flush()
        assert list(tail.rows()) == []
        stream.write(ASKED[20:] + "\n" + CANARY[:5])
    (tmp_path / "s.8.csv").write_text(f"{HEAD}\n{START}\n")
    assert [type(row) for row in tail.rows()] == [RequestRow, int]
    with pytest.raises(ToolError, match=r"s\.7\.csv:4: the line is torn: b'canar'"):
        list(tail.finish())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (ASKED.replace("1200", "soon"), "invalid literal"),
        (ASKED.replace(",ok,", ",fine,"), "'fine' is no outcome"),
        (ASKED + ",more", "12 cells, 11 wanted"),
        (ASKED[:30], "cells, 11 wanted"),
        ("begin" + START[5:], "unknown kind 'begin'"),
        (START.replace("100", ""), "unknown kind 'start'"),
        (ASKED.replace("locust-1", '"locust-1'), "unexpected end of data"),
        ("", "no row|0 cells"),
        (ASKED.replace(",200,", ",two hundred,"), "invalid literal"),
    ],
)
def test_each_bad_line_of_locust_is_named(tmp_path: Path, line: str, reason: str) -> None:
    """File, line number, reason; the good ones before it are not lost."""
    tail = tail_of(tmp_path, HEAD, START, line, ASKED)
    rows: list[Any] = []
    with pytest.raises(ToolError, match=rf"s\.7\.csv:3: .*({reason})"):
        rows.extend(tail.finish())
    with pytest.raises(ToolError, match="x:9"):
        read_line(line, "x", 9)


def test_another_file_is_not_taken_for_samples(tmp_path: Path) -> None:
    """A file with another heading, or one endless line."""
    with pytest.raises(ToolError, match=r"s\.7\.csv:1: not the header"):
        list(tail_of(tmp_path, "a,b,c", START).rows())
    with pytest.raises(ToolError, match=r"s\.7\.csv:1: longer than"):
        (tmp_path / "s.7.csv").write_text("x" * 5000)
        list(Tail(tmp_path / "s").rows())


# --- k6 ---------------------------------------------------------------------------------------------------------------


def fed(*lines: str) -> list[Any]:
    stream = K6Stream(WALL_NS)
    return [row for line in lines for row in stream.feed(line)] + list(stream.finish())


def test_the_golden_stream_of_k6_gives_one_row_a_request() -> None:
    """One canary with its hold, two questions with their due times 200 ms apart, all on our clock."""
    rows = fed(*GOLDEN.splitlines())
    canary = next(row for row in rows if isinstance(row, CanaryRow))
    asked = sorted((row for row in rows if isinstance(row, RequestRow)), key=lambda row: row.intended_ns or 0)
    assert len(rows) == 3
    assert canary.held_ns > 5 * MS
    assert (canary.done_ns or 0) - (canary.sent_ns or 0) >= canary.held_ns
    assert [row.request_id for row in asked] == ["retrieve-0", "retrieve-1"]
    assert (asked[1].intended_ns or 0) - (asked[0].intended_ns or 0) == 200 * MS
    for row in asked:
        assert row.intended_ns is not None
        assert row.sent_ns is not None
        assert row.first_byte_ns is not None
        assert row.done_ns is not None
        assert row.intended_ns - MS <= row.sent_ns < row.first_byte_ns <= row.done_ns
        assert (row.op, row.status, row.outcome) == ("retrieve", 200, "ok")
        assert 15 * MS < row.done_ns - row.sent_ns < 60 * MS  # the server of that day took 20 ms
        assert 0 < row.sent_ns < 1000 * 10**9


def line(metric: str, value: object, *, status: int = 200, code: str = "", request: str = "r-0", tags: str = "op=ask") -> str:
    return f"{metric},{WALL_NS + 10**9},{value},{code},ask,{status or ''},{tags},request={request}&planned_ms={WALL_NS / 1e6 + 900:.3f}"


COLUMNS_OF_K6 = GOLDEN.splitlines()[0]


@pytest.mark.parametrize(
    ("lines", "outcome"),
    [
        ([line("http_req_duration", 20), line("checks", 1)], "ok"),
        ([line("http_req_duration", 20), line("checks", 0)], "bad_body"),
        ([line("http_req_duration", 20, status=503)], "http_error"),
        ([line("http_req_duration", 20, status=429)], "rate_limited"),
        ([line("http_req_duration", 10_000, status=0, code="1050")], "timeout"),
        ([line("http_req_duration", 0, status=0, code="1212")], "connection_error"),
    ],
)
def test_what_became_of_a_request_is_kept(lines: list[str], outcome: str) -> None:
    """A failed check, an error, a rate limit, a time-out, a refused connection: each has its outcome."""
    (row,) = fed(COLUMNS_OF_K6, *lines, line("iteration_duration", 21))
    assert row.outcome == outcome
    assert (row.done_ns is None) == (outcome in {"timeout", "connection_error"})


def test_dropped_iterations_become_requests_never_sent() -> None:
    """Two dropped: two rows without a send, at the time of the drop; a dropped canary is a canary and no fault of the plan."""
    stream = K6Stream(WALL_NS)
    lines = (COLUMNS_OF_K6, line("dropped_iterations", 2, status=0), line("dropped_iterations", 1, tags="op=canary"))
    rows = [row for text in lines for row in stream.feed(text)]
    assert stream.dropped == 2
    assert rows[:2] == [RequestRow("ask", "", 10**9, None, None, 0, "unsent")] * 2
    assert rows[2] == CanaryRow(10**9, None, None, 0, "unsent")


def test_stages_of_an_answer_are_seconds() -> None:
    """The system's own timing of a stage, given by k6 in ms."""
    assert fed(COLUMNS_OF_K6, line("stage_ms", 12.5, tags="op=ask&stage=bm25")) == [StageRow(10**9, "bm25", 0.0125)]


def test_a_request_without_metadata_has_no_intended_start() -> None:
    """A foreign script: the row is there, and says that nobody knows when it was due."""
    (row,) = fed(COLUMNS_OF_K6, f"http_req_duration,{WALL_NS},20,,default,200,,")
    assert (row.op, row.intended_ns) == ("default", None)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (line("http_req_duration", "quick"), "could not convert"),
        (line("http_req_duration", 20).replace(str(WALL_NS + 10**9), "now"), "invalid literal"),
        (line("http_req_duration", 20) + ",more", "9 cells, 8 wanted"),
        (line("http_req_duration", 20)[:40], "cells, 8 wanted"),
        (line("http_req_duration", 20, code="bad"), "invalid literal"),
        (line("http_req_duration", 20).replace("planned_ms=", "planned_ms=x"), "could not convert"),
        ('"open quote', "unexpected end"),
        ("", "no row|0 cells"),
    ],
)
def test_each_bad_line_of_k6_is_named(bad: str, reason: str) -> None:
    """The number of the line and what is wrong with it."""
    with pytest.raises(ToolError, match=rf"k6's stream:3: .*({reason})"):
        fed(COLUMNS_OF_K6, line("http_reqs", 1), bad)


def test_another_heading_is_refused() -> None:
    """A stream of another version lacks columns: their names are said."""
    with pytest.raises(ToolError, match=r"k6's stream:1: the heading lacks .*metadata"):
        fed("metric_name,timestamp,metric_value,error_code,scenario,status,extra_tags")


def test_a_long_stream_takes_no_more_memory_than_a_short_one() -> None:
    """5,000 iterations pass through; none of them stays."""
    stream = K6Stream(WALL_NS)
    list(stream.feed(COLUMNS_OF_K6))
    rows = 0
    tracemalloc.start()
    try:
        for number in range(5_000):
            if number == 1_000:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
            for text in (line("http_req_duration", 20, request=f"r-{number}"), line("iteration_duration", 21, request=f"r-{number}")):
                rows += sum(1 for _ in stream.feed(text))
        grown = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert rows == 5_000
    assert grown < 200_000


def test_iterations_that_never_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests whose iteration does not end are let go, oldest first, and still become rows."""
    monkeypatch.setattr("harness.load.k6_stream.PENDING_MAX", 10)
    rows = fed(COLUMNS_OF_K6, *(line("http_req_duration", 20, request=f"r-{number}") for number in range(30)))
    assert [row.request_id for row in rows] == [f"r-{number}" for number in range(30)]
