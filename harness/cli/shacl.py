"""``harness shacl DATA SHAPES [--json]``: validate RDF against shapes, with coverage. A shape that looks at nothing is VACUOUS."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.console import STYLES
from harness.core.errors import UsageError
from harness.core.text import one_line
from harness.core.verdict import Verdict, merge
from harness.shacl.process import MEMORY_BYTES, TIME_S, validate_files
from harness.shacl.report import ShaclReport, short

SUFFIXES = ("*.ttl", "*.nt", "*.rdf", "*.jsonld")
SHOWN = 20


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("data", help="RDF: .ttl, .nt, .rdf, .jsonld, also .gz")
    parser.add_argument("shapes", nargs="+", help="shapes files, or folders of them")
    parser.add_argument("--time", type=float, default=TIME_S, metavar="S", help=f"bound, seconds (default {TIME_S:g})")
    parser.add_argument("--memory", type=int, default=MEMORY_BYTES >> 20, metavar="MIB", help="bound of the validating process, MiB")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def execute(namespace: argparse.Namespace) -> int:
    data = _existing(Path(namespace.data))
    shapes = [path for given in namespace.shapes for path in _shape_files(Path(given))]
    report = validate_files(data, shapes, time_s=namespace.time, memory_bytes=namespace.memory << 20)
    verdict = judged(report)
    if namespace.json:
        print(msgspec.json.encode({"verdict": verdict, **msgspec.to_builtins(report)}).decode())
    else:
        _print(report, verdict)
    return verdict.exit_code


def judged(report: ShaclReport) -> Verdict:
    """FAIL with violations; VACUOUS when there is no shape or one of them looked at nothing."""
    verdicts = [Verdict.FAIL if shape.violations else Verdict.PASS if shape.focus_nodes else Verdict.VACUOUS for shape in report.shapes]
    return merge([*verdicts, Verdict.PASS if report.conforms else Verdict.FAIL]) if verdicts else Verdict.VACUOUS


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UsageError("this file is not there", file=str(path), remedy="give a file of RDF data")
    return path


def _shape_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [_existing(path)]
    found = sorted(file for suffix in SUFFIXES for file in path.glob(suffix))
    if not found:
        raise UsageError("this folder holds no shapes", file=str(path), remedy=f"it needs {', '.join(SUFFIXES)}")
    return found


def _print(report: ShaclReport, verdict: Verdict) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table("shape", "focus nodes", "violations", box=None, header_style="bold")
    for shape in report.shapes:
        table.add_row(one_line(short(shape.shape)), str(shape.focus_nodes), str(shape.violations))
    console.print(table)
    for item in report.violations[:SHOWN]:
        console.print(f"{short(item.shape)}: {item.focus_node} {short(item.path)} {item.value}: {item.message}", markup=False)
    if report.violation_count > SHOWN:
        console.print(f"… {report.violation_count - SHOWN} more (--json lists up to 1000)")
    console.print(
        f"{report.triples} triples, {report.violation_count} violations, {len(report.unseen)} shapes without focus nodes:", end=" "
    )
    console.print(Text(str(verdict), style=STYLES[verdict]))
