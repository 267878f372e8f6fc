"""What became of each requirement: a PASS alone verifies nothing, a seeded defect must have turned the check red."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import UsageError
from harness.core.text import one_line
from harness.core.verdict import Verdict, merge
from harness.journal.requirements import RequirementMatrix, RequirementRow, Status
from harness.journal.summary import Row
from harness.traceability.registry import COUNTED, EVIDENCE, Requirement, Requirements

Detections = Mapping[str, tuple[str, ...]]
NO_DEFECT = "passing, no seeded defect yet"
_STATUS = {
    Verdict.FAIL: Status.FAILING,
    Verdict.ERROR: Status.FAILING,
    Verdict.ABORTED: Status.FAILING,
    Verdict.INCONCLUSIVE: Status.VACUOUS,
    Verdict.VACUOUS: Status.VACUOUS,
    Verdict.BLOCKED: Status.BLOCKED,
}
_BOUNDARIES = ("", ".", "[", ":", " ", "/")


@dataclasses.dataclass(frozen=True, slots=True)
class Matrix:
    """The requirements of a project, judged by the rows of one run."""

    matrix: RequirementMatrix

    def as_json(self) -> dict[str, Any]:
        """``requirements.json`` with the counts beside it."""
        return {**msgspec.to_builtins(self.matrix), "counts": {str(status): count for status, count in self.counts().items()}}

    def counts(self) -> dict[Status, int]:
        """How many requirements have each status."""
        found = Counter(row.status for row in self.matrix.rows)
        return {status: found[status] for status in Status}

    def lines(self, *, everything: bool = False) -> list[str]:
        """Plain lines for a terminal: counts by evidence kind, then the ids by status (untested ones only with ``everything``)."""
        found = Counter((row.evidence, row.status) for row in self.matrix.rows)
        order = [Status.VERIFIED, Status.UNPROVEN, Status.FAILING, Status.VACUOUS, Status.BLOCKED, Status.UNTESTED]
        lines = ["evidence".ljust(10) + "".join(str(status).rjust(10) for status in order) + "all".rjust(10)]
        for kind in EVIDENCE:
            counts = [found[kind, status] for status in order]
            lines.append(kind.ljust(10) + "".join(str(count).rjust(10) for count in (*counts, sum(counts))))
        totals = [sum(found[kind, status] for kind in EVIDENCE) for status in order]
        lines.append("all".ljust(10) + "".join(str(count).rjust(10) for count in (*totals, sum(totals))))
        for status in order:
            rows = [row for row in self.matrix.rows if row.status is status]
            if rows and (everything or status is not Status.UNTESTED):
                lines += ["", f"{status} ({len(rows)})", *(_line(row) for row in rows)]
        return lines


def _line(row: RequirementRow) -> str:
    threshold = f"  <{row.threshold}>" if row.threshold else ""
    tail = row.note or (f"found: {', '.join(row.defects[:3])}" if row.defects else "")
    return f"  {row.id:<11} {one_line(row.text)}{one_line(threshold)}  ({row.evidence}{'; ' + one_line(tail) if tail else ''})"


def build_matrix(requirements: Requirements, rows: Sequence[Row], detections_path: Path | None = None) -> Matrix:
    """Judge every requirement by the rows that carry its id. Unknown ids of rows are an error."""
    detections = load_detections(detections_path)
    carried: dict[str, list[Row]] = {}
    for row in rows:
        for name in dict.fromkeys(row.requirements):
            if name not in requirements.by_id:
                raise UsageError(
                    f"row {row.check} names the unknown requirement {name!r}",
                    file=requirements.file,
                    remedy="register it or correct the mark",
                )
            carried.setdefault(name, []).append(row)
    return Matrix(RequirementMatrix(rows=tuple(_judged(item, carried.get(item.id, ()), detections) for item in requirements)))


def _judged(requirement: Requirement, rows: Sequence[Row], detections: Detections) -> RequirementRow:
    defects = tuple(sorted({defect for row in rows for defect in found_by(row.check, detections)}))
    status, note = _status(requirement, rows, defects)
    return RequirementRow(
        id=requirement.id,
        group=requirement.group,
        text=requirement.text,
        threshold=requirement.threshold,
        evidence=requirement.evidence,
        status=status,
        note=note,
        checks=tuple(dict.fromkeys(row.check for row in rows)),
        defects=defects,
    )


def _status(requirement: Requirement, rows: Sequence[Row], defects: tuple[str, ...]) -> tuple[Status, str]:
    if not rows:
        return Status.UNTESTED, ""
    worst = merge(row.verdict for row in rows)
    if worst is not Verdict.PASS:
        row = next(row for row in rows if row.verdict is worst)
        return _STATUS[worst], one_line(f"{row.check}: {worst} {row.reason or row.value}")
    if requirement.evidence not in COUNTED:
        return Status.UNPROVEN, f"passing, but evidence of the kind {requirement.evidence!r} verifies nothing"
    return (Status.VERIFIED, "") if defects else (Status.UNPROVEN, NO_DEFECT)


def found_by(check: str, detections: Detections) -> Iterable[str]:
    """The seeded defects that turned this check red: keys are check ids, test nodes, or beginnings of them at a word's end."""
    for key, defects in detections.items():
        if key and check.startswith(key) and (key[-1] in _BOUNDARIES or check[len(key) : len(key) + 1] in _BOUNDARIES):
            yield from defects


class _Published(msgspec.Struct, frozen=True):
    """The part of the file that is used here; the summary beside it is for people."""

    checks: dict[str, tuple[str, ...]]


def load_detections(path: Path | None) -> Detections:
    """``checks`` of ``docs/detections.json`` and of every ``detections-*.json`` beside it: check id, test node or a beginning of one →
    ids of seeded defects. Empty without them.
    """
    if path is None:
        return {}
    merged: dict[str, tuple[str, ...]] = {}
    for file in (path, *sorted(path.parent.glob(f"{path.stem}-*.json"))):
        for check, defects in _read_detections(file).items():
            merged[check] = (*merged.get(check, ()), *defects)
    return merged


def _read_detections(path: Path) -> Detections:
    if not path.is_file():
        return {}
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Published).checks
    except (msgspec.DecodeError, msgspec.ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"is not what the defects bar writes: {error}", file=str(path), remedy="write it again with `make bars`") from None
