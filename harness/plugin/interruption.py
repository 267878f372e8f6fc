"""Ends what the main thread waits for, from another thread: a test that asks a system which is gone would wait for its own time limit."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

NUMBER = signal.SIGUSR2


class Interruption:
    """``interrupt`` fails the test that runs inside ``allowed`` in the main thread; elsewhere, and in ``suspended``, it does nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = False
        self._suspended = 0
        self._reason = ""

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread() or self._inside:
            yield
            return
        before = signal.signal(NUMBER, self._ring)
        with self._lock:
            self._inside = True
        try:
            yield
        finally:
            with self._lock:
                self._inside = False
            signal.signal(NUMBER, before)  # runs what is pending first: it finds that nobody is inside any more

    @contextlib.contextmanager
    def suspended(self) -> Iterator[None]:
        with self._lock:
            self._suspended += 1
        try:
            yield
        finally:
            with self._lock:
                self._suspended -= 1

    def interrupt(self, reason: str) -> None:
        with self._lock:
            self._reason = reason
            if self._inside and not self._suspended:
                signal.pthread_kill(threading.main_thread().ident or 0, NUMBER)

    def _ring(self, _number: int, _frame: FrameType | None) -> None:
        if self._inside and not self._suspended:
            self._inside = False
            pytest.fail(self._reason, pytrace=False)
