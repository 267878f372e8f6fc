"""``harness report RUN [--to DIR]``: write the reports of a run folder again, without touching the folder."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import msgspec

from harness.core.errors import UsageError
from harness.journal.summary import decode_summary
from harness.report.publish import publishers
from harness.run.folder import SUMMARY


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("run", nargs="?", default="reports/latest", help="a run folder (default: reports/latest)")
    parser.add_argument("--to", default="", metavar="DIR", help="a new folder for the copy and its reports")


def execute(namespace: argparse.Namespace) -> int:
    """The run folder is evidence: reports are written into a copy of it."""
    source = Path(namespace.run)
    if not (source / SUMMARY).is_file():
        raise UsageError("this is no finished run folder: it has no summary.json", file=str(source), remedy="give a folder below reports/")
    target = Path(namespace.to) if namespace.to else source.resolve().with_name(source.resolve().name + "-report")
    if target.exists():
        raise UsageError("exists already", file=str(target), remedy="give another folder with --to")
    try:
        summary = decode_summary((source / SUMMARY).read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=str(source / SUMMARY), remedy="`harness recheck` says what was changed") from None
    try:
        shutil.copytree(source.resolve(), target)
    except OSError as error:
        raise UsageError(f"cannot be written: {error}", file=str(target), remedy="give another folder with --to") from None
    for publish in publishers():
        publish(target, summary)
    print(target / "report.html")
    return 0
