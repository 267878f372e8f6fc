"""The checker ``same_identities``: a disturbed trial ends with the ids and counts of the undisturbed reference.

Both are evidence files: canonical JSON objects of lists of strings and of numbers, captured by a probe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.run.protocols import CheckRow, RunView, trial_row

SHOWN = 3


class SameIdentities(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``evidence``: name of this trial's capture, compared with ``reference`` (a capture kept for the run) or ``against`` (same trial)."""

    evidence: str
    reference: str = ""
    against: str = ""


class SameIdentitiesChecker:
    """Equal, member by member; an empty reference is VACUOUS."""

    name: ClassVar[str] = "same_identities"
    parameters: ClassVar[type[msgspec.Struct]] = SameIdentities

    def check(self, view: RunView, trial: str, layer: str, parameters: SameIdentities) -> Sequence[CheckRow]:
        against = parameters.against
        reference = view.evidence(against, trial) if against else view.evidence(f"reference.{parameters.reference}", "")
        found = view.evidence(parameters.evidence, trial)
        verdict, value, reason = _compare(reference, found)
        return [trial_row(trial, layer, "identities", verdict, value, "equal to the reference", reason)]


def _compare(reference: bytes | None, found: bytes | None) -> tuple[Verdict, str, str]:
    if reference is None or found is None:
        missing = "reference" if reference is None else "capture"
        return Verdict.ERROR, "", f"the {missing} is missing from the run folder"
    expected: Mapping[str, Any] = json.loads(reference)
    actual: Mapping[str, Any] = json.loads(found)
    size = sum(len(value) if isinstance(value, list) else 1 for value in expected.values())
    if not any(expected.values()):
        return Verdict.VACUOUS, "0 identities", "the reference is empty: nothing was compared"
    differences = [text for name in sorted({*expected, *actual}) if (text := _difference(name, expected.get(name), actual.get(name)))]
    if differences:
        return Verdict.FAIL, f"{len(differences)} of {len(expected)} members differ", "; ".join(differences)
    return Verdict.PASS, f"{size} identities equal", ""


def _difference(name: str, expected: Any, actual: Any) -> str:
    if expected == actual:
        return ""
    if isinstance(expected, list) and isinstance(actual, list):
        missing = sorted(set(expected) - set(actual))
        extra = sorted(set(actual) - set(expected))
        if not missing and not extra:
            return f"{name}: the same ids in another number or order ({len(expected)} expected, {len(actual)} found)"
        return f"{name}: {len(missing)} missing {missing[:SHOWN]}, {len(extra)} extra {extra[:SHOWN]}"
    return f"{name}: expected {expected!r}, found {actual!r}"
