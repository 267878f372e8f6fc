"""A difference between the gate's two engines: an incident of ours, kept as a dead letter with both reports and the batch."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from system.platform.errors import EnginesDiffer, GateIssue
from system.platform.ports import GraphBatch, Records
from system.platform.record_types import NewDeadLetter

KIND: Final = "gate_difference"
WRITE_PREFIX: Final = "write:"  # of the supporter of a batch that came by the API; any other is a document
REMEDY: Final = "a defect of the platform, not of what was sent: report it with the dead letter, and replay that once it is mended"


def file_difference(records: Records[Any, Any], batch: GraphBatch, found: EnginesDiffer) -> str:
    """The id of the dead letter; the same batch differing again is one letter with one more attempt. Raises ``Unavailable``."""
    reports = [{"engine": name, "issues": [plain_issue(issue) for issue in issues]} for name, issues in found.reports.items()]
    subject = batch.supporter.removeprefix(WRITE_PREFIX)
    letter = NewDeadLetter(KIND, subject, str(found), msgspec.json.encode(reports), msgspec.json.encode(batch))
    return records.put_dead_letter(letter)


def plain_issue(issue: GateIssue) -> dict[str, str]:
    """The form of an issue in a dead letter."""
    return {
        "focus_node": issue.focus_node,
        "path": issue.path,
        "value": issue.value,
        "shape": issue.shape,
        "message": issue.message,
    }
