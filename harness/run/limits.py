"""A limit in time for work that knows no limit of its own."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TypeVar

T = TypeVar("T")


class OutOfTime(BaseException):
    """The work was cut off at its limit. No ``Exception``: what guards against the errors of a wing must not take it for one."""


def within(seconds: float | None, work: Callable[[], T]) -> T:
    """What ``work`` returns or raises; ``OutOfTime`` after ``seconds``, None for no limit.

    In the main thread the work is broken off. Elsewhere nothing can break a wait: the work is left alone, and its process is to end.
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
        raise OutOfTime(f"not done within {seconds:.1f} s")
    if errors:
        raise errors[0]
    return results[0]
