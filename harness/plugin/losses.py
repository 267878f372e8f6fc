"""Hooks for a system that is lost while tests run: the waiting test fails with the cause, and those that need the system are not begun."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from harness.core.text import clean
from harness.core.verdict import Verdict
from harness.plugin.hooks import SESSION
from harness.plugin.session import NotPassed

NEED_THE_SYSTEM = frozenset({"target", "stack", "scenario"})


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of what pytest prepares for the test and takes down after it
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    session = item.config.stash.get(SESSION, None)
    if session is not None and session.lost and NEED_THE_SYSTEM & set(getattr(item, "fixturenames", ())):
        raise NotPassed(Verdict.ABORTED, f"not run: the system is gone: {session.lost}")
    yield from _interruptible(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    yield from _interruptible(item)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    yield from _interruptible(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Why the system is not there, in full and once; the tests name it in a line."""
    session = config.stash.get(SESSION, None)
    for title, reason in (("did not come up", session.down), ("is gone", session.lost)) if session is not None else ():
        if reason:
            terminalreporter.section(f"harness: the system {title}", red=True)
            terminalreporter.write_line(clean(reason))


def _interruptible(item: pytest.Item) -> Generator[None, None, None]:
    session = item.config.stash.get(SESSION, None)
    if session is None:
        yield
        return
    with session.interruptible():
        yield
