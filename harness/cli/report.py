"""``harness report RUN [--to DIR]``: the reports of a run folder again, without touching it; also of a run that was killed."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import msgspec

from harness.cli.recheck import project_or_installed_registry, run_folder
from harness.core import jsonio
from harness.core.errors import DamagedRun, UsageError
from harness.journal.manifest import NAME as MANIFEST
from harness.journal.manifest import write_manifest
from harness.journal.summary import Summary, decode_summary
from harness.report.publish import publishers
from harness.run.folder import JOURNAL, SUMMARY
from harness.run.judge import judge


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("run", nargs="?", default="reports/latest", help="a run folder (default: reports/latest)")
    parser.add_argument("--to", default="", metavar="DIR", help="a new folder for the copy and its reports")


def execute(namespace: argparse.Namespace) -> int:
    """The run folder is evidence: reports are written into a copy of it."""
    source = run_folder(namespace.run, JOURNAL)
    target = Path(namespace.to) if namespace.to else source.with_name(source.name + "-report")
    if target.exists():
        raise UsageError("exists already", file=str(target), remedy="give another folder with --to")
    finished = (source / SUMMARY).is_file() and (source / MANIFEST).is_file()
    summary = _stored(source / SUMMARY) if finished else _judged(source)
    try:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*.sock", ".*.tmp"))
        if not finished:
            jsonio.write_atomic(target / SUMMARY, summary.encoded())
    except (OSError, shutil.Error) as error:
        shutil.rmtree(target, ignore_errors=True)
        raise UsageError(f"cannot be written: {error}", file=str(target), remedy="give another folder with --to") from None
    for publish in publishers():
        publish(target, summary)
    if not finished:
        how = "its tests and trials were done, its report was not" if summary.finished == "completed" else "it did not finish"
        print(f"{summary.verdict}  {how}: judged from its journal; manifest {write_manifest(target)}")
    print(target / "report.html")
    return 0


def _stored(path: Path) -> Summary:
    try:
        return decode_summary(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", file=str(path), remedy="`harness recheck` says what was changed") from None


def _judged(folder: Path) -> Summary:
    """Of a run that was killed, or whose disk was full at the end: what its journal gives."""
    if b"\n" not in (folder / JOURNAL).read_bytes()[: 4 << 20]:
        raise UsageError("this run was killed before it began: its journal is empty", file=str(folder), remedy="remove the folder")
    try:
        return judge(folder, project_or_installed_registry())
    except DamagedRun as error:
        raise UsageError(str(error), file=str(folder / JOURNAL), remedy="`harness recheck` says what was changed") from None
