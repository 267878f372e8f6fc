"""What a project's own probe needs: store a graph and its shapes as evidence, validate outside, journal shape by shape."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path

import msgspec

from harness.core.text import outside
from harness.journal.events import ShapeChecked, Table
from harness.run.context import store_evidence
from harness.run.protocols import StepContext
from harness.shacl.judging import Use
from harness.shacl.process import TIME_S, validate_files
from harness.shacl.report import ShaclReport, short

SHOWN = 20


def capture_graph(
    context: StepContext, probe: str, ntriples: bytes, shapes: Sequence[Path], *, time_s: float = TIME_S, use: Use = "confirmed"
) -> ShaclReport:
    """Evidence ``<step>.nt.gz``, ``<step>.<shapes file>`` and ``<step>.shacl.json``; the report as the validator wrote it."""
    data = store_evidence(context, probe, f"{context.step}.nt.gz", gzip.compress(ntriples, mtime=0))
    copies = [store_evidence(context, probe, f"{context.step}.{path.name}", path.read_bytes()) for path in shapes]
    folder = context.run_folder
    report = validate_files(folder / data, [folder / copy for copy in copies], use=use, time_s=time_s, stop=context.stop)
    store_evidence(context, probe, f"{context.step}.shacl.json", msgspec.json.format(msgspec.json.encode(report)))
    for shape in report.shapes:
        first = next((item for item in report.violations if item.shape == shape.shape), None)
        detail = "" if first is None else outside(f"{first.focus_node} {first.path} {first.value}: {first.message}")
        context.journal.emit(
            ShapeChecked(
                trial=context.trial,
                shape=shape.shape,
                focus_nodes=shape.focus_nodes,
                violations=shape.violations,
                detail=detail,
            )
        )
    _table(context, report)
    return report


def _table(context: StepContext, report: ShaclReport) -> None:
    rows = tuple(
        (
            *(short(item.shape), item.severity, outside(item.focus_node, 200), short(item.path)),
            *(outside(item.value, 200), outside(item.message, 300)),
        )
        for item in report.violations[:SHOWN]
    )
    if rows:
        context.journal.emit(
            Table(
                trial=context.trial,
                title=f"SHACL violations ({report.violation_count})",
                columns=("shape", "severity", "focus node", "path", "value", "message"),
                rows=rows,
            )
        )
