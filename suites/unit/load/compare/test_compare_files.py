"""Sample files of any tool: each form is read to the same latencies, and each broken file is refused with file, line and remedy."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from harness.core.errors import UsageError
from harness.journal.events import TrialStarted
from harness.journal.hub import JournalHub
from harness.journal.segments import SCHEMAS, SegmentWriter
from harness.load.compare.files import load, read_file

MS = [10.0, 20.0, 30.0, 40.0]
FORMS: dict[str, str] = {
    "numbers.txt": "# ms\n10\n20\n30\n40\n",
    "locust.csv": "timestamp,request_type,name,response_time,response_length,exception\n"
    + "".join(f"{1_700_000_000 + at},GET,/a,{value},2,\n" for at, value in enumerate(MS)),
    "jmeter.csv": "timeStamp,elapsed,label,responseCode,success\n"
    + "".join(f"{1_700_000_000_000 + 1000 * at},{value:.0f},a,200,true\n" for at, value in enumerate(MS)),
    "hey.csv": "response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n"
    + "".join(f"{value / 1000},0,0,0,0,0,200,{at}\n" for at, value in enumerate(MS)),
    "own.csv": "latency_us,timestamp,ok\n" + "".join(f"{value * 1000},2026-01-01T00:00:0{at}Z,true\n" for at, value in enumerate(MS)),
    "vegeta.jsonl": "".join(
        json.dumps(
            {
                "attack": "",
                "seq": at,
                "code": 200,
                "timestamp": f"2026-01-01T00:00:0{at}.123456789Z",
                "latency": int(value * 1e6),
                "error": "",
            }
        )
        + "\n"
        for at, value in enumerate(MS)
    ),
    "own.json": json.dumps([{"duration_ms": value, "timestamp": 1_700_000_000 + at} for at, value in enumerate(MS)]),
    "k6.json": '{"type":"Metric","data":{"name":"http_req_duration","type":"trend"},"metric":"http_req_duration"}\n'
    + "".join(
        json.dumps(
            {
                "type": "Point",
                "metric": "http_req_duration",
                "data": {"time": f"2026-01-01T00:00:0{at}Z", "value": value, "tags": {"expected_response": "true"}},
            }
        )
        + "\n"
        for at, value in enumerate(MS)
    ),
    "k6.csv": "metric_name,timestamp,metric_value,error,error_code,expected_response\n"
    + "".join(f"http_req_duration,{1_700_000_000 + at},{value},,,true\nvus,{1_700_000_000 + at},5,,,\n" for at, value in enumerate(MS)),
    "wrk2.hgrm": "  Detailed Percentile spectrum:\n       Value   Percentile   TotalCount 1/(1-Percentile)\n\n"
    "10.0 0.25 1 1.33\n20.0 0.5 2 2.0\n30.0 0.75 3 4.0\n40.0 1.0 4 inf\n#[Mean = 25.0]\n",
}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_latencies(tmp_path: Path, name: str) -> None:
    """10, 20, 30, 40 ms without a failure, whatever wrote them."""
    recording = read_file(write(tmp_path, name, FORMS[name]))
    assert recording.values_s == pytest.approx(np.array(MS) / 1000)
    assert (recording.requests, recording.failed) == (4, 0)
    if recording.times_s is not None:
        assert recording.span_s() == pytest.approx(3.03, abs=0.05)


def test_a_log_of_histograms_is_merged(tmp_path: Path) -> None:
    """Two intervals of an hlog are one recording within the histogram's precision, with the time they cover."""
    lines = ["#[Histogram log format version 1.3]", '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"']
    for start, values in ((0, MS[:2]), (1, MS[2:])):
        histogram = HdrHistogram(1, 3_600_000_000_000, 3)
        for value in values:
            histogram.record_value(int(value * 1e6))
        lines.append(f"Tag=a,{start}.000,1.000,{max(values)},{histogram.encode().decode()}")
    recording = read_file(write(tmp_path, "log.hlog", "\n".join(lines) + "\n"))
    assert recording.values_s == pytest.approx(np.array(MS) / 1000, rel=0.001)
    assert recording.duration_s == pytest.approx(2.0)
    broken = "\n".join([*lines[:-1], lines[-1][:-20]]) + "\n"
    with pytest.raises(UsageError, match=r"log\.hlog:4.*damaged"):
        read_file(write(tmp_path, "log.hlog", broken))


FAILING: dict[str, str] = {
    "locust.csv": FORMS["locust.csv"].replace("20.0,2,", "20.0,2,ConnectionError()"),
    "jmeter.csv": FORMS["jmeter.csv"].replace("20,a,200,true", "20,a,503,false"),
    "hey.csv": FORMS["hey.csv"].replace("200,1", "503,1"),
    "vegeta.jsonl": FORMS["vegeta.jsonl"].replace('"code": 200', '"code": 0', 1),
    "k6.json": FORMS["k6.json"].replace('"expected_response": "true"', '"expected_response": "false"', 1),
    "k6.csv": FORMS["k6.csv"].replace("20.0,,,true", "20.0,,1503,false"),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_failed_request_is_never_a_fast_one(tmp_path: Path, name: str) -> None:
    """What the tool calls failed has no latency: it is infinite, and counts in every percentile."""
    recording = read_file(write(tmp_path, name, FAILING[name]))
    assert recording.failed == 1
    assert math.isinf(recording.quantile(1.0))


def test_iterations_that_k6_dropped_are_requests_never_sent(tmp_path: Path) -> None:
    """Three dropped iterations are three infinite latencies, and the recording says so."""
    dropped = '{"type":"Point","metric":"dropped_iterations","data":{"time":"2026-01-01T00:00:01Z","value":3,"tags":{}}}\n'
    recording = read_file(write(tmp_path, "k6.json", FORMS["k6.json"] + dropped))
    assert (recording.requests, recording.failed) == (7, 3)
    assert any("dropped" in note for note in recording.notes)


def test_failures_beside_a_wrk2_table_are_counted(tmp_path: Path) -> None:
    """wrk2 says them under the table and leaves them in it: they come on top, and the rate gives the duration."""
    recording = read_file(write(tmp_path, "wrk2.txt", FORMS["wrk2.hgrm"] + "Non-2xx or 3xx responses: 2\nRequests/sec:      2.00\n"))
    assert recording.failed == 2
    assert recording.duration_s == pytest.approx(2.0)


BROKEN: dict[str, tuple[str, str]] = {
    "empty.txt": ("", r"empty.txt:1"),
    "word.txt": ("10\n20\nfast\n", r"word.txt:3.*'fast'.*not a number"),
    "negative.txt": ("10\n-1\n", r"negative.txt:2.*not negative"),
    "nan.txt": ("10\nnan\n", r"nan.txt:2"),
    "binary.txt": ("10\n\0\0\n", r"binary.txt:2.*no line of text"),
    "prose.txt": ("it went well\n", r"prose.txt:1.*unknown form"),
    "open.csv": ("latency,status\n1,200\n", r"open.csv:1.*unit.*--unit"),
    "none.csv": ("a,b\n1,2\n", r"none.csv:1.*no column of latencies"),
    "twice.csv": ("elapsed,elapsed\n1,2\n", r"twice.csv:1.*twice"),
    "fields.csv": ("elapsed,success\n1,true\n2\n", r"fields.csv:3.*1 fields"),
    "truth.csv": ("elapsed,success\n1,maybe\n", r"truth.csv:2.*'maybe'"),
    "time.csv": ("elapsed,timeStamp\n1,yesterday\n", r"time.csv:2.*'yesterday'"),
    "sums.csv": ("Type,Name,Request Count,50%,95%\nGET,/,10,5,9\n", r"sums.csv:1.*aggregates"),
    "half.jsonl": ('{"latency_ms": 1}\n{"latency_ms": \n', r"half.jsonl:2.*not JSON"),
    "other.jsonl": ('{"latency_ms": 1}\n{"elapsed": 1}\n', r"other.jsonl:2.*missing"),
    "map.json": ('[{"latency_ms": 1}, "x"]', r"map.json:2.*neither"),
    "k6.json": (
        '{"type":"Point","metric":"http_req_duration","data":{"time":"2026-01-01T00:00:00Z","value":"x"}}\n',
        r"k6.json:1.*not a point",
    ),
    "vus.json": ('{"type":"Point","metric":"vus","data":{"time":"2026-01-01T00:00:00Z","value":1}}\n', r"vus.json:1.*no sample"),
    "falling.hgrm": ("Value Percentile TotalCount 1/(1-Percentile)\n20 0.5 2 2\n10 1.0 3 inf\n", r"falling.hgrm:3.*only rise"),
    "none.hgrm": ("Value Percentile TotalCount 1/(1-Percentile)\n", r"none.hgrm:1.*no percentile table"),
    "short.hlog": ("0,1,2\n", r"short.hlog:1.*3 fields"),
    "torn.arrows": ("nothing of Arrow", r"torn.arrows.*no rows"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_with_place_and_remedy(tmp_path: Path, name: str) -> None:
    """File, line, what is wrong, and what to do; never a guess."""
    text, said = BROKEN[name]
    with pytest.raises(UsageError, match=said) as caught:
        load(str(write(tmp_path, name, text)))
    assert caught.value.remedy


def test_a_unit_given_by_the_person_is_used(tmp_path: Path) -> None:
    """--unit decides where the file says nothing, and over what is taken for granted."""
    assert read_file(write(tmp_path, "a.csv", "latency\n2\n"), unit="s").values_s == pytest.approx([2.0])
    assert read_file(write(tmp_path, "a.txt", "2\n"), unit="us").values_s == pytest.approx([2e-6])


def run_folder(folder: Path, trials: dict[str, list[float | None]]) -> Path:
    """A run with requests of these latencies (s; None: never answered)."""
    (folder / "segments").mkdir(parents=True)
    hub = JournalHub(folder / "journal.jsonl")
    for trial, latencies in trials.items():
        hub.emit(
            TrialStarted(
                trial=trial,
                scenario="s",
                layer="load",
                seed=1,
                scenario_path="s.yaml",
                plan_path=f"trials/{trial}/plan.json",
                plan_sha256="0" * 64,
            )
        )
        with SegmentWriter("requests", SCHEMAS["requests"], folder, hub, trial=trial) as writer:
            for at, latency in enumerate(latencies):
                due = 1_000_000_000 + at * 10_000_000
                done = None if latency is None else due + int(latency * 1e9)
                writer.append(
                    op="ask" if at % 2 else "other",
                    step="load",
                    intended_ns=due,
                    sent_ns=due,
                    done_ns=done,
                    status=200,
                    outcome="ok" if latency else "timeout",
                )
    hub.close()
    return folder


def test_a_run_folder_gives_a_recording_a_trial(tmp_path: Path) -> None:
    """Response times from the intended start; an unanswered request is infinite; tags choose operations; a damaged segment is refused."""
    folder = run_folder(tmp_path / "run", {"one": [0.01, 0.02, None, 0.04], "two": [0.05] * 4})
    one, two = load(str(folder))
    assert one.values_s == pytest.approx([0.01, 0.02, math.inf, 0.04])
    assert two.failed == 0
    assert load(str(folder), tags={"op": "ask"})[0].values_s == pytest.approx([0.02, 0.04])
    with pytest.raises(UsageError, match="the operations are ask, other"):
        load(str(folder), tags={"op": "nothing"})
    segments = load(str(folder / "segments"))
    assert len(segments) == 1
    assert segments[0].requests == 8


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A missing path and an empty folder are wrong usage."""
    with pytest.raises(UsageError, match="not there"):
        load(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="0 files"):
        load(str(tmp_path))
