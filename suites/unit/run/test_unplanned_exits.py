"""The checker ``exits``: what fell outside the faults on record is FAIL, what fell within is the plan's; a pure function of the folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from harness.core.clock import FakeClock
from harness.core.verdict import Verdict
from harness.journal.events import (
    Event,
    FaultApplied,
    FaultIntended,
    FaultUndone,
    LayerStarted,
    Note,
    RunStarted,
    ServiceChanged,
    ServiceExited,
    ServiceHung,
    StackLost,
    StackWatched,
    TrialFinished,
    Window,
)
from harness.journal.hub import JournalHub
from harness.run.builtin import NoParameters
from harness.run.exits import UnplannedExits
from harness.run.judge import judge
from harness.run.protocols import CheckRow
from harness.run.view import FolderView

S = 1_000_000_000
Judged = Callable[..., Sequence[CheckRow]]


def changed(change: str, at_s: float, service: str = "till", detail: str = "") -> ServiceChanged:
    return ServiceChanged(service=service, change=change, at_ns=round(at_s * S), pid=7, start_time=1.0, restarts=0, detail=detail)


def exited(
    at_s: float, service: str = "till", how: str = "exit 3", *, final: bool = False, expected: bool = False, words: str = ""
) -> Event:
    return ServiceExited(service=service, pid=7, at_ns=round(at_s * S), how=how, final=final, expected=expected, last_lines=words)


def hung(at_s: float) -> Event:
    return ServiceHung(service="till", pid=7, at_ns=round(at_s * S), detail="no answer")


def intended(at_s: float, fault: str = "f") -> Event:
    return FaultIntended(trial="t", fault=fault, kind="kill", target="till", undo="up", at_ns=round(at_s * S))


def applied(at_s: float, fault: str = "f") -> Event:
    return FaultApplied(trial="t", fault=fault, at_ns=round(at_s * S))


def undone(at_s: float, fault: str = "f") -> Event:
    return FaultUndone(trial="t", fault=fault, at_ns=round(at_s * S))


WATCHED = StackWatched(services=("till", "shelf"), at_ns=0)
UP = changed("started", 0.1), changed("healthy", 0.2)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """``folder(*events)``: a run folder; an event is written at the time that it names, others at once."""

    def make(*events: Event) -> Path:
        clock = FakeClock()
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        journal = JournalHub(place / "journal.jsonl", clock)
        facts = {"run": "r", "command": (), "seed": 1, "profile": "p", "mode": "run", "environment": {}, "required": ()}
        for event in (RunStarted(**facts), *events):
            at_ns = getattr(event, "at_ns", None)
            if at_ns is not None:
                clock.advance(max(0.0, (at_ns - clock.monotonic_ns()) / S))
            journal.emit(event)
        journal.close()
        return place

    return make


@pytest.fixture
def judged(folder: Callable[..., Path]) -> Judged:
    return lambda *events: UnplannedExits().check(FolderView(folder(*events)), "", "", NoParameters())


def test_a_run_without_a_watched_stack_has_no_row(judged: Judged) -> None:
    """Runs of other systems, and those recorded before services were watched, are judged as ever."""
    assert list(judged(changed("started", 1), changed("exited", 2))) == []


def test_a_stack_whose_services_stayed_is_one_row_that_passes(judged: Judged) -> None:
    """With how many were watched."""
    (row,) = judged(WATCHED, *UP)
    assert (row.check, row.verdict, row.value) == ("services", Verdict.PASS, "2 services watched, none ended")


def test_an_exit_by_itself_fails_with_service_code_place_time_and_last_words(judged: Judged) -> None:
    """One row a service: the first exit in full, further ones counted."""
    layer = LayerStarted(layer="shop", required=True)
    rows = judged(
        WATCHED, layer, exited(5, words="out of paper\ngiving up", final=True), exited(6), exited(8, "shelf", "killed by SIGSEGV")
    )
    assert [(row.check, row.verdict, row.value, row.optional) for row in rows] == [
        ("service.till", Verdict.FAIL, "exit 3", False),
        ("service.shelf", Verdict.FAIL, "killed by SIGSEGV", False),
    ]
    assert "ended by itself" in rows[0].reason
    assert "in the layer shop, outside any fault of the plan; nothing starts it again; and 1 × more" in rows[0].reason
    assert rows[0].reason.endswith("out of paper\ngiving up")


def test_an_exit_that_the_topology_expects_is_no_finding(judged: Judged) -> None:
    """A one-shot service that ended with 0."""
    (row,) = judged(WATCHED, exited(5, how="exit 0", final=True, expected=True))
    assert row.verdict is Verdict.PASS


def test_a_hang_and_a_lost_supervisor_are_rows(judged: Judged) -> None:
    """The supervisor's row names the cause; a stack that was lost by a service has that service's row only."""
    rows = judged(WATCHED, hung(3), StackLost(cause="it hangs", service="till", at_ns=3 * S))
    assert [(row.check, row.value) for row in rows] == [("service.till", "hangs: no answer")]
    (row,) = judged(WATCHED, StackLost(cause="the supervisor died", service="", at_ns=9 * S))
    assert (row.check, row.verdict, row.value) == ("supervisor", Verdict.FAIL, "the supervisor died")


PLANNED = {
    "within a fault": [intended(4), applied(4.1), exited(5), undone(9)],
    "of another service within a fault": [intended(4), applied(4.1), exited(5, "shelf"), undone(9)],
    "within a fault that was not undone": [intended(4), applied(4.1), exited(50)],
    "right after the undo": [intended(4), undone(9), exited(10)],
    "within a fault of which only the window is told": [Window(trial="t", kind="fault", name="x", start_ns=4 * S, end_ns=9 * S), exited(5)],
    "by a signal that was asked for": [*UP, changed("signalled", 4, detail="SIGKILL"), changed("exited", 4.1), exited(4.1)],
    "by a signal that it obeys late": [*UP, changed("signalled", 4, detail="SIGTERM"), changed("exited", 20), exited(20)],
    "after a restart that was asked for": [*UP, changed("asked_to_restart", 4), changed("exited", 4.5), exited(4.5)],
    "of who depends on a killed one": [
        *UP,
        changed("signalled", 4, detail="SIGKILL"),
        changed("exited", 4.1),
        exited(4.1),
        exited(6, "shelf"),
        changed("healthy", 7),
    ],
    "while another one is held": [
        *UP,
        changed("held", 4),
        changed("exited", 4.2),
        exited(4.2),
        exited(100, "shelf"),
        changed("released", 200),
    ],
    "after the release of a held one, until it is back": [
        *UP,
        changed("held", 4),
        changed("exited", 4.2),
        changed("released", 20),
        exited(25, "shelf"),
        changed("healthy", 26),
    ],
    "silence while it is stopped": [*UP, changed("signalled", 4, detail="SIGSTOP"), hung(90), changed("signalled", 99, detail="SIGCONT")],
    "silence right after it goes on": [*UP, changed("signalled", 4, detail="SIGSTOP"), changed("signalled", 9, detail="SIGCONT"), hung(10)],
}


@pytest.mark.parametrize("case", PLANNED)
def test_what_the_plan_did_is_no_finding(judged: Judged, case: str) -> None:
    """A fault's window is the whole stack's: from its intention to its undo, or from what was asked to the service's return."""
    rows = judged(WATCHED, *PLANNED[case])
    assert [(row.check, row.verdict) for row in rows] == [("services", Verdict.PASS)], rows


UNPLANNED = {
    "before the fault": [exited(3), intended(4), undone(9)],
    "long after the undo": [intended(4), undone(9), exited(12)],
    "after the trial whose fault was not undone": [intended(4), TrialFinished(trial="t", outcome="completed", duration_s=1.0), exited(30)],
    "before the signal": [*UP, changed("exited", 3), exited(3), changed("started", 3.1), changed("signalled", 4, detail="SIGKILL")],
    "long after a signal that it survived": [*UP, changed("signalled", 4, detail="SIGTERM"), changed("exited", 40), exited(40)],
    "after a signal that harms nobody": [*UP, changed("signalled", 4, detail="SIGUSR1"), changed("exited", 5), exited(5)],
    "again, after it was back": [
        *UP,
        changed("signalled", 4, detail="SIGKILL"),
        changed("exited", 4.1),
        changed("started", 4.2),
        changed("healthy", 5),
        changed("exited", 9),
        exited(9),
    ],
    "long after a killed one that never came back": [
        *UP,
        changed("signalled", 4, detail="SIGKILL"),
        changed("exited", 4.1),
        exited(300, "shelf"),
    ],
    "after a hold that never took it down": [*UP, changed("held", 4), changed("released", 5), exited(20)],
    "silence long after it was let go on": [
        *UP,
        changed("signalled", 4, detail="SIGSTOP"),
        changed("signalled", 9, detail="SIGCONT"),
        hung(30),
    ],
}


@pytest.mark.parametrize("case", UNPLANNED)
def test_what_no_fault_explains_is_a_finding(judged: Judged, case: str) -> None:
    """A fault excuses its own window only."""
    rows = judged(WATCHED, *UNPLANNED[case])
    assert Verdict.FAIL in {row.verdict for row in rows}, rows


def test_the_checker_is_always_on_and_gives_the_same_again(folder: Callable[..., Path]) -> None:
    """Nobody lists it; the verdict of the run is FAIL, and judging the folder twice gives the same bytes."""
    place = folder(WATCHED, Note(trial="", text="x"), exited(5))
    first, second = judge(place), judge(place)
    assert first.verdict is Verdict.FAIL
    assert first.encoded() == second.encoded()
    assert "service.till" in {row.check for row in first.rows}
