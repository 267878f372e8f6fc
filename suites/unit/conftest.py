"""Unit tests are bounded: one that hangs fails after two minutes. The layered suites have deadlines of their own.

They also pass whatever signal dispositions they inherit: a session in the background of a script ignores Ctrl-C, and so would all that
it starts.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

LIMIT_S = 120
HERE = Path(__file__).parent
ENDING = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}


def pytest_sessionstart() -> None:
    for number, usual in ENDING.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE) and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LIMIT_S))
