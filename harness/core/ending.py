"""How a process is asked to end (Ctrl-C, SIGTERM, a closed terminal), and who ends it when its main thread does not.

The first signal raises ``KeyboardInterrupt`` in the main thread, once; later ones are only counted, so that nothing that tidies up is
torn a second time. Code that swallows the exception is not waited for: after ``LEAVE_S`` another thread takes over. After ``LIMIT_S``
without a further signal the process ends whatever hangs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn

from harness.core.verdict import EXIT_INTERRUPTED

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
LEAVE_S = 1.8  # how long the main thread may take to notice
LIMIT_S = 4.7  # from the last signal to the end of the process
REPORTS_S = 3.6  # from the last signal to the end of the reports
POLL_S = 0.05
CLOSE = "close it with `harness report`"


class Ending:
    """Whether and when this process was asked to end. One a process: signals are a process's too."""

    def __init__(self) -> None:
        self._asked = False
        self._wake = -1  # what the handler writes to: it may hold no lock, for it can interrupt itself and whoever holds one
        self._last = 0.0
        self._noticed = False
        self._taken_by = 0  # the thread that ends the process in place of the main one
        self._depth = 0
        self._lock = threading.Lock()
        self._by_force: Callable[[], object] | None = None
        self._exit_code = EXIT_INTERRUPTED
        self._old: dict[int, object] = {}

    @property
    def requested(self) -> bool:
        return self._asked

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` where something new would be started though the process is to end."""
        if self.requested:
            raise KeyboardInterrupt

    def notice(self) -> None:
        """The main thread ends the work in order: nobody has to take over. Whoever was too late waits here for the process to end."""
        self.stand_aside()
        with self._lock:
            self._noticed = True

    def stand_aside(self) -> None:
        """Return at once, unless another thread has taken over: then never."""
        while self._taken_by not in {0, threading.get_ident()}:
            threading.Event().wait()

    def leave(self, exit_code: int) -> NoReturn:
        """End the process now, deaf to further signals and to threads that were left behind."""
        self.stand_aside()
        with contextlib.suppress(Exception):
            atexit._run_exitfuncs()  # noqa: SLF001 - what the interpreter does first at its end; it has no other name
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(exit_code)

    def left_s(self) -> float | None:
        """How long reports may still take; None where nobody asked for the end."""
        return max(0.1, self._last + REPORTS_S - time.monotonic()) if self.requested else None

    @contextlib.contextmanager
    def listening(self, by_force: Callable[[], object] | None = None, exit_code: int = EXIT_INTERRUPTED) -> Iterator[Ending]:
        """Listen to the signals meanwhile. ``by_force`` closes the work from another thread when the main thread does not leave it.

        Signals that this process ignores (``nohup``, a shell's background) stay ignored. Elsewhere than in the main thread: no effect.
        """
        before = self._by_force, self._exit_code
        if self._depth == 0:
            self._install()
        self._depth += 1
        self._by_force, self._exit_code = by_force or before[0], exit_code
        try:
            yield self
        finally:
            self._by_force, self._exit_code = before
            self._depth -= 1
            if self._depth == 0:
                self._uninstall()

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (getattr(signal, name) for name in SIGNALS if hasattr(signal, name)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._old[number] = signal.signal(number, self._handle)
        asleep, self._wake = os.pipe()
        threading.Thread(target=self._watch, args=(asleep,), name="ending-watch", daemon=True).start()

    def _uninstall(self) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)  # type: ignore[arg-type]  # what signal() itself returned
        self._old = {}
        self._asked = self._noticed = False
        if self._wake >= 0:
            os.close(self._wake)  # the watch ends with it
            self._wake = -1

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        """Plain assignments and one system call: two signals at the same moment nest here."""
        first = not self._asked
        self._asked = True
        self._last = time.monotonic()
        if first:
            os.write(self._wake, b"!")
            raise KeyboardInterrupt

    def _watch(self, asleep: int) -> None:
        """Sleeps until the first signal, or until nobody listens any more."""
        while os.read(asleep, 1):
            threading.Thread(target=self._take_over, name="ending-by-force", daemon=True).start()
            self._give_up()
        os.close(asleep)

    def _take_over(self) -> None:
        until = time.monotonic() + LEAVE_S
        while time.monotonic() < until:
            if self._noticed or not self.requested:
                return
            time.sleep(POLL_S)
        with self._lock:
            if self._noticed or self._by_force is None or not self.requested:
                return
            self._taken_by = threading.get_ident()
        try:
            self._by_force()
        finally:
            os._exit(self._exit_code)

    def _give_up(self) -> None:
        while self.requested:
            if time.monotonic() > self._last + LIMIT_S:
                with contextlib.suppress(OSError):
                    os.write(2, f"harness: ended after {LIMIT_S:g} s with work left: {CLOSE} where there is a run folder\n".encode())
                os._exit(self._exit_code)
            time.sleep(POLL_S)


ENDING = Ending()
