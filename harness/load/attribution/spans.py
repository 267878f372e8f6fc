"""The seam for everything that says where the time of a request went: spans, kept as the sample stream ``spans``.

Whatever has spans (an operator's page of the target, ``Server-Timing`` headers, traces of OpenTelemetry) writes rows of this stream, and
the attribution joins them by request id and time. A span without a request id is something that happened to a whole process.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

STREAM = "spans"
SPANS = pa.schema(
    [
        ("request_id", pa.string()),
        ("stage", pa.string()),
        ("start_ns", pa.int64()),
        ("duration_ns", pa.int64()),
        ("process", pa.string()),
        ("parent", pa.string()),  # stage it is a part of; empty for the outermost of its process
    ]
)


@dataclasses.dataclass(frozen=True, slots=True)
class Span:
    """A stretch of work. Times are CLOCK_MONOTONIC ns; ``process`` is a role and what tells its processes apart, ``gateway 4711``."""

    request_id: str  # empty: of the whole process
    stage: str
    start_ns: int
    duration_ns: int
    process: str
    parent: str = ""

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.duration_ns

    @property
    def role(self) -> str:
        """The process without its number."""
        return self.process.partition(" ")[0]


def spans_of(table: Any, request_ids: Sequence[str]) -> Mapping[str, Sequence[Span]]:
    """The spans of these requests by id, each in order of their start."""
    found: dict[str, list[Span]] = {name: [] for name in request_ids}
    if table.num_rows:
        chosen = table.filter(pc.is_in(table["request_id"], value_set=pa.array(list(found), pa.string())))
        for row in chosen.to_pylist():
            found[row["request_id"]].append(Span(**row))
    return {name: sorted(spans, key=lambda span: (span.start_ns, -span.duration_ns)) for name, spans in found.items()}


def process_spans(table: Any) -> Sequence[Span]:
    """What happened to whole processes."""
    if not table.num_rows:
        return ()
    return [Span(**row) for row in table.filter(pc.equal(table["request_id"], "")).to_pylist()]


def self_times_ns(spans: Sequence[Span]) -> tuple[Mapping[tuple[str, str], int], Mapping[tuple[str, str], int]]:
    """Time of each (stage, role) that none of its parts accounts for: of stages without parts, and of those with.

    Only the first are causes. The rest of a stage with parts is time of which nobody said what it was spent on.
    """
    leaves: dict[tuple[str, str], int] = {}
    around: dict[tuple[str, str], int] = {}
    parts: dict[str, list[Span]] = {}
    for span in spans:
        parts.setdefault(span.parent, []).append(span)
    for span in spans:
        inside = [(max(part.start_ns, span.start_ns), min(part.end_ns, span.end_ns)) for part in parts.get(span.stage, ())]
        key = (span.stage, span.role)
        into = around if inside else leaves
        into[key] = into.get(key, 0) + span.duration_ns - covered_ns(stretch for stretch in inside if stretch[1] > stretch[0])
    return leaves, around


def covered_ns(stretches: Iterable[tuple[int, int]]) -> int:
    """How much time these stretches cover together, overlaps counted once."""
    total, reached = 0, None
    for start, end in sorted(stretches):
        begin = start if reached is None else max(start, reached)
        total += max(0, end - begin)
        reached = end if reached is None else max(reached, end)
    return total
