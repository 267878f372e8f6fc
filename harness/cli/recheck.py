"""``harness recheck RUN [--manifest HASH]``: verify every byte, judge again, compare with summary.json."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.core.errors import HarnessError, UsageError
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
    folder = Path(namespace.run)
    if not (folder / JOURNAL).is_file():
        raise UsageError("this is no run folder: it has no journal.jsonl", file=str(folder), remedy="give a folder below reports/")
    result = recheck(folder, namespace.manifest, _registry())
    if namespace.json:
        print(json.dumps({"identical": result.identical, "problems": list(result.problems)}, sort_keys=True))
    else:
        for problem in result.problems[:MAX_SHOWN]:
            print(clean(problem), file=sys.stderr)
        verdict = result.summary.coverage if result.summary else "cannot be judged"
        print(f"recheck: {'identical' if result.identical else f'{len(result.problems)} problem(s)'}: {verdict}")
    return 0 if result.identical else 1


def _registry() -> Registry:
    """The wings of the project around, where there is one: its own checkers are needed to judge again."""
    try:
        project = load_project()
    except HarnessError:
        return Registry.discover()
    return Registry.discover().with_tables(project.wing_tables(), project.folder)
