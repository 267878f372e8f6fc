"""A limit in time for work that knows no limit of its own."""

from __future__ import annotations

import contextlib
import ctypes
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")
BREAK_OFF_S = 0.8  # a page that is broken off is written once more, without its pictures


class OutOfTime(BaseException):
    """The work was cut off at its limit. No ``Exception``: what guards against the errors of a wing must not take it for one."""


def within(seconds: float | None, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; ``OutOfTime`` after ``seconds``, None for no limit.

    In the main thread the work is broken off. Elsewhere too, before its next step in Python; nothing can break a wait there: such work is
    left alone, and its process is to end.
    """
    if seconds is None:
        return work()
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        with _alarm(seconds):
            return work()
    return _beside(seconds, work)


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTime(f"not done within {seconds:.1f} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _break_off(worker: threading.Thread) -> None:
    """Raise ``OutOfTime`` in the thread and give it a moment to end: a report that is written on would not be in the manifest."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(worker.ident or 0), ctypes.py_object(OutOfTime))
    worker.join(BREAK_OFF_S)


def _beside(seconds: float, work: Callable[[], T]) -> T:
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again by whoever waits
            errors.append(error)

    worker = threading.Thread(target=run, name="limited-work", daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        _break_off(worker)
        raise OutOfTime(f"not done within {seconds:.1f} s")
    if errors:
        raise errors[0]
    return results[0]
