"""Checkers of recovery drills: what the backup held is back, the loss is stated, the stages ran in order, and bad backups are refused.

Whether a write belongs to the backup is told by our own clock, not by the platform's word: acknowledged before the backup command
began, it must be there; acknowledged after it had ended, it may be lost (media loss) and is counted; between the two, either.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import DrillStage, FaultProof
from harness.run.protocols import CheckRow, RunView, trial_row

ORDER = ("backup", "destroy", "restore", "reconcile", "verify", "serve")
NEGATIVE = "negative:"


class RestoreFaithful(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Fewer acknowledged writes before or after the backup than these minima: nothing was at risk."""

    minimum_before: int = 20
    minimum_after: int = 100


class RestoreFaithfulChecker:
    """Four rows: what was backed up is found; what the loss cost; the stages; the emptiness before the restore."""

    name: ClassVar[str] = "restore_faithful"
    parameters: ClassVar[type[msgspec.Struct]] = RestoreFaithful

    def check(self, view: RunView, trial: str, layer: str, parameters: RestoreFaithful) -> Sequence[CheckRow]:
        stages = {stage.stage: stage for stage in _stages(view, trial) if stage.stage in ORDER}
        writes = [row for row in _writes(view, trial) if row["acked_ns"] is not None]
        rows = [
            _kept(trial, layer, stages, writes, parameters.minimum_before),
            _lost(trial, layer, stages, writes, parameters.minimum_after),
        ]
        return [*rows, _ordered(trial, layer, stages), _emptied(view, trial, layer)]


def _kept(trial: str, layer: str, stages: dict[str, DrillStage], writes: list[dict[str, Any]], minimum: int) -> CheckRow:
    backup = stages.get("backup")
    owed = [row for row in writes if backup is not None and row["acked_ns"] < backup.start_ns]
    lost = sorted(row["write_id"] for row in owed if row["found"] is False)
    unread = sum(row["found"] is None for row in owed)
    verdict, reason = Verdict.PASS, ""
    if lost:
        verdict, reason = Verdict.FAIL, f"acknowledged before the backup and not found: {', '.join(lost[:5])}"
    elif len(owed) < minimum:
        verdict, reason = Verdict.VACUOUS, f"only {len(owed)} writes were acknowledged before the backup, {minimum} are needed"
    elif unread:
        verdict, reason = Verdict.INCONCLUSIVE, f"{unread} writes were never read back"
    value = f"{len(owed) - len(lost) - unread} of {len(owed)} found"
    return trial_row(trial, layer, "restored", verdict, value, f"all, >= {minimum}", reason)


def _lost(trial: str, layer: str, stages: dict[str, DrillStage], writes: list[dict[str, Any]], minimum: int) -> CheckRow:
    backup, destroy = stages.get("backup"), stages.get("destroy")
    after = [row for row in writes if backup and destroy and backup.end_ns < row["acked_ns"] < destroy.start_ns]
    lost = sum(row["found"] is False for row in after)
    enough = len(after) >= minimum
    value = f"{lost} of {len(after)} acknowledged after the backup lost with the media"
    limit = f">= {minimum} at risk; the loss is the RPO"
    reason = "" if enough else f"only {len(after)} writes were acknowledged between backup and destruction, {minimum} are needed"
    return trial_row(trial, layer, "at_risk", Verdict.PASS if enough else Verdict.VACUOUS, value, limit, reason)


def _ordered(trial: str, layer: str, stages: dict[str, DrillStage]) -> CheckRow:
    missing = [name for name in ORDER if name not in stages or stages[name].outcome != "done"]
    pairs = [(stages[one], stages[two]) for one, two in itertools.pairwise(ORDER) if not missing]
    early = [later.stage for earlier, later in pairs if later.start_ns < earlier.end_ns]
    reason = (
        f"not done: {', '.join(missing)}"
        if missing
        else f"began before the stage ahead of it had ended: {', '.join(early)}"
        if early
        else ""
    )
    took = ", ".join(f"{name} {(stages[name].end_ns - stages[name].start_ns) / 1e9:.1f} s" for name in ORDER if name in stages)
    verdict = Verdict.FAIL if reason else Verdict.PASS
    return trial_row(trial, layer, "stages", verdict, took, " → ".join(ORDER), reason)


def _emptied(view: RunView, trial: str, layer: str) -> CheckRow:
    proofs = [item.event for item in view.events("fault.proof", trial=trial) if isinstance(item.event, FaultProof)]
    changed = [proof for proof in proofs if proof.proof == "pid_changed" and proof.before != proof.after]
    emptied = [proof for proof in proofs if proof.proof == "stores_emptied"]
    lossy = bool(emptied) and all(proof.before != "0" for proof in emptied)
    if not changed or not lossy:
        verdict, reason = Verdict.VACUOUS, "no proof that anything was destroyed"
    elif any(proof.after != "0" for proof in emptied):
        verdict, reason = Verdict.FAIL, f"{emptied[-1].after} items were there before the restore"
    else:
        verdict, reason = Verdict.PASS, ""
    value = (
        f"{len(changed)} engines in new processes, {emptied[-1].before if emptied else '?'} → {emptied[-1].after if emptied else '?'} items"
    )
    return trial_row(trial, layer, "destroyed", verdict, value, "empty before the restore", reason)


class NegativeControls(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``minimum``: how many controls must have been tried."""

    minimum: int = 1


class NegativeControlsChecker:
    """One row a control: refused, or the recovery path takes what it must not."""

    name: ClassVar[str] = "negative_controls"
    parameters: ClassVar[type[msgspec.Struct]] = NegativeControls

    def check(self, view: RunView, trial: str, layer: str, parameters: NegativeControls) -> Sequence[CheckRow]:
        tried = [stage for stage in _stages(view, trial) if stage.stage.startswith(NEGATIVE)]
        rows = [_control(trial, layer, stage) for stage in tried]
        if len(tried) < parameters.minimum:
            reason = f"{len(tried)} controls were tried, {parameters.minimum} are needed"
            rows.append(trial_row(trial, layer, "negative", Verdict.VACUOUS, reason=reason))
        return rows


def _control(trial: str, layer: str, stage: DrillStage) -> CheckRow:
    refused = stage.outcome == "refused"
    name = f"negative.{stage.stage.removeprefix(NEGATIVE)}"
    verdict = Verdict.PASS if refused else Verdict.FAIL
    return trial_row(trial, layer, name, verdict, stage.outcome, "refused, nothing written", "" if refused else stage.detail)


def _stages(view: RunView, trial: str) -> list[DrillStage]:
    return [item.event for item in view.events("recovery.stage", trial=trial) if isinstance(item.event, DrillStage)]


def _writes(view: RunView, trial: str) -> list[dict[str, Any]]:
    """The last word on each write: its acknowledgement, and over it whether the later read found it."""
    merged: dict[str, dict[str, Any]] = {}
    samples = view.samples("writes", trial)
    for row in samples.select(["write_id", "acked_ns", "found"]).to_pylist() if samples.num_rows else ():
        known = merged.setdefault(row["write_id"], row)
        known.update({name: value for name, value in row.items() if value is not None})
    return list(merged.values())
