"""``harness shacl DATA SHAPES…``: validate RDF against shapes, with coverage. A shape that judged nothing is VACUOUS by name."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.cli.console import STYLES
from harness.core.errors import UsageError
from harness.core.text import one_line
from harness.core.verdict import Verdict, merge
from harness.shacl.judging import USES, Use
from harness.shacl.process import MEMORY_BYTES, TIME_S, validate_files
from harness.shacl.report import SEVERITIES, FailOn, ShaclReport, short

SUFFIXES: Final = ("*.ttl", "*.nt", "*.n3", "*.rdf", "*.xml", "*.jsonld", "*.nq", "*.trig")
SHOWN: Final = 20


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("data", help="RDF: .ttl, .nt, .nq, .trig, .rdf, .jsonld, also .gz")
    parser.add_argument("shapes", nargs="+", help="shapes files, or folders of them")
    parser.add_argument("--both", action="store_true", help="let both engines judge everything, not only what the first one refuses")
    parser.add_argument("--engine", choices=USES[2:], default="", help="one engine alone: its refusals are not confirmed by the other")
    least = [name.lower() for name in SEVERITIES]
    parser.add_argument("--fail-on", choices=least, default=least[0], help="the least severity that fails (default: info, as sh:conforms)")
    parser.add_argument("--time", type=float, default=TIME_S, metavar="S", help=f"bound, seconds (default {TIME_S:g})")
    parser.add_argument("--memory", type=int, default=MEMORY_BYTES >> 20, metavar="MIB", help="bound of the validating process, MiB")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def execute(namespace: argparse.Namespace) -> int:
    if namespace.both and namespace.engine:
        raise UsageError("--both and --engine exclude each other", remedy="give one of them")
    data = _existing(Path(namespace.data))
    shapes = [path for given in namespace.shapes for path in _shape_files(Path(given))]
    use: Use = "both" if namespace.both else namespace.engine or "confirmed"
    report = validate_files(data, shapes, use=use, time_s=namespace.time, memory_bytes=namespace.memory << 20)
    verdict = judged(report, namespace.fail_on)
    if namespace.json:
        print(msgspec.json.encode({"verdict": verdict, **msgspec.to_builtins(report)}).decode())
    else:
        _print(report, verdict)
    return verdict.exit_code


def judged(report: ShaclReport, fail_on: FailOn = "info") -> Verdict:
    """ERROR where the engines differ; FAIL with results severe enough; VACUOUS when a shape judged nothing, or there is none."""
    if report.differences:
        return Verdict.ERROR
    if report.failing(fail_on) or (not report.conforms and not report.violation_count):
        return Verdict.FAIL
    looked = [Verdict.PASS if shape.focus_nodes or shape.violations else Verdict.VACUOUS for shape in report.shapes]
    return merge([*looked, *(Verdict.VACUOUS for _ in report.idle)])


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
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)  # names are names, ":x:" too
    table = Table("shape", "focus nodes", "results", "by severity", box=None, header_style="bold")
    for shape in report.shapes:
        severities = ", ".join(f"{count} {short(name)}" for name, count in shape.severities)
        table.add_row(one_line(short(shape.shape)), str(shape.focus_nodes), str(shape.violations), severities)
    if report.shapes:
        console.print(table)
    for idle in report.idle:
        console.print(f"judged nothing: {one_line(short(idle.shape))}: {idle.reason}", markup=False, style=STYLES[Verdict.VACUOUS])
    for item in report.violations[:SHOWN]:
        words = (f"{short(item.severity)}:", f"{short(item.shape)}:", item.focus_node, short(item.path), item.value)
        console.print(one_line(" ".join(filter(None, words)), 400) + f": {one_line(item.message, 300)}", markup=False)
    if report.violation_count > SHOWN:
        console.print(f"… {report.violation_count - SHOWN} more (--json lists up to 1000)")
    for difference in report.differences[:SHOWN]:
        console.print(f"the engines differ: {difference}", markup=False, style=STYLES[Verdict.ERROR])
    for note in report.notes:
        console.print(note, markup=False)
    counted = "" if report.triples is None else f"{report.triples} triples, "
    nothing = len(report.unseen) + len(report.idle)
    console.print(f"{counted}{_found(report)}, {nothing} shapes that judged nothing, by {report.validator}:", end=" ")
    console.print(Text(str(verdict), style=STYLES[verdict]))


def _found(report: ShaclReport) -> str:
    """``2 violations, 1 warnings``: how many results of each severity; violations are named also where there are none."""
    count = Counter(dict.fromkeys(SEVERITIES[-1:], 0))
    for shape in report.shapes:
        for severity, results in shape.severities:
            count[severity if severity in SEVERITIES else SEVERITIES[-1]] += results
    return ", ".join(f"{count[name]} {name.lower()}s" for name in reversed(SEVERITIES) if name in count)
