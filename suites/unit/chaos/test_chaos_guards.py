"""Guards refuse before anything is touched, and let through what they must."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.chaos.guards import (
    ErrorRateStop,
    NoParameters,
    ProveGuards,
    require_known_service,
    require_loopback,
    require_owned,
    require_same_process,
)
from harness.core.errors import Blocked
from harness.journal.events import GuardTested


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:80", "http://127.3.4.5", "http://localhost:1/x", "http://[::1]:8000", "bolt://127.0.0.1:7"]
)
def test_addresses_of_this_machine_pass(url: str) -> None:
    """Loopback in every spelling is let through."""
    require_loopback(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/",
        "http://127.0.0.1.example.org/",
        "http://127.evil/",
        "http://localhost.example.org",
        "http://[2001:db8::1]:80",
        "http://0.0.0.0:80",
        "http://127.0.0.1@192.0.2.1/",
        "http://example.org/127.0.0.1",
        "",
        "127.0.0.1:80",
    ],
)
def test_addresses_elsewhere_are_blocked(url: str) -> None:
    """Another machine, a name that only looks like this one, or no address at all is refused."""
    with pytest.raises(Blocked, match="not on this machine"):
        require_loopback(url)


def test_ownership_and_service_are_asked_for(fake_stack: Any) -> None:
    """No stack is BLOCKED; a service that the stack lacks is BLOCKED with the ones it has; its own services pass."""
    stack = fake_stack()
    assert require_owned(stack) is stack
    with pytest.raises(Blocked, match="somebody else's"):
        require_owned(None)
    assert require_known_service(stack, "graph").pid == 100
    with pytest.raises(Blocked, match=r"no service 'grph'; it has: graph, other"):
        require_known_service(stack, "grph")


@pytest.mark.parametrize(("pid", "start", "same"), [(100, 5.0, True), (100, 5.01, False), (101, 5.0, False)])
def test_a_process_is_its_pid_and_its_start(fake_stack: Any, pid: int, start: float, same: bool) -> None:
    """The same pid started at another time is another process."""
    status = fake_stack().before
    if same:
        require_same_process(status, pid, start)
        return
    with pytest.raises(Blocked, match="no longer the one that was meant"):
        require_same_process(status, pid, start)


@given(answers=st.lists(st.booleans(), max_size=60), limit=st.floats(0.1, 0.9), window=st.integers(1, 20))
def test_the_error_rate_stop_is_a_fold_over_its_window(answers: list[bool], limit: float, window: int) -> None:
    """It trips exactly when more than ``limit`` of the last full window failed, never before a full window."""
    stop = ErrorRateStop(limit, window)
    for number, failed in enumerate(answers, 1):
        last = answers[max(0, number - window) : number]
        assert stop.see(failed=failed) is (len(last) == window and sum(last) > limit * window)


def test_every_guard_is_tripped_before_a_drill(drill: Any, fake_stack: Any) -> None:
    """``prove_guards`` trips all five on synthetic input, journals each, and signals nothing."""
    stack = fake_stack()
    ProveGuards().run(drill.context(stack), NoParameters())
    tested = [item.event for item in drill.view().events("guard.tested") if isinstance(item.event, GuardTested)]
    assert [event.guard for event in tested] == ["ownership", "loopback", "same process", "known service", "error rate stop"]
    assert all(event.tripped for event in tested)
    assert stack.killed == []


def test_a_guard_that_is_asleep_is_journaled_as_such(drill: Any, fake_stack: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that lets everything through is seen: ``tripped`` is false."""
    monkeypatch.setattr("harness.chaos.guards.require_same_process", lambda *_arguments: None)
    ProveGuards().run(drill.context(fake_stack()), NoParameters())
    tested = [item.event for item in drill.view().events("guard.tested") if isinstance(item.event, GuardTested)]
    assert [event.guard for event in tested if not event.tripped] == ["same process"]


@pytest.mark.parametrize(("base", "owned"), [("http://127.0.0.1:9", False), ("http://192.0.2.1", True)])
def test_guards_are_not_proven_on_somebody_elses_system(drill: Any, fake_stack: Any, base: str, owned: bool) -> None:
    """Without a stack of its own, or off this machine, the drill is BLOCKED."""
    with pytest.raises(Blocked):
        ProveGuards().run(drill.context(fake_stack() if owned else None, base), NoParameters())
