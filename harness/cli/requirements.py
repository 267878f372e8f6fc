"""``harness requirements``: verified / failing / vacuous / untested by evidence kind, and the matrix."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.cli.console import Console
from harness.core.errors import Blocked
from harness.journal.summary import Summary, decode_summary
from harness.run.folder import SUMMARY
from harness.run.project import load_project
from harness.traceability.matrix import build_matrix
from harness.traceability.registry import load_requirements


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--run", default="", help="the run folder to judge by (default: reports/latest)")
    parser.add_argument("--all", action="store_true", help="also list the ids nobody has tested yet")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    project = load_project()
    if project.requirements_file is None:
        raise Blocked("this project registers no requirements: harness.toml has no `requirements`")
    requirements = load_requirements(project.requirements_file)
    folder = Path(namespace.run) if namespace.run else project.reports / "latest"
    summary: Summary | None = decode_summary((folder / SUMMARY).read_bytes()) if (folder / SUMMARY).is_file() else None
    matrix = build_matrix(requirements, summary.rows if summary else (), project.folder / "docs" / "detections.json")
    if namespace.json:
        print(json.dumps(matrix.as_json(), sort_keys=True))
        return 0
    console = Console()
    for line in matrix.lines(everything=namespace.all):
        console.out.print(line)
    return 0
