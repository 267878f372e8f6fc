"""k6's CSV stream (``--out csv=-``, times in Unix ns) made into rows, line by line, in bounded memory; every bad line is named.

The metric lines of one request carry its id in their metadata (``request``, ``planned_ms``: scenarios/k6/lib.js). A request is
written when its iteration has ended, so that a check that failed is known. Dropped iterations become rows that were never sent.
k6 knows wall time only: ``wall_offset_ns`` (wall minus monotonic, taken when k6 was started) brings its times to CLOCK_MONOTONIC.
"""

from __future__ import annotations

import csv
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

import msgspec

from harness.load.tool_rows import CanaryRow, RequestRow, ToolError

NAME = "k6's stream"
PENDING_MAX = 50_000
NEEDED = ("metric_name", "timestamp", "metric_value", "error_code", "scenario", "status", "extra_tags", "metadata")
TIMEOUT_CODE = 1050
CANARY = "canary"


class StageRow(msgspec.Struct):
    """How long a stage of an answer took, as the system says."""

    at_ns: int
    stage: str
    seconds: float


Row = RequestRow | CanaryRow | StageRow


class _Pending(msgspec.Struct):
    """A request whose iteration has not ended yet. Times in ms of k6, ``end_ns`` is CLOCK_MONOTONIC."""

    op: str
    intent: str
    request_id: str
    intended_ns: int | None
    end_ns: int
    duration_ms: float
    status: int
    error_code: int
    sending_ms: float = 0.0
    waiting_ms: float = 0.0
    good: bool = True
    held_ns: int = 0

    def row(self) -> RequestRow | CanaryRow:
        sent = self.end_ns - round(self.duration_ms * 1e6)
        answered = self.status != 0
        done = self.end_ns if answered else None
        if self.op == CANARY:
            return CanaryRow(self.intended_ns, sent, done, self.held_ns, "ok" if self.status == 200 else "http_error")
        first = sent + round((self.sending_ms + self.waiting_ms) * 1e6) if answered else None
        return RequestRow(
            self.op, self.intent, self.intended_ns, sent, done, self.status, self._outcome(), 0, self.request_id, first_byte_ns=first
        )

    def _outcome(self) -> str:
        if self.status == 0:
            return "timeout" if self.error_code == TIMEOUT_CODE else "connection_error"
        if self.status == 429:
            return "rate_limited"
        if self.status >= 400:
            return "http_error"
        return "ok" if self.good else "bad_body"


class K6Stream:
    """Feed it lines in order; rows come out. Metrics it does not know are passed over."""

    def __init__(self, wall_offset_ns: int) -> None:
        self._offset_ns = wall_offset_ns
        self._pending: OrderedDict[str, _Pending] = OrderedDict()
        self._columns: dict[str, int] = {}
        self._width = 0
        self.lines = self.dropped = self.iterations = 0

    def feed(self, line: str) -> Iterator[Row]:
        """The rows that this line completes; raises ``ToolError`` with its number."""
        self.lines += 1
        try:
            cells = next(csv.reader([line.rstrip("\r\n")], strict=True))
            if not self._columns:
                self._read_head(cells)
                return
            yield from self._take(cells)
        except (ValueError, csv.Error, StopIteration) as error:
            raise ToolError(f"{NAME}:{self.lines}: {error or 'no row'}: {line[:100]!r}") from None

    def finish(self) -> Iterator[Row]:
        """The requests whose iterations did not end."""
        while self._pending:
            yield self._pending.popitem(last=False)[1].row()

    def _read_head(self, cells: Sequence[str]) -> None:
        missing = [name for name in NEEDED if name not in cells]
        if missing:
            raise ValueError(f"the heading lacks {', '.join(missing)}")
        self._columns, self._width = {name: cells.index(name) for name in NEEDED}, len(cells)

    def _take(self, cells: Sequence[str]) -> Iterator[Row]:
        if len(cells) != self._width:
            raise ValueError(f"{len(cells)} cells, {self._width} wanted")
        metric = cells[self._columns["metric_name"]]
        value = float(cells[self._columns["metric_value"]])
        at_ns = int(cells[self._columns["timestamp"]]) - self._offset_ns
        if metric == "http_req_duration":
            yield from self._request(cells, at_ns, value)
        elif metric == "dropped_iterations":
            yield from self._dropped(cells, at_ns, round(value))
        elif metric == "stage_ms":
            yield StageRow(at_ns, self._pairs(cells, "extra_tags").get("stage", ""), value / 1000)
        elif metric in {"http_req_sending", "http_req_waiting", "checks", "canary_held_ns", "iteration_duration"}:
            yield from self._detail(metric, self._pairs(cells, "metadata").get("request", ""), value)

    def _request(self, cells: Sequence[str], end_ns: int, duration_ms: float) -> Iterator[Row]:
        tags, metadata = self._pairs(cells, "extra_tags"), self._pairs(cells, "metadata")
        status, code = cells[self._columns["status"]], cells[self._columns["error_code"]]
        planned = metadata.get("planned_ms")
        pending = _Pending(
            op=tags.get("op") or cells[self._columns["scenario"]],
            intent=tags.get("intent", ""),
            request_id=metadata.get("request", ""),
            intended_ns=None if planned is None else round(float(planned) * 1e6) - self._offset_ns,
            end_ns=end_ns,
            duration_ms=duration_ms,
            status=int(status or 0),
            error_code=int(code or 0),
        )
        if not pending.request_id:
            yield pending.row()
            return
        earlier = self._pending.pop(pending.request_id, None)
        if earlier is not None:
            yield earlier.row()
        self._pending[pending.request_id] = pending
        if len(self._pending) > PENDING_MAX:
            yield self._pending.popitem(last=False)[1].row()

    def _dropped(self, cells: Sequence[str], at_ns: int, count: int) -> Iterator[Row]:
        tags = self._pairs(cells, "extra_tags")
        op = tags.get("op") or cells[self._columns["scenario"]]
        self.dropped += 0 if op == CANARY else count
        for _ in range(count):
            if op == CANARY:
                yield CanaryRow(at_ns, None, None, 0, "unsent")
            else:
                yield RequestRow(op, "", at_ns, None, None, 0, "unsent")

    def _detail(self, metric: str, request: str, value: float) -> Iterator[Row]:
        if metric == "iteration_duration":
            self.iterations += 1
            if request in self._pending:
                yield self._pending.pop(request).row()
            return
        pending = self._pending.get(request)
        if pending is None:
            return
        if metric == "http_req_sending":
            pending.sending_ms = value
        elif metric == "http_req_waiting":
            pending.waiting_ms = value
        elif metric == "canary_held_ns":
            pending.held_ns = round(value)
        elif value == 0:  # a check that failed
            pending.good = False

    def _pairs(self, cells: Sequence[str], column: str) -> dict[str, str]:
        text = cells[self._columns[column]]
        return {key: unquote(value) for key, _, value in (pair.partition("=") for pair in text.split("&"))} if text else {}
