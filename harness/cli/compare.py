"""``harness compare A B``: two run folders, or samples of any tools, beside each other; ``--history METRIC``: past runs in order."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import msgspec

from harness.cli.comparison_table import print_comparison, print_history
from harness.core.errors import UsageError
from harness.core.seeds import SEED_BITS
from harness.core.verdict import Verdict
from harness.load.compare.files import load
from harness.load.compare.history import history
from harness.load.compare.recording import UNITS
from harness.load.compare.two import DECIDABLE, NOISE, Asked, compare
from harness.load.publish.pages import write_page

GATE = 0.05


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument(
        "sides", nargs="*", metavar="A B", help="run folders, segments, or sample files: k6, Locust, CSV, JSON, hgrm, hlog, numbers"
    )
    parser.add_argument("--metric", default="p99", help=f"what is judged: {', '.join(DECIDABLE)} (default p99)")
    parser.add_argument("--gate", type=float, default=100 * GATE, metavar="PERCENT", help="the change that must not be (default 5)")
    parser.add_argument("--noise", type=float, default=100 * NOISE, metavar="PERCENT", help="noise between recordings (default 5)")
    parser.add_argument("--interleaved", action="store_true", help="n-th files were measured as the n-th round: A B, B A, …")
    parser.add_argument("--unit", default="", choices=["", *UNITS], help="unit of files that do not say theirs")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="NAME=VALUE", help="only requests of run folders with this tag, e.g. op=retrieve"
    )
    parser.add_argument("--history", default="", metavar="METRIC", help="change points of a metric over the runs in --reports")
    parser.add_argument("--trial", default="", help="with --history: only figures of trials whose name begins so")
    parser.add_argument("--reports", default="reports", metavar="DIR", help="with --history: the folder of runs")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap")
    parser.add_argument("--html", default="", metavar="FILE", help="write a page of it to a new file")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    if namespace.history:
        return _history(namespace)
    if len(namespace.sides) != 2:
        raise UsageError(f"{len(namespace.sides)} sides", remedy="give two run folders or sample files, or --history METRIC")
    gate, noise = percent("--gate", namespace.gate), percent("--noise", namespace.noise, least=0.0)
    if not 0 <= namespace.seed < 2**SEED_BITS:
        raise UsageError(f"--seed {namespace.seed}", remedy=f"give a whole number from 0 to 2**{SEED_BITS}-1")
    tags = tag_pairs(namespace.tag)
    a, b = (load(given, unit=namespace.unit, tags=tags) for given in namespace.sides)
    asked = Asked(namespace.metric, gate, noise, interleaved=namespace.interleaved, seed=namespace.seed)
    result = compare((namespace.sides[0], namespace.sides[1]), a, b, asked)
    if namespace.html:
        write_page(Path(namespace.html), result)
    if namespace.json:
        print(as_json(result))
    else:
        print_comparison(result)
    return result.decision.answer.verdict.exit_code


def _history(namespace: argparse.Namespace) -> int:
    if namespace.sides:
        raise UsageError("--history looks at all runs of a folder", remedy="give the folder with --reports, and no sides")
    found = history(Path(namespace.reports), namespace.history, namespace.trial)
    if namespace.html:
        write_page(Path(namespace.html), found)
    if namespace.json:
        print(as_json(found))
    else:
        print_history(found)
    return Verdict.PASS.exit_code


def percent(name: str, value: float, *, least: float = 0.1, most: float = 100.0) -> float:
    """A share from per cent; refuses what is no sensible number."""
    if not (math.isfinite(value) and least <= value <= most):
        raise UsageError(f"{name} {value:g}", remedy=f"give per cent from {least:g} to {most:g}")
    return value / 100


def tag_pairs(given: list[str]) -> dict[str, str]:
    """``NAME=VALUE``…"""
    pairs = [text.partition("=") for text in given]
    for text, (name, sign, _) in zip(given, pairs, strict=True):
        if not (name and sign):
            raise UsageError(f"--tag {text!r}", remedy="the form is NAME=VALUE, e.g. op=retrieve")
    return {name: value for name, _, value in pairs}


def as_json(result: object) -> str:
    """Frozen data as JSON; a number without end is null."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1).decode()
