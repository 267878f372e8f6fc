"""Writes ``requirements.json`` into a run folder before the reports are drawn, so that they show the matrix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.core import jsonio
from harness.journal.requirements import MATRIX_FILE
from harness.journal.summary import Summary
from harness.traceability.matrix import build_matrix
from harness.traceability.registry import load_requirements


def matrix_publisher(requirements: Path, detections: Path | None = None) -> Callable[[Path, Summary], None]:
    """A publisher for ``Run(publishers=…)``, to stand before those of ``harness.report``; does nothing without a register."""

    def publish_matrix(folder: Path, summary: Summary) -> None:
        if requirements.is_file():
            matrix = build_matrix(load_requirements(requirements), summary.rows, detections)
            jsonio.write_atomic(folder / MATRIX_FILE, matrix.matrix.encoded())

    return publish_matrix
