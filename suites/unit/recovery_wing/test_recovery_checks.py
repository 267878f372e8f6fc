"""The recovery wing's checkers: pure functions of what the journal and the write samples say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.core.verdict import Verdict
from harness.journal.events import DrillStage, Event, FaultProof
from harness.recovery.checks import NegativeControls, NegativeControlsChecker, RestoreFaithful, RestoreFaithfulChecker
from harness.run.protocols import CheckRow, RecordedEvent

S = 1_000_000_000


@dataclasses.dataclass
class View:
    """A run folder that says what a test wants."""

    happened: list[Event]
    writes: list[dict[str, Any]]
    folder: Path = Path()

    def events(self, *names: str, trial: str | None = None) -> Sequence[RecordedEvent]:
        del trial
        return [RecordedEvent(number, 0, "", event) for number, event in enumerate(self.happened) if event.NAME in names]

    def samples(self, _stream: str, _trial: str) -> Any:
        return pa.Table.from_pylist(self.writes)

    def evidence(self, _name: str, _trial: str) -> bytes | None:
        return None


def stage(name: str, start_s: float, end_s: float, outcome: str = "done") -> DrillStage:
    return DrillStage(trial="t", stage=name, outcome=outcome, start_ns=round(start_s * S), end_ns=round(end_s * S))


def proof(what: str, before: str, after: str) -> FaultProof:
    return FaultProof(trial="t", fault="drill", proof=what, before=before, after=after, at_ns=0)


def drill() -> View:
    """Backup from 5 to 7 s, destruction at 20 s; a write a tenth of a second; all before the backup found, none after it."""
    stages = [
        stage(*one) for one in (("backup", 5, 7), ("destroy", 20, 22), ("restore", 22, 23), ("reconcile", 23, 24), ("verify", 24, 25))
    ]
    proofs = [proof("pid_changed", "records 1", "records 2"), proof("stores_emptied", "500", "0")]
    writes: list[dict[str, Any]] = [{"write_id": f"w{n}", "acked_ns": n * S // 10, "found": n < 60} for n in range(1, 200)]
    return View([*stages, stage("serve", 25, 26), *proofs], writes)


def rows(view: View, minimum_before: int = 20, minimum_after: int = 100) -> dict[str, CheckRow]:
    found = RestoreFaithfulChecker().check(view, "t", "recovery", RestoreFaithful(minimum_before, minimum_after))
    return {row.check.removeprefix("t."): row for row in found}


def test_a_faithful_drill_passes_and_states_its_loss() -> None:
    """Everything acknowledged before the backup is found; what came after is counted, not judged."""
    found = rows(drill())
    assert {row.verdict for row in found.values()} == {Verdict.PASS}
    assert found["at_risk"].value.startswith("129 of 129")


def test_a_lost_write_that_was_in_the_backup_fails() -> None:
    """One missing write that was acknowledged before the backup began is enough."""
    view = drill()
    view.writes[10]["found"] = False
    assert rows(view)["restored"].verdict is Verdict.FAIL


def test_a_write_acknowledged_while_the_backup_ran_may_be_lost() -> None:
    """Between the backup's beginning and its end either is right."""
    view = drill()
    view.writes[55]["found"] = False
    assert rows(view)["restored"].verdict is Verdict.PASS


def test_too_few_writes_are_vacuous_and_unread_ones_inconclusive() -> None:
    """A drill in which little was at risk proves little; what nobody looked for is not known."""
    assert rows(drill(), minimum_after=1000)["at_risk"].verdict is Verdict.VACUOUS
    assert rows(drill(), minimum_before=1000)["restored"].verdict is Verdict.VACUOUS
    view = drill()
    view.writes[3]["found"] = None
    assert rows(view)["restored"].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(("index", "change"), [(2, stage("restore", 21, 23)), (3, stage("reconcile", 23, 24, "error"))])
def test_stages_must_be_done_one_after_the_other(index: int, change: DrillStage) -> None:
    """A stage that began too early or was not done fails the drill."""
    view = drill()
    view.happened[index] = change
    assert rows(view)["stages"].verdict is Verdict.FAIL


def test_a_store_that_was_not_empty_fails_and_no_destruction_is_vacuous() -> None:
    """The restore must have begun with nothing, and something must have been there to lose."""
    view = drill()
    view.happened[-1] = proof("stores_emptied", "500", "3")
    assert rows(view)["destroyed"].verdict is Verdict.FAIL
    view.happened[-1] = proof("stores_emptied", "0", "0")
    assert rows(view)["destroyed"].verdict is Verdict.VACUOUS
    del view.happened[-2:]
    assert rows(view)["destroyed"].verdict is Verdict.VACUOUS


def test_a_bad_backup_that_was_taken_fails() -> None:
    """A control that was not refused is red; too few controls are vacuous."""
    view = View([stage("negative:truncated", 1, 2, "refused"), stage("negative:stale", 2, 3, "error")], [])
    checker = NegativeControlsChecker()
    assert [row.verdict for row in checker.check(view, "t", "recovery", NegativeControls(2))] == [Verdict.PASS, Verdict.FAIL]
    assert checker.check(View([], []), "t", "recovery", NegativeControls())[0].verdict is Verdict.VACUOUS
