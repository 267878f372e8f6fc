"""What a foreign file says about failures, tags, times and encodings: understood in every common spelling, or refused with the value."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram

from harness.core.errors import UsageError
from harness.load.compare.files import read_file
from harness.load.compare.hdr_codec import DamagedHistogramError, UnknownVersionError, decode, encode_older

COUNT = 40


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def failures(folder: Path, column: str, value: str) -> int:
    text = f"latency_ms,{column}\n" + f'21.5,"{value}"\n' * COUNT
    return read_file(write(folder, "samples.csv", text)).failed


NO_ERROR = [
    "",
    "false",
    "False",
    "0",
    "0.0",
    "-",
    "--",
    "–",
    "none",
    "None",
    "NULL",
    "nan",
    "n/a",
    "nil",
    "no",
    "OK",
    "no error",
    "No_Error",
    "[]",
]
ERROR = ["true", "1", "1050", "connection refused", "TimeoutError: 5 s", "KO", "yes", "EOF", "-1", "ошибка"]


@pytest.mark.parametrize("column", ["error", "exception"])
@pytest.mark.parametrize(("values", "failed"), [(NO_ERROR, 0), (ERROR, COUNT)])
def test_error_columns_are_read_as_they_are_written(tmp_path: Path, column: str, values: list[str], failed: int) -> None:
    """Every common spelling of no error is none; any other word or number is one."""
    assert {value: failures(tmp_path, column, value) for value in values} == dict.fromkeys(values, failed)


HEADINGS = [("Error", "boom"), ("ERROR", "x"), ("error_message", "x"), ("failure message", "x"), ("is_error", "True"), ("Success", "false")]
HEADINGS += [("STATUS", "503"), ("http-status", "503"), ("outcome", "fail"), ("result", "timeout"), ("Has Error", "1")]


@pytest.mark.parametrize(("heading", "value"), HEADINGS)
def test_headings_are_known_in_every_common_form(tmp_path: Path, heading: str, value: str) -> None:
    """Upper case, blanks, dashes, the names of several tools: a column that says what failed is not passed over."""
    assert failures(tmp_path, heading, value) == COUNT


STATUS_GOOD = [
    "200",
    "204",
    "301",
    "OK",
    "ok",
    "success",
    "Passed",
    "200 OK",
    "HTTP 200",
    "HTTP/1.1 200 OK",
    "200.0",
    "2xx",
    "201: Created",
]
STATUS_BAD = [
    "500",
    "503 Service Unavailable",
    "404",
    "0",
    "000",
    "-1",
    "",
    "None",
    "fail",
    "ERROR",
    "timeout",
    "5XX",
    "HTTP/2 502",
    "Non HTTP response code: java.net.SocketException",
]


@pytest.mark.parametrize("column", ["status", "responseCode", "code"])
def test_status_columns_are_read_as_they_are_written(tmp_path: Path, column: str) -> None:
    """Codes with or without their words, OK and its kin, and no answer at all."""
    said = {value: failures(tmp_path, column, value) for value in [*STATUS_GOOD, *STATUS_BAD]}
    assert said == dict.fromkeys(STATUS_GOOD, 0) | dict.fromkeys(STATUS_BAD, COUNT)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("error", "?"),
        ("error", "***"),
        ("status", "maybe"),
        ("status", "777"),
        ("status", "20"),
        ("success", "perhaps"),
        ("failed", "??"),
        ("success", ""),
    ],
)
def test_what_is_not_understood_is_refused_with_the_value(tmp_path: Path, column: str, value: str) -> None:
    """A guess either way would be a false verdict."""
    with pytest.raises(UsageError, match=r"samples\.csv:2: .*neither failed nor not") as raised:
        failures(tmp_path, column, value)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize(
    ("row", "failed"),
    [
        ("500,true,", True), ("0,true,", True), ("404,true,", False), ("404,false,", True), ("200,false,", True),
        ("200,true,boom", True), ("200,true,none", False),
    ],
)  # fmt: skip
def test_5xx_and_0_are_failures_whatever_else_is_said(tmp_path: Path, row: str, failed: bool) -> None:
    """A column of successes may excuse a 404; it excuses neither a 500 nor a missing answer."""
    path = write(tmp_path, "samples.csv", "latency_ms,status,success,error\n" + f"20,{row}\n" * COUNT)
    assert read_file(path).failed == (COUNT if failed else 0)


K6_TAGS = [
    ({"status": "500"}, True),
    ({"status": "0"}, True),
    ({"status": "503", "expected_response": "true"}, True),
    ({"status": "0", "error_code": ""}, True),
    ({"status": "404", "expected_response": "true"}, False),
    ({"status": "404"}, True),
    ({"status": "200"}, False),
    ({"expected_response": "false"}, True),
    ({"error_code": "1050"}, True),
    ({"error_code": "0", "error": ""}, False),
    ({"method": "GET"}, False),
]


@pytest.mark.parametrize(("tags", "failed"), K6_TAGS)
@pytest.mark.parametrize("form", ["json", "csv"])
def test_k6_streams_fail_by_any_tag_they_have(tmp_path: Path, form: str, tags: dict[str, str], failed: bool) -> None:
    """Whatever systemTags were kept, in both forms: status speaks first, then expected_response, then errors."""
    if form == "json":
        point = {"type": "Point", "metric": "http_req_duration", "data": {"time": "2024-05-01T10:00:00Z", "value": 7.5, "tags": tags}}
        path = write(tmp_path, "k6.json", (json.dumps(point) + "\n") * COUNT)
    else:
        head = ",".join(["metric_name", "timestamp", "metric_value", *tags])
        path = write(
            tmp_path, "k6.csv", f"{head}\n" + ",".join(["http_req_duration", "1714557600", "7.5", *tags.values()]).join(["", "\n"]) * COUNT
        )
    assert read_file(path).failed == (COUNT if failed else 0)


def test_k6_without_tags_says_by_its_own_rate_which_requests_failed(tmp_path: Path) -> None:
    """``http_req_failed`` has a sample a request; where the counts differ, nothing is guessed."""
    rows = ["metric_name,timestamp,metric_value"]
    for number in range(COUNT):
        rows += [f"http_req_duration,1714557600,{number + 1}", f"http_req_failed,1714557600,{number % 2}"]
    found = read_file(write(tmp_path, "k6.csv", "\n".join(rows) + "\n"))
    assert (found.requests, found.failed) == (COUNT, COUNT // 2)
    with pytest.raises(UsageError, match="no tag says which"):
        read_file(write(tmp_path, "cut.csv", "\n".join([*rows, "http_req_duration,1714557600,3"]) + "\n"))


JTL = "timeStamp,elapsed,label,responseCode,success,failureMessage\n"
QUOTED = ['"one\ntwo"', '"a ""quoted"" word"', '"comma, inside"', '"\n\n"', '"cr\r\nlf"', '"\u00fcber"']


@pytest.mark.parametrize("message", QUOTED)
def test_a_quoted_field_may_hold_line_breaks_commas_and_quotes(tmp_path: Path, message: str) -> None:
    """Valid CSV is read, and later errors name the line where their record begins."""
    row = f"1714557600000,31,T,500,false,{message}\n"
    path = write(tmp_path, "run.jtl", JTL + row + "1714557600100,20,T,200,true,\n" * COUNT)
    found = read_file(path)
    assert (found.requests, found.failed) == (COUNT + 1, 1)
    broken = write(tmp_path, "broken.jtl", JTL + row + "1714557600100,20,T\n")
    line = 3 + message.count("\n")
    with pytest.raises(UsageError, match=rf"broken\.jtl:{line}: 3 fields"):
        read_file(broken)


@pytest.mark.parametrize("tail", ["", "1,2,T,200,true,\n" * 2_000])
def test_a_quote_that_is_never_closed_is_named_where_it_opens(tmp_path: Path, tail: str) -> None:
    """The rest of the file is not swallowed as one field."""
    path = write(tmp_path, "open.jtl", JTL + "1,2,T,200,true,\n" + '1,2,T,500,false,"never closed\n' + tail)
    with pytest.raises(UsageError, match=r"open\.jtl:3: .*"):
        read_file(path)


def histogram(seed: int, count: int = 1_000) -> HdrHistogram:
    made = HdrHistogram(1, 3_600_000_000, 3)
    draw = random.Random(seed)
    for _ in range(count):
        made.record_value(round(draw.lognormvariate(15, 1)))
    return made


LEGEND = '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'


def hlog(folder: Path, intervals: list[str], legend: str = LEGEND, name: str = "log.hlog") -> Path:
    return write(folder, name, "#[StartTime: 1714557600.000 (seconds since epoch)]\n" + legend + "".join(f"{item}\n" for item in intervals))


def encoded(made: HdrHistogram, version: int, words: int = 8) -> str:
    return made.encode().decode() if version == 2 else encode_older(made, version, words)


@pytest.mark.parametrize(("version", "words"), [(0, 8), (0, 4), (0, 2), (1, 8), (1, 4), (1, 2), (2, 9)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_versions_of_an_encoding_hold_the_same_counts(version: int, words: int, seed: int) -> None:
    """V0 and V1 with words of 2, 4 and 8 bytes, and V2: decoded value by value as they were recorded."""
    made = histogram(seed)
    wanted: Counter[float] = Counter()
    for item in made.get_recorded_iterator():
        wanted[float(made.get_highest_equivalent_value(item.value_iterated_to))] += item.count_at_value_iterated_to
    assert decode(encoded(made, version, words)) == wanted
    assert sum(wanted.values()) == 1_000


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_log_of_any_version_is_one_recording(tmp_path: Path, version: int) -> None:
    """Without the name .hlog, without a legend, with one: the form is recognised by its first interval."""
    lines = [f"{second}.0,1.0,30.0,{encoded(histogram(second), version)}" for second in range(5)]
    for path in (
        hlog(tmp_path, lines),
        hlog(tmp_path, lines, ""),
        hlog(tmp_path, lines, name="log.txt"),
        hlog(tmp_path, lines, "", "bare.txt"),
    ):
        found = read_file(path, unit="us")
        assert (found.requests, found.duration_s) == (5_000, 5.0)


@pytest.mark.parametrize(
    "legend", [LEGEND.replace("Interval_Length", "EndTimestamp"), LEGEND.replace('"Interval_Length"', '"EndTimestamp","Interval_Length"')]
)
def test_an_end_time_is_an_end_time(tmp_path: Path, legend: str) -> None:
    """The legend says what the second column is: ten intervals of a second last ten seconds, not nineteen."""
    more = "1.0," if "Interval_Length" in legend else ""
    lines = [f"{second}.0,{second + 1}.0,{more}30.0,{encoded(histogram(second, 100), 2)}" for second in range(10)]
    found = read_file(hlog(tmp_path, lines, legend), unit="us")
    assert (found.requests, found.duration_s, found.throughput()) == (1_000, 10.0, 100.0)


def test_tags_are_chosen_or_refused_and_never_added(tmp_path: Path) -> None:
    """Raw and corrected recordings of the same requests: a refusal lists the tags, a choice reads one, a wrong one is corrected."""
    both = [f"{tag}0.0,1.0,30.0,{encoded(histogram(7, count), 2)}" for tag, count in (("Tag=raw,", 100), ("Tag=co-fixed,", 250), ("", 40))]
    path = hlog(tmp_path, both)
    with pytest.raises(UsageError, match=r"by tag: \(none\), co-fixed, raw; choose one with --tag tag=NAME"):
        read_file(path)
    assert [read_file(path, tags={"tag": tag}).requests for tag in ("raw", "co-fixed", "(none)")] == [100, 250, 40]
    with pytest.raises(UsageError, match="did you mean 'raw'"):
        read_file(path, tags={"tag": "rwa"})
    with pytest.raises(UsageError, match="no column 'op'"):
        read_file(path, tags={"op": "x"})
    assert read_file(hlog(tmp_path, both[:1])).requests == 100


UNKNOWN = {
    "a later version": "HISTJQAAAA==",
    "a DoubleHistogram": "DHISTgAAAAEAAA==",
}


@pytest.mark.parametrize("text", UNKNOWN.values(), ids=UNKNOWN)
def test_another_version_is_never_called_damaged(tmp_path: Path, text: str) -> None:
    """What cannot be read for its version says so, and which versions can."""
    with pytest.raises(UnknownVersionError, match="V0, V1 and V2"):
        decode(text)
    with pytest.raises(UsageError, match=r"log\.hlog:3: the histogram is of another version") as raised:
        read_file(hlog(tmp_path, [f"0.0,1.0,30.0,{text}"]))
    assert "damaged" not in str(raised.value)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_a_damaged_histogram_is_damaged_whatever_was_flipped(version: int) -> None:
    """200 random cuts and flips a version: decoded, or refused by one of the two errors; never anything else."""
    text, draw = encoded(histogram(5, 50), version), random.Random(version)
    for _ in range(200):
        place = draw.randrange(6, len(text))
        broken = text[:place] if draw.random() < 0.5 else text[:place] + draw.choice("ABCxyz019+/=!") + text[place + 1 :]
        try:
            counts = decode(broken)
        except (DamagedHistogramError, UnknownVersionError):
            continue
        assert all(np.isfinite(value) and count > 0 for value, count in counts.items())
