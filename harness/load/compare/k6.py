"""What k6 streams: ``--out json=FILE`` and ``--out csv=FILE``. An iteration that k6 dropped was a request that was never sent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.load.compare.lines import csv_rows, moment, number, text_lines, wrong
from harness.load.compare.outcomes import k6_failed
from harness.load.compare.recording import Recording, in_order

LATENCY, DROPPED, FAILED = "http_req_duration", "dropped_iterations", "http_req_failed"
FROM_SEND = "k6 counts from the send, not from the intended start"


class _Data(msgspec.Struct, frozen=True):
    time: str = ""
    value: float = 0.0
    tags: dict[str, str] | None = None


class _Point(msgspec.Struct, frozen=True):
    type: str
    metric: str
    data: _Data


Sample = tuple[int, str, object, object, bool]  # line, metric, time, value, failed


def read_k6_json(path: Path) -> Recording:
    """The JSON stream."""
    return _gather(path, _json_samples(path), "k6 JSON")


def read_k6_csv(path: Path) -> Recording:
    """The CSV stream."""
    return _gather(path, _csv_samples(path), "k6 CSV")


def _json_samples(path: Path) -> Iterable[Sample]:
    decoder = msgspec.json.Decoder(_Point)
    for line, text in text_lines(path):
        if not text.strip():
            continue
        try:
            point = decoder.decode(text)
        except msgspec.ValidationError as error:
            if '"type":"Metric"' in text.replace(" ", ""):
                continue  # the declaration of a metric: its data has another form
            raise wrong(path, line, f"not a point of k6: {error}", "correct the line or remove it") from None
        except msgspec.DecodeError as error:
            raise wrong(path, line, f"not JSON: {error}", "correct the line or remove it") from None
        if point.type == "Point":
            tags: dict[str, Any] = point.data.tags or {}
            yield line, point.metric, point.data.time, point.data.value, k6_failed(path, line, tags)


def _csv_samples(path: Path) -> Iterable[Sample]:
    for line, row in csv_rows(path):
        missing = [name for name in ("metric_name", "timestamp", "metric_value") if name not in row]
        if missing:
            raise wrong(path, 1, f"no column {missing[0]!r}", "give what k6 --out csv wrote")
        yield line, row["metric_name"], row["timestamp"], row["metric_value"], k6_failed(path, line, row)


def _gather(path: Path, samples: Iterable[Sample], kind: str) -> Recording:
    values: list[float] = []
    times: list[float] = []
    marks: list[float] = []  # of http_req_failed: one a request, in the order of the requests
    dropped, told = 0, 0
    for line, metric, at, value, failed in samples:
        if metric == DROPPED:
            count = int(number(path, line, value, metric))
            dropped += count
            values += [np.inf] * count
            times += [moment(path, line, at)] * count
        elif metric == LATENCY:
            told += failed
            values.append(np.inf if failed else number(path, line, value, metric) / 1000)
            times.append(moment(path, line, at) - number(path, line, value, metric) / 1000)  # k6 stamps the end
        elif metric == FAILED:
            marks.append(number(path, line, value, metric))
    if not values:
        raise wrong(path, 1, f"no sample of {LATENCY}", "give the stream of a k6 run that sent HTTP requests")
    notes = [FROM_SEND, *([f"{dropped} dropped iterations are counted as requests never sent"] if dropped else [])]
    latencies = np.array(values, dtype=np.float64)
    if not told and any(marks):
        # The tags were switched off: only k6's own rate says which requests failed, a sample a request in the same order.
        if dropped or len(marks) != len(values):
            raise wrong(
                path, 1, f"{sum(marks):.0f} requests failed and no tag says which", "keep k6's system tags status and expected_response"
            )
        latencies[np.array(marks) > 0] = np.inf
        notes.append(f"which requests failed is taken from {FAILED}")
    return in_order(kind, latencies, np.array(times, dtype=np.float64), notes=tuple(notes))
