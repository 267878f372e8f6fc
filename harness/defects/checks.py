"""The checker ``defect_reached``: the seeded defect really took effect; without that a trial says nothing about the checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.defects.driver import HITS
from harness.journal.events import Measured
from harness.run.protocols import CheckRow, RunView, trial_row

NAME = "defect_reached"


class DefectReached(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``defect``: the id that was armed, empty for a clean trial."""

    defect: str = ""


class DefectReachedChecker:
    """VACUOUS when the defect never took effect; PASS on a clean trial in which nothing did."""

    name: ClassVar[str] = NAME
    parameters: ClassVar[type[msgspec.Struct]] = DefectReached

    def check(self, view: RunView, trial: str, layer: str, parameters: DefectReached) -> Sequence[CheckRow]:
        said = [item.event for item in view.events(Measured.NAME, trial=trial) if isinstance(item.event, Measured)]
        hits = [event for event in said if event.metric == HITS]
        foreign = sorted({event.tags.get("defect", "") for event in hits} - {parameters.defect})
        count = round(sum(event.value for event in hits if event.tags.get("defect") == parameters.defect))
        verdict, reason = Verdict.PASS, ""
        if foreign:
            verdict, reason = Verdict.ERROR, f"another defect was armed: {', '.join(foreign)}"
        elif parameters.defect and not count:
            verdict, reason = Verdict.VACUOUS, f"{parameters.defect} never took effect"
        value = f"{count} effects" if parameters.defect else "clean"
        return [trial_row(trial, layer, NAME, verdict, value, ">= 1", reason)]
