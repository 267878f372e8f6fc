"""The checker ``acknowledged_kept``: everything the system acknowledged is there at the end; nothing appears twice or from nowhere.

It reads the sample stream ``writes``: one row a write with its acknowledgement and, from a later independent read, whether it was
found. Too few acknowledged writes inside the fault window make it VACUOUS: then nothing was at risk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import Window
from harness.run.protocols import CheckRow, RunView, trial_row


class AcknowledgedKept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``fault``: the step whose window counts (5 s before injection until recovery)."""

    fault: str
    minimum_in_fault_window: Annotated[int, msgspec.Meta(ge=1)] = 20


class AcknowledgedKeptChecker:
    """Lost acknowledged writes fail; unread ones make it INCONCLUSIVE; too few at risk make it VACUOUS."""

    name: ClassVar[str] = "acknowledged_kept"
    parameters: ClassVar[type[msgspec.Struct]] = AcknowledgedKept

    def check(self, view: RunView, trial: str, layer: str, parameters: AcknowledgedKept) -> Sequence[CheckRow]:
        rows = latest(view.samples("writes", trial))
        windows = [item.event for item in view.events("window", trial=trial) if isinstance(item.event, Window)]
        spans = [(window.start_ns, window.end_ns) for window in windows if window.kind == "fault" and window.name == parameters.fault]
        acknowledged = [row for row in rows if row["acked_ns"] is not None]
        at_risk = [row for row in acknowledged if any(start <= row["acked_ns"] <= end for start, end in spans)]
        lost = sorted(row["write_id"] for row in acknowledged if row["found"] is False)
        unread = [row for row in acknowledged if row["found"] is None]
        verdict, reason = _judge(lost, len(unread), len(at_risk), parameters.minimum_in_fault_window)
        value = f"{len(lost)} of {len(acknowledged)} acknowledged writes lost, {len(at_risk)} in the fault window"
        limit = f"0 lost, >= {parameters.minimum_in_fault_window} in the fault window"
        return [trial_row(trial, layer, "acknowledged", verdict, value, limit, reason)]


def _judge(lost: list[str], unread: int, at_risk: int, minimum: int) -> tuple[Verdict, str]:
    if lost:
        return Verdict.FAIL, f"acknowledged and not found: {', '.join(lost[:5])}{' …' if len(lost) > 5 else ''}"
    if at_risk < minimum:
        return Verdict.VACUOUS, f"only {at_risk} acknowledged writes were at risk, {minimum} are needed"
    if unread:
        return Verdict.INCONCLUSIVE, f"{unread} acknowledged writes were never read back"
    return Verdict.PASS, ""


def latest(samples: Any) -> list[dict[str, Any]]:
    """The last row of each write: the acknowledgement first, the later read over it."""
    merged: dict[str, dict[str, Any]] = {}
    if samples.num_rows == 0:
        return []
    for row in samples.select(["write_id", "kind", "sent_ns", "acked_ns", "status", "visible_ns", "found"]).to_pylist():
        known = merged.setdefault(row["write_id"], row)
        known.update({name: value for name, value in row.items() if value is not None})
    return list(merged.values())
