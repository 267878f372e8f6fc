"""The driver ``seed_defect``: arms one defect in every process of the system, or none, and journals how often the last one took effect.

The system watches a file (``defects.variable`` names the environment variable that leads to it). A process answers in
``<file>.<process>`` with what is armed; each call that a defect changed adds a line to ``<file>.hits``.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import msgspec

from harness.core import jsonio
from harness.core.errors import HarnessError
from harness.journal.events import Measured, Note
from harness.run.protocols import MetricSpec, StepContext

CAPABILITY = "seeded"  # the stack was started with a defect file
FILE = "seeded/active.json"  # in the run folder
HITS = "defect_hits"
ANSWER_S = 15.0
POLL_S = 0.02


class SeedDefect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``defect``: its id, empty for none. ``processes`` that must have armed it before the step ends."""

    defect: str = ""
    processes: tuple[str, ...] = ("gateway", "worker")


class SeedDefectDriver:
    """Writes the file, waits until every process says so."""

    name: ClassVar[str] = "seed_defect"
    parameters: ClassVar[type[msgspec.Struct]] = SeedDefect
    metrics: ClassVar[tuple[MetricSpec, ...]] = (MetricSpec(HITS, "1", "measured", ("defect",)),)
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned", CAPABILITY})

    def run(self, context: StepContext, parameters: SeedDefect) -> None:
        """Raises ``HarnessError`` when a process does not know the defect or does not answer in time."""
        file = context.run_folder / FILE
        was, hits = active(file), taken_effect(file)
        if was:
            context.journal.emit(Measured(trial=context.trial, metric=HITS, unit="1", value=float(hits), tags={"defect": was}))
        arm(file, parameters.defect)
        deadline_ns = context.now_ns() + round(ANSWER_S * 1e9)
        waiting = list(parameters.processes)
        while waiting and not context.stop():
            waiting = [process for process in waiting if _answer(file, process) != parameters.defect]
            if waiting and context.now_ns() > deadline_ns:
                said = {process: _answer(file, process) for process in waiting}
                raise HarnessError(f"the defect {parameters.defect!r} is not armed after {ANSWER_S:g} s: {said}")
            if waiting:
                context.wait(POLL_S)
        context.journal.emit(Note(trial=context.trial, text=f"armed: {parameters.defect or 'no defect'}"))


def arm(file: Path, defect: str) -> None:
    """Make ``defect`` the active one; its hits count from 0."""
    file.with_name(f"{file.name}.hits").unlink(missing_ok=True)
    jsonio.write_atomic(file, jsonio.canonical({"defect": defect} if defect else {}))


def active(file: Path) -> str:
    """The defect that the file names."""
    return str(msgspec.json.decode(file.read_bytes(), type=dict[str, str]).get("defect", "")) if file.is_file() else ""


def taken_effect(file: Path) -> int:
    """How often the armed defect changed something (bounded by what the system writes)."""
    hits = file.with_name(f"{file.name}.hits")
    return len(hits.read_bytes().splitlines()) if hits.is_file() else 0


def _answer(file: Path, process: str) -> str | None:
    answer = file.with_name(f"{file.name}.{process}")
    return answer.read_text(encoding="utf-8") if answer.is_file() else None
