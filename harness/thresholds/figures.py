"""Figures from samples: what each metric of a sample stream is, and exact quantiles. Nothing here knows a limit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.core.clock import NS_PER_S
from harness.core.errors import HarnessError, listing

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class MetricError(HarnessError):
    """A metric that these samples cannot give."""


@dataclasses.dataclass(frozen=True, slots=True)
class Values:
    """One value a sample with the time it belongs to (intended start, CLOCK_MONOTONIC ns); +inf = never."""

    times_ns: Ints
    values: Floats

    def within(self, start_ns: int, end_ns: int) -> Values:
        """Samples whose time lies in [start, end)."""
        chosen = (self.times_ns >= start_ns) & (self.times_ns < end_ns)
        return Values(self.times_ns[chosen], self.values[chosen])

    def __len__(self) -> int:
        return len(self.values)


def quantile(values: Floats, q: Fraction) -> float:
    """The smallest value that at least ``q`` of all are not above (nearest rank; ``inverted_cdf`` of numpy)."""
    if not len(values):
        raise MetricError("no values")
    rank = max(1, math.ceil(q * len(values)))
    return float(np.partition(values, rank - 1)[rank - 1])


def _ns(table: pa.Table, column: str) -> Floats:
    """A time column in ns, +inf where it is null."""
    return np.asarray(pc.fill_null(pc.cast(table.column(column), pa.float64(), safe=False), math.inf).to_numpy(), dtype=np.float64)


def _span(table: pa.Table, later: str, earlier: str) -> Floats:
    """Seconds from ``earlier`` to ``later``; exact in ns first, +inf where either is null."""
    difference = pc.subtract(table.column(later), table.column(earlier))
    return np.asarray(pc.fill_null(pc.cast(difference, pa.float64(), safe=False), math.inf).to_numpy(), dtype=np.float64) / NS_PER_S


def _failed(table: pa.Table) -> npt.NDArray[np.bool_]:
    return np.asarray(pc.fill_null(pc.not_equal(table.column("outcome"), "ok"), True).to_numpy(zero_copy_only=False), dtype=np.bool_)


def _answered(span: Floats, table: pa.Table) -> Floats:
    return np.where(_failed(table), math.inf, span)


def _sent(table: pa.Table) -> pa.Table:
    return table.filter(pc.is_valid(table.column("sent_ns")))


def _response_time(table: pa.Table) -> tuple[pa.Table, Floats]:
    return table, _answered(_span(table, "done_ns", "intended_ns"), table)


def _service_time(table: pa.Table) -> tuple[pa.Table, Floats]:
    sent = _sent(table)
    return sent, _answered(_span(sent, "done_ns", "sent_ns"), sent)


def _first_byte_time(table: pa.Table) -> tuple[pa.Table, Floats]:
    return table, _answered(_span(table, "first_byte_ns", "intended_ns"), table)


def _schedule_lag(table: pa.Table) -> tuple[pa.Table, Floats]:
    return table, _span(table, "sent_ns", "intended_ns")


def _errors(table: pa.Table) -> tuple[pa.Table, Floats]:
    return table, _failed(table).astype(np.float64)


def _requests(table: pa.Table) -> tuple[pa.Table, Floats]:
    return table, np.ones(table.num_rows)


def _completed(table: pa.Table) -> tuple[pa.Table, Floats]:
    done = table.filter(pa.array(~_failed(table)))
    return done, np.ones(done.num_rows)


def _time_to_visible(table: pa.Table) -> tuple[pa.Table, Floats]:
    acknowledged = table.filter(pc.is_valid(table.column("acked_ns")))
    return acknowledged, _span(acknowledged, "visible_ns", "acked_ns")


def _canary_error(table: pa.Table) -> tuple[pa.Table, Floats]:
    spans = _span(table, "done_ns", "intended_ns")
    return table, np.abs(spans - _ns(table, "known_delay_ns") / NS_PER_S)


Formula = Callable[[pa.Table], tuple[pa.Table, Floats]]
FORMULAS: Mapping[str, Formula] = {
    "response_time": _response_time,
    "service_time": _service_time,
    "first_byte_time": _first_byte_time,
    "schedule_lag": _schedule_lag,
    "errors": _errors,
    "requests": _requests,
    "completed": _completed,
    "time_to_visible": _time_to_visible,
    "canary_error": _canary_error,
}
_TIME_COLUMNS = ("intended_ns", "sent_ns", "at_ns", "mono_ns")


def filtered(table: pa.Table, tags: Mapping[str, str]) -> pa.Table:
    """Rows whose columns equal the tags; raises ``MetricError`` for a tag that is no column."""
    for key, value in sorted(tags.items()):
        if key not in table.column_names:
            raise MetricError(f"these samples have no column {key!r} (columns: {listing(table.column_names)})")
        table = table.filter(pc.equal(pc.cast(table.column(key), pa.string()), value))
    return table


def values_of(metric: str, table: pa.Table) -> Values:
    """The values of a metric: a known formula, else the column of that name."""
    if not table.num_rows:
        return Values(np.zeros(0, np.int64), np.zeros(0))
    try:
        rows, values = FORMULAS.get(metric, _column(metric))(table)
    except KeyError as error:
        raise MetricError(f"{metric} cannot be computed from these samples: {error}") from None
    return Values(_times(rows), values)


def _column(metric: str) -> Formula:
    def read(table: pa.Table) -> tuple[pa.Table, Floats]:
        if metric not in table.column_names:
            raise MetricError(f"no formula and no column {metric!r} (formulas: {listing(FORMULAS)})")
        given = table.filter(pc.is_valid(table.column(metric)))
        return given, np.asarray(pc.cast(given.column(metric), pa.float64(), safe=False).to_numpy(), dtype=np.float64)

    return read


def _times(table: pa.Table) -> Ints:
    column: Any = next((name for name in _TIME_COLUMNS if name in table.column_names), None)
    if column is None:
        raise MetricError(f"no column of time (one of {listing(_TIME_COLUMNS)})")
    return np.asarray(pc.fill_null(table.column(column), 0).to_numpy(), dtype=np.int64)
