"""Rows that a load tool wrote, on their way into sample segments: one type, one writer, one tally."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from harness.core.errors import HarnessError
from harness.journal.segments import CANARY, OUTCOMES, REQUESTS, SegmentWriter
from harness.load.histogram import LatencyHistogram
from harness.run.protocols import MetricSpec, StepContext

LAGS_KEPT = 10_000
TAGS = ("op", "step", "outcome", "key")  # key: the intent of the request
METRICS = (
    MetricSpec("response_time", "s", "samples:requests", TAGS, vouched_by="certificate"),
    MetricSpec("service_time", "s", "samples:requests", TAGS, vouched_by="certificate"),
    MetricSpec("schedule_lag", "s", "samples:requests", TAGS, vouched_by=""),
    MetricSpec("errors", "%", "samples:requests", TAGS),
    MetricSpec("requests", "1", "samples:requests", TAGS),
    MetricSpec("completed", "1", "samples:requests", TAGS),
    MetricSpec("achieved", "%", "measured", ("step",)),
)


class ToolError(HarnessError):
    """What a tool left cannot be read; names the file and the line."""


class RequestRow(msgspec.Struct):
    """One intended request. Times are CLOCK_MONOTONIC ns, None where the tool does not know them."""

    op: str
    intent: str
    intended_ns: int | None
    sent_ns: int | None
    done_ns: int | None
    status: int
    outcome: str
    size_bytes: int = 0
    request_id: str = ""
    first_byte_ns: int | None = None

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise ValueError(f"{self.outcome!r} is no outcome")


class CanaryRow(msgspec.Struct):
    """One canary; ``held_ns`` is what its server says."""

    intended_ns: int | None
    sent_ns: int | None
    done_ns: int | None
    held_ns: int
    outcome: str


class RowWriter:
    """Writes rows into the segments of a step and counts them. Nothing is kept in memory beyond a second of rows."""

    def __init__(self, context: StepContext) -> None:
        self._context = context
        self._requests = SegmentWriter("requests", REQUESTS, context.run_folder, context.journal, trial=context.trial)
        self._canaries = SegmentWriter("canary", CANARY, context.run_folder, context.journal, trial=context.trial)
        self.outcomes: Counter[str] = Counter()
        self.sent = self.completed = self.without_plan = 0
        self._lags: list[int] = []
        self._lag = LatencyHistogram()

    @property
    def rows(self) -> int:
        """Requests written so far."""
        return self.outcomes.total()

    def request(self, row: RequestRow) -> None:
        """One request."""
        self.outcomes[row.outcome] += 1
        self.sent += row.sent_ns is not None
        self.completed += row.done_ns is not None
        self.without_plan += row.intended_ns is None
        if row.sent_ns is not None and row.intended_ns is not None:
            self._lags.append(row.sent_ns - row.intended_ns)
        if len(self._lags) >= LAGS_KEPT:
            self._count_lags()
        self._requests.append(
            op=row.op,
            step=self._context.step,
            intended_ns=row.intended_ns,
            sent_ns=row.sent_ns,
            first_byte_ns=row.first_byte_ns,
            done_ns=row.done_ns if row.outcome not in {"timeout", "censored"} else None,
            status=row.status,
            outcome=row.outcome,
            bytes=row.size_bytes,
            request_id=row.request_id,
            key=row.intent,
        )

    def canary(self, row: CanaryRow) -> None:
        """One canary."""
        self._canaries.append(
            intended_ns=row.intended_ns, sent_ns=row.sent_ns, done_ns=row.done_ns, known_delay_ns=row.held_ns, outcome=row.outcome
        )

    def lag_p99_s(self) -> float:
        """Of the requests so far; 0 where none was sent."""
        self._count_lags()
        return self._lag.quantile_ns(0.99) / 1e9 if len(self._lag) else 0.0

    def _count_lags(self) -> None:
        if self._lags:
            self._lag.record(np.array(self._lags, dtype=np.int64))
            self._lags.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._requests.close()
        self._canaries.close()
