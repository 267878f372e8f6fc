"""The bar ``layer_defects``: whole layers of ``harness verify`` with a seeded defect in the system or in the scripts they drive.

The reduced runs of ``detection`` judge by functions of their own; here the very checks of the layers must go red. Writes
``docs/detections-layers.json``: check → defects that turned it red. Exit 0: every defect was found by its layer, 1: one was not,
2: wrong usage.

    python -m scripts.bars.layer_defects [--only ID ...] [--repeat N]

``--only`` tries these and leaves what is published of the others as it is. ``--repeat`` tries each N times, every time with another
seed: it counts as found when every time was red, and by the checks that were red every time.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.cli.console import Console
from harness.cli.verify import run_layers
from harness.core.errors import UsageError, nearest_word
from harness.core.verdict import Verdict
from harness.defects.driver import FILE, arm
from harness.journal.events import Note
from harness.run.view import FolderView
from scripts.bars.published import publish
from scripts.bars.seeded import VARIABLE, SeededSession
from scripts.bars.seeded import seeded_session as session_with_defects
from scripts.bars.support import PROJECT, ended, result, say

FUZZING = "contract.fuzzing "


@dataclasses.dataclass(frozen=True, slots=True)
class Planted:
    """A defect of the system; ``by`` is how the ids of the checks begin one of which has to be red (empty: any check of the layer)."""

    layer: str
    id: str
    by: str = ""


SYSTEM: tuple[Planted, ...] = (
    Planted("shacl", "gate.check:swallow"),
    Planted("contract", "reader-may-write-graph", "contract.manners "),
    Planted("contract", "fuzz: answer by year lacks a member", FUZZING),
    Planted("contract", "fuzz: largest top_k is a 500", FUZZING),
    Planted("contract", "fuzz: query beyond Latin-1 is a 500", FUZZING),
)
ACCEPTANCE = "suites/unit/acceptance"
PUBLISHING = "suites/load_tools/test_publishing.py"
LIMIT_S = 240


@dataclasses.dataclass(frozen=True, slots=True)
class Mutation:
    """A defect in what an operator has: in ``file``, ``old`` becomes ``new`` (None: the file is away); tests of ``suite`` see it."""

    id: str
    file: str
    old: str
    new: str | None
    suite: str = ACCEPTANCE


SCRIPTS: tuple[Mutation, ...] = (
    Mutation("acceptance: a task script is missing", "scripts/acceptance/107_backup_restore.sh", "", None),
    Mutation("acceptance: every task says PASS", "scripts/acceptance/common.sh", "exit ", "exit 0 # "),
    Mutation("acceptance: the runner runs nothing", "scripts/run_m18_production_acceptance.sh", "acceptance", "nothing"),
    Mutation("publishing: a region gets no end", "harness/load/publish/grafana.py", '"timeEnd": annotation.end_ms,', "", PUBLISHING),
    Mutation("publishing: tags name no scenario", "harness/load/publish/regions.py", "scenario:", "scene:", PUBLISHING),
    Mutation("report: the load is not drawn", "harness/report/templates/page.html.j2", "{{ picture.svg }}", "", PUBLISHING),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A defect to be tried; ``red`` tries it once and gives the checks that were red, none where the right one was not among them."""

    id: str
    layer: str
    red: Callable[[], list[str]]


def candidates() -> list[Candidate]:
    """Every defect in the order in which it is tried."""
    system = [Candidate(item.id, item.layer, lambda item=item: red_of_layer(item)) for item in SYSTEM]  # type: ignore[misc]
    return system + [Candidate(item.id, item.suite.split("/")[1], lambda item=item: red_of_scripts(item)) for item in SCRIPTS]  # type: ignore[misc]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.bars.layer_defects", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="ID", help="try only these")
    parser.add_argument("--repeat", type=int, default=1, choices=range(1, 101), metavar="N", help="how often each is tried")
    given = parser.parse_args(arguments)
    chosen = _chosen(given.only)
    found = {item.id: _tried(item, given.repeat) for item in chosen}
    missed = [name for name, red in found.items() if not red]
    if not missed:
        publish("layers", found, keep=bool(given.only))
    times = f", {given.repeat} times each" if given.repeat > 1 else ""
    figure = f"{len(chosen) - len(missed)} of {len(chosen)} defects found by their layer{times}"
    return result(figure, not missed, f"missed: {', '.join(missed) or 'none'}")


def _chosen(only: Sequence[str]) -> list[Candidate]:
    everything = candidates()
    known = [item.id for item in everything]
    for name in only:
        if name not in known:
            raise UsageError(f"unknown defect {name!r}", nearest=nearest_word(name, known), remedy=f"known: {', '.join(known)}")
    return [item for item in everything if not only or item.id in only]


def _tried(item: Candidate, times: int) -> list[str]:
    """The checks that were red every time."""
    always: list[str] | None = None
    for _ in range(times):
        red = item.red()
        say(f"{item.layer:11} {item.id}: {len(red)} checks red")
        always = red if always is None else [check for check in always if check in red]
    return always or []


class LayerSession(SeededSession):
    """A seeded session whose defect is armed from the start."""

    defect = ""

    def _extra_environment(self) -> Mapping[str, str]:
        environment = super()._extra_environment()
        arm(self.run.folder / FILE, self.defect)
        return {VARIABLE: environment[VARIABLE]}


def red_of_layer(planted: Planted) -> list[str]:
    """Checks of the layer that failed with the defect in the system; none where the one that should have seen it did not."""
    with session_with_defects(("layer_defects", planted.layer, planted.id)) as plain:
        session = LayerSession(plain.project, plain.run, say)
        session.defect = planted.id
        run_layers(session, [planted.layer], Console(quiet=True))
        summary = session.close().summary
    for item in FolderView(session.run.folder).events(Note.NAME):
        if isinstance(item.event, Note) and item.event.text.startswith("Schemathesis"):
            say(f"{'':11} {item.event.text}")
    red = [row for row in summary.rows if row.layer == planted.layer and row.verdict is Verdict.FAIL]
    for row in red:
        if row.check.startswith(planted.by or row.check):
            say(f"{'':11} {row.check}: {row.value}: {row.reason[:200]}")
    return [row.check for row in red] if any(row.check.startswith(planted.by) for row in red) else []


def red_of_scripts(mutation: Mutation) -> list[str]:
    """Tests of the suite that failed in a copy of the project with the mutation."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        ignore = shutil.ignore_patterns(".git", ".venv", "reports", "__pycache__", ".mypy_cache", ".ruff_cache", ".hypothesis")
        shutil.copytree(PROJECT, copy, ignore=ignore)
        (copy / ".venv").symlink_to(PROJECT / ".venv")
        target = copy / mutation.file
        text = target.read_text(encoding="utf-8")
        if mutation.new is None:
            target.unlink()
        else:
            assert mutation.old in text, mutation.id
            target.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-rf", mutation.suite]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]


if __name__ == "__main__":
    raise SystemExit(ended(main))
