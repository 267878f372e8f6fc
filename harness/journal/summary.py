"""``summary.json``: what a run found, in one byte form. ``python -m harness.journal.summary`` writes its JSON Schema to docs/."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.core import jsonio
from harness.core.verdict import Verdict
from harness.journal.events import DataSet

SUMMARY_VERSION = 1
SCHEMA_PATH = Path("docs/summary.schema.json")


def _doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One judged statement."""

    check: Annotated[str, _doc("id, unique within the run")]
    layer: str
    trial: str
    verdict: Verdict
    value: str
    limit: str
    reason: str
    requirements: tuple[str, ...]
    optional: Annotated[bool, _doc("a BLOCKED optional row is taken out before merging")]


class LayerSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one layer, merged."""

    layer: str
    verdict: Verdict
    coverage: str
    passed: int
    total: int
    blocked: int
    required: bool
    duration_s: Annotated[float | None, _doc("None when the layer never ended")]
    reason: Annotated[str, _doc("why the layer is BLOCKED or ABORTED as a whole")]


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A figure: measured, of a ranking, or of a threshold."""

    name: str
    unit: str
    value: Annotated[float | None, _doc("None: never, or too few samples")]
    trial: str
    tags: Mapping[str, str]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is recomputed by `harness recheck`."""

    v: int
    run: str
    seed: int
    profile: str
    mode: str
    started: Annotated[str, _doc("UTC")]
    finished: Annotated[str, _doc("completed, interrupted, aborted, error, or killed when the journal has no end")]
    duration_s: float | None
    verdict: Verdict
    exit_code: int
    coverage: Annotated[str, _doc("e.g. PASS 41 of 52, 11 blocked")]
    passed: int
    total: int
    blocked: int
    sample_data: Annotated[bool, _doc("true when all data came from the small corpus of the project")]
    layers: tuple[LayerSummary, ...]
    rows: tuple[Row, ...]
    metrics: tuple[MetricRow, ...]
    environment: Mapping[str, str]
    data: tuple[DataSet, ...]
    journal_last_hash: str

    def encoded(self) -> bytes:
        """The bytes of summary.json."""
        return jsonio.pretty(msgspec.to_builtins(self))


def decode_summary(content: bytes) -> Summary:
    """Read a stored summary; raises msgspec's errors."""
    return msgspec.json.decode(content, type=Summary)


def coverage_text(verdict: Verdict, passed: int, total: int, blocked: int) -> str:
    """The verdict with what it stands on."""
    return f"{verdict} {passed} of {total}" + (f", {blocked} blocked" if blocked else "")


def summary_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of summary.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Summary)}


def main(arguments: list[str]) -> int:
    """Write the schema to the given file, or to docs/."""
    jsonio.write_atomic(Path(arguments[0]) if arguments else SCHEMA_PATH, jsonio.pretty(summary_schema()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
