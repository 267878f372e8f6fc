"""``harness recheck RUN [--manifest HASH]``: verify every byte, judge again, compare with summary.json."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from pathlib import Path

from harness.core.errors import HarnessError, UsageError, nearest_word
from harness.core.text import clean
from harness.run.folder import JOURNAL
from harness.run.project import load_project
from harness.run.recheck import recheck
from harness.run.registry import Registry

MAX_SHOWN = 30


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("run", help="a run folder, e.g. reports/latest")
    parser.add_argument("--manifest", default=None, metavar="HASH", help="the hash printed at the end of the run")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    folder = run_folder(namespace.run, JOURNAL)
    result = recheck(folder, namespace.manifest, project_or_installed_registry())
    if namespace.json:
        print(json.dumps({"identical": result.identical, "problems": list(result.problems)}, sort_keys=True))
    else:
        for problem in result.problems[:MAX_SHOWN]:
            print(clean(problem), file=sys.stderr)
        verdict = result.summary.coverage if result.summary else "cannot be judged"
        print(f"recheck: {'identical' if result.identical else f'{len(result.problems)} problem(s)'}: {verdict}")
    return 0 if result.identical else 1


def run_folder(given: str, needed: str) -> Path:
    """The folder of a run, resolved; ``UsageError`` with the nearest name beside it, or a run's id where that is one."""
    folder = Path(given)
    if (folder / needed).is_file():
        return folder.resolve()
    reports = [folder.parent] if folder.parent.is_dir() else []
    with contextlib.suppress(HarnessError):
        reports.append(load_project().reports)
    known = {path.name: path for base in reports if base.is_dir() for path in base.iterdir() if (path / needed).is_file()}
    if given in known and "/" not in given:
        return known[given].resolve()
    near = nearest_word(folder.name, known)
    what = f"this is no run folder: it has no {needed}" if folder.exists() else "there is no such run"
    raise UsageError(what, file=str(folder), nearest=str(known[near]) if near else "", remedy="give a folder below reports/")


def project_or_installed_registry() -> Registry:
    """The wings of the project around, where there is one: its own checkers are needed to judge again."""
    try:
        project = load_project()
    except HarnessError:
        return Registry.discover()
    return Registry.discover().with_tables(project.wing_tables(), project.folder)
