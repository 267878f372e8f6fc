"""The checkers ``contract_operations`` (fuzzing, a row an operation) and ``contract_manners`` (refusals, a row a kind of request)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import OperationChecked
from harness.run.protocols import CheckRow, RunView, trial_row

FUZZING, EXCLUDED = "fuzzing", "excluded"
SHOWN = 5


class Operations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``minimum_cases``: an operation with fewer is VACUOUS."""

    minimum_cases: int = 1


class OperationsChecker:
    """A row an operation: FAIL with the failed checks; VACUOUS without cases; BLOCKED with the reason where it is left out."""

    name: ClassVar[str] = "contract_operations"
    parameters: ClassVar[type[msgspec.Struct]] = Operations

    def check(self, view: RunView, trial: str, layer: str, parameters: Operations) -> Sequence[CheckRow]:
        return [
            self._row(event, trial, layer, parameters.minimum_cases)
            for event in _checked(view, trial)
            if event.check in {FUZZING, EXCLUDED}
        ]

    def _row(self, event: OperationChecked, trial: str, layer: str, minimum: int) -> CheckRow:
        verdict, reason = Verdict.PASS, ""
        if event.check == EXCLUDED:
            verdict, reason = Verdict.BLOCKED, f"left out by harness.toml: {event.detail}"
        elif event.failures:
            verdict, reason = Verdict.FAIL, event.detail
        elif event.cases < minimum:
            verdict, reason = Verdict.VACUOUS, "no case was sent to this operation"
        value = f"{event.failures} failures in {event.cases} cases"
        return trial_row(trial, layer, f"fuzzing {event.operation}", verdict, value, "0 failures", reason)


class Manners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``kinds``: which kinds of refusals are judged; one that was tried on no operation is VACUOUS."""

    kinds: tuple[str, ...] = ("no_key", "wrong_key", "lacking_scope", "no_json", "wrong_method", "unknown_path")


class MannersChecker:
    """A row a kind, over all operations it was tried on; every wrong operation is named."""

    name: ClassVar[str] = "contract_manners"
    parameters: ClassVar[type[msgspec.Struct]] = Manners

    def check(self, view: RunView, trial: str, layer: str, parameters: Manners) -> Sequence[CheckRow]:
        events = [event for event in _checked(view, trial) if event.check not in {FUZZING, EXCLUDED}]
        others = [name for name in dict.fromkeys(event.check for event in events) if name not in parameters.kinds]
        return [self._row(name, [event for event in events if event.check == name], trial, layer) for name in (*parameters.kinds, *others)]

    def _row(self, kind: str, events: Sequence[OperationChecked], trial: str, layer: str) -> CheckRow:
        wrong = [event for event in events if event.failures]
        verdict = Verdict.VACUOUS if not events else Verdict.FAIL if wrong else Verdict.PASS
        more = f" … and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        reason = "; ".join(f"{event.operation}: {event.detail}" for event in wrong[:SHOWN]) + more
        value = f"{len(events) - len(wrong)} of {len(events)} right"
        return trial_row(trial, layer, f"manners {kind}", verdict, value, "all", reason or ("" if events else "tried on no operation"))


def _checked(view: RunView, trial: str) -> list[OperationChecked]:
    found = (recorded.event for recorded in view.events(OperationChecked.NAME, trial=trial))
    return [event for event in found if isinstance(event, OperationChecked)]
