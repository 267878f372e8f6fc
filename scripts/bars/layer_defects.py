"""The bar ``layer_defects``: whole layers of ``harness verify`` with a seeded defect in the system or in the scripts they drive.

The reduced runs of ``detection`` judge by functions of their own; here the very checks of the layers must go red. Writes
``docs/detections-layers.json``: check → defects that turned it red. Exit 0: every defect was found by its layer, 1: one was not.

    python -m scripts.bars.layer_defects
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from harness.cli.console import Console
from harness.cli.verify import run_layers
from harness.core import jsonio
from harness.core.verdict import Verdict
from harness.defects.driver import FILE, arm
from scripts.bars.seeded import VARIABLE, SeededSession
from scripts.bars.seeded import seeded_session as session_with_defects
from scripts.bars.support import PROJECT, result, say

PUBLISHED = PROJECT / "docs" / "detections-layers.json"
SYSTEM: tuple[tuple[str, str], ...] = (
    ("shacl", "gate.check:swallow"),
    ("contract", "reader-may-write-graph"),
)
SUITE = "suites/unit/acceptance"
LIMIT_S = 240


@dataclasses.dataclass(frozen=True, slots=True)
class Mutation:
    """A defect in the acceptance scripts: in ``file``, ``old`` becomes ``new`` (None: the file is away)."""

    id: str
    file: str
    old: str
    new: str | None


SCRIPTS: tuple[Mutation, ...] = (
    Mutation("acceptance: a task script is missing", "scripts/acceptance/107_backup_restore.sh", "", None),
    Mutation("acceptance: every task says PASS", "scripts/acceptance/common.sh", "exit ", "exit 0 # "),
    Mutation("acceptance: the runner runs nothing", "scripts/run_m18_production_acceptance.sh", "acceptance", "nothing"),
)


def main() -> int:
    found: dict[str, list[str]] = {}
    missed: list[str] = []
    for layer, defect in SYSTEM:
        note(defect, layer, red_of_layer(layer, defect), found, missed)
    for mutation in SCRIPTS:
        note(mutation.id, "acceptance", red_of_scripts(mutation), found, missed)
    total = len(SYSTEM) + len(SCRIPTS)
    if not missed:
        jsonio.write_atomic(PUBLISHED, jsonio.pretty({"checks": found}))
    return result(f"{total - len(missed)} of {total} defects found by their layer", not missed, f"missed: {', '.join(missed) or 'none'}")


def note(defect: str, layer: str, red: list[str], found: dict[str, list[str]], missed: list[str]) -> None:
    say(f"{layer:11} {defect}: {len(red)} checks red")
    if not red:
        missed.append(defect)
    for check in red:
        found.setdefault(check, []).append(defect)


class LayerSession(SeededSession):
    """A seeded session whose defect is armed from the start."""

    defect = ""

    def _extra_environment(self) -> Mapping[str, str]:
        environment = super()._extra_environment()
        arm(self.run.folder / FILE, self.defect)
        return {VARIABLE: environment[VARIABLE]}


def red_of_layer(layer: str, defect: str) -> list[str]:
    """Checks of the layer that failed with the defect in the system."""
    with session_with_defects(("layer_defects", layer, defect)) as plain:
        session = LayerSession(plain.project, plain.run, say)
        session.defect = defect
        run_layers(session, [layer], Console(quiet=True))
        summary = session.close().summary
    return [row.check for row in summary.rows if row.layer == layer and row.verdict is Verdict.FAIL]


def red_of_scripts(mutation: Mutation) -> list[str]:
    """Tests of the acceptance suite that failed in a copy of the project with the mutation."""
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
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-rf", SUITE]
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    return [line.split(" ")[1] for line in done.stdout.splitlines() if line.startswith("FAILED ")]


if __name__ == "__main__":
    raise SystemExit(main())
