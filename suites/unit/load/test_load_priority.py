"""The priority of an engine process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest

from harness.load.engine.priority import is_realtime, take_realtime

needs_scheduler = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="this system has no real-time priority to ask for")


def in_a_thread(work: Callable[[], bool]) -> bool:
    """What ``work`` gives in a thread of its own: the test's own thread stays as it is."""
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(10)
    return found[0]


def allowed() -> bool:
    """Whether this user on this machine may have it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        return False
    return True


def taken() -> bool:
    take_realtime()
    return is_realtime()


def taken_by_the_starter_only() -> bool:
    return taken() and not in_a_thread(is_realtime)


@needs_scheduler
def test_where_it_is_allowed_the_thread_has_it_and_those_it_starts_do_not() -> None:
    """The writing thread must never keep the event loop from its core."""
    assert in_a_thread(taken_by_the_starter_only) is in_a_thread(allowed)


@needs_scheduler
def test_where_it_is_not_allowed_the_engine_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most users of a laptop are not allowed."""

    def refused(*_arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", refused)
    assert not in_a_thread(taken)
