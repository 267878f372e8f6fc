"""Checkers of drills: a fault counts only with proof of effect; guards must have tripped; nothing may be left behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from harness.chaos.guards import NoParameters
from harness.core.verdict import Verdict
from harness.journal.events import FaultApplied, FaultIntended, FaultProof, FaultUndone, GuardTested, ServiceChanged
from harness.run.protocols import CheckRow, RunView, trial_row
from harness.scenario.catalogue import Need


class ProofOfEffect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``faults``: steps that must have hurt."""

    faults: tuple[str, ...]


class ProofOfEffectChecker:
    """A drill in which nothing was at risk is VACUOUS, never PASS."""

    name: ClassVar[str] = "proof_of_effect"
    parameters: ClassVar[type[msgspec.Struct]] = ProofOfEffect

    def check(self, view: RunView, trial: str, layer: str, parameters: ProofOfEffect) -> Sequence[CheckRow]:
        rows = []
        for fault in parameters.faults:
            proofs = [item.event for item in view.events("fault.proof", trial=trial) if isinstance(item.event, FaultProof)]
            found = [proof for proof in proofs if proof.fault == fault and proof.before != proof.after]
            value = f"{found[0].proof}: {found[0].before} → {found[0].after}" if found else "none"
            verdict = Verdict.PASS if found else Verdict.VACUOUS
            reason = "" if found else f"fault {fault} has no proof of effect"
            rows.append(trial_row(trial, layer, f"proof.{fault}", verdict, value, "effect proven", reason))
        return rows

    def implied(self, need: Need, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """Every step that is a fault has to have hurt, whether it is listed or not."""
        return {**written, "faults": list(dict.fromkeys([*written.get("faults", ()), *need.steps]))}


class GuardsTrippedChecker:
    """Every guard tripped on synthetic input, before the first fault."""

    name: ClassVar[str] = "guards_tripped"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:
        del parameters
        tested = [(item.sequence, item.event) for item in view.events("guard.tested", trial=trial)]
        first_fault = min((item.sequence for item in view.events("fault.intended", trial=trial)), default=None)
        guards = [(sequence, event) for sequence, event in tested if isinstance(event, GuardTested)]
        asleep = [event.guard for _, event in guards if not event.tripped]
        late = [event.guard for sequence, event in guards if first_fault is not None and sequence > first_fault]
        verdict = Verdict.VACUOUS if not guards else Verdict.FAIL if asleep or late else Verdict.PASS
        reason = (
            "no guard was tried"
            if not guards
            else ", ".join([*(f"{g} did not trip" for g in asleep), *(f"{g} tried after a fault" for g in late)])
        )
        value = f"{len(guards) - len(asleep)} of {len(guards)} tripped"
        return [trial_row(trial, layer, "guards", verdict, value, "all, before the first fault", reason)]


class NoResidueChecker:
    """Every fault that was applied is undone, in order, and no service is still held down."""

    name: ClassVar[str] = "no_residue"
    parameters: ClassVar[type[msgspec.Struct]] = NoParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: NoParameters) -> Sequence[CheckRow]:
        del parameters
        intended = {item.event.fault for item in view.events("fault.intended", trial=trial) if isinstance(item.event, FaultIntended)}
        applied = {item.event.fault for item in view.events("fault.applied", trial=trial) if isinstance(item.event, FaultApplied)}
        undone = {item.event.fault for item in view.events("fault.undone", trial=trial) if isinstance(item.event, FaultUndone)}
        left = [f"fault {fault} not undone" for fault in sorted((intended | applied) - undone)]
        left += [f"service {name} still held" for name in sorted(_held(view))]
        verdict = Verdict.VACUOUS if not intended else Verdict.FAIL if left else Verdict.PASS
        reason = "no fault was intended" if not intended else "; ".join(left)
        value = f"{len(undone & intended)} of {len(intended)} faults undone"
        return [trial_row(trial, layer, "residue", verdict, value, "none left", reason)]


def _held(view: RunView) -> set[str]:
    held: set[str] = set()
    for item in view.events("service.changed"):
        if isinstance(item.event, ServiceChanged) and item.event.change == "held":
            held.add(item.event.service)
        elif isinstance(item.event, ServiceChanged) and item.event.change == "released":
            held.discard(item.event.service)
    return held
