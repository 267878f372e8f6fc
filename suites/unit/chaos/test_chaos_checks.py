"""Checkers of drills: no proof is VACUOUS, a sleeping or late guard fails, what is left behind fails."""

from __future__ import annotations

from typing import Any

import pytest

from harness.chaos.checks import GuardsTrippedChecker, NoParameters, NoResidueChecker, ProofOfEffect, ProofOfEffectChecker
from harness.core.verdict import Verdict
from harness.journal.events import Event, FaultApplied, FaultIntended, FaultProof, FaultUndone, GuardTested, ServiceChanged


def intended(fault: str = "kill", trial: str = "t") -> Event:
    return FaultIntended(trial=trial, fault=fault, kind="kill -KILL", target="graph", undo="healthy", at_ns=1)


def applied(fault: str = "kill") -> Event:
    return FaultApplied(trial="t", fault=fault, at_ns=2, detail="")


def proof(fault: str = "kill", before: str = "1@1", after: str = "2@2", trial: str = "t") -> Event:
    return FaultProof(trial=trial, fault=fault, proof="pid_changed", before=before, after=after, at_ns=3)


def undone(fault: str = "kill") -> Event:
    return FaultUndone(trial="t", fault=fault, at_ns=4, detail="")


def guard(name: str = "loopback", tripped: bool = True) -> Event:
    return GuardTested(trial="t", guard=name, tripped=tripped, input="x")


def service(change: str, name: str = "graph") -> Event:
    return ServiceChanged(service=name, change=change, at_ns=1, pid=1, start_time=1.0, restarts=0)


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ([proof()], Verdict.PASS),
        ([], Verdict.VACUOUS),
        ([applied(), undone()], Verdict.VACUOUS),
        ([proof(after="1@1")], Verdict.VACUOUS),
        ([proof(fault="other")], Verdict.VACUOUS),
        ([proof(trial="elsewhere")], Verdict.VACUOUS),
    ],
)
def test_a_fault_counts_only_with_proof_of_its_effect(drill: Any, events: list[Event], verdict: Verdict) -> None:
    """A changed pid of this fault in this trial; everything else means that nothing was at risk."""
    drill.emit(*events)
    (row,) = ProofOfEffectChecker().check(drill.view(), "t", "chaos", ProofOfEffect(faults=("kill",)))
    assert row.verdict is verdict
    assert bool(row.reason) is (verdict is not Verdict.PASS)


def test_each_fault_has_a_row_of_its_own(drill: Any) -> None:
    """Two faults, one proven: PASS and VACUOUS."""
    drill.emit(proof(fault="a"))
    rows = ProofOfEffectChecker().check(drill.view(), "t", "chaos", ProofOfEffect(faults=("a", "b")))
    assert {row.check: row.verdict for row in rows} == {"t.proof.a": Verdict.PASS, "t.proof.b": Verdict.VACUOUS}


@pytest.mark.parametrize(
    ("events", "verdict", "reason"),
    [
        ([guard(), guard("same process"), intended()], Verdict.PASS, ""),
        ([guard()], Verdict.PASS, ""),
        ([], Verdict.VACUOUS, "no guard was tried"),
        ([intended(), guard()], Verdict.FAIL, "loopback tried after a fault"),
        ([guard(tripped=False), intended()], Verdict.FAIL, "loopback did not trip"),
        ([guard(), intended(), guard("late"), intended("second")], Verdict.FAIL, "late tried after a fault"),
        ([intended(trial="elsewhere"), guard()], Verdict.PASS, ""),
    ],
)
def test_guards_must_have_tripped_before_the_first_fault(drill: Any, events: list[Event], verdict: Verdict, reason: str) -> None:
    """None tried is VACUOUS; one asleep or tried too late fails and is named."""
    drill.emit(*events)
    (row,) = GuardsTrippedChecker().check(drill.view(), "t", "chaos", NoParameters())
    assert (row.verdict, row.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("events", "verdict", "reason"),
    [
        ([intended(), applied(), undone()], Verdict.PASS, ""),
        ([], Verdict.VACUOUS, "no fault was intended"),
        ([intended()], Verdict.FAIL, "fault kill not undone"),
        ([intended(), applied()], Verdict.FAIL, "fault kill not undone"),
        ([intended(), applied(), undone(), intended("b"), applied("b")], Verdict.FAIL, "fault b not undone"),
        ([service("held"), intended(), applied(), undone()], Verdict.FAIL, "service graph still held"),
        ([service("held"), service("released"), intended(), undone()], Verdict.PASS, ""),
        ([service("released"), service("held"), intended(), undone()], Verdict.FAIL, "service graph still held"),
        ([applied(), intended("b"), undone("b")], Verdict.FAIL, "fault kill not undone"),
    ],
)
def test_nothing_may_be_left_behind(drill: Any, events: list[Event], verdict: Verdict, reason: str) -> None:
    """A fault that is not undone or a service still held fails and is named; no fault at all is VACUOUS."""
    drill.emit(*events)
    (row,) = NoResidueChecker().check(drill.view(), "t", "chaos", NoParameters())
    assert (row.verdict, row.reason) == (verdict, reason)
