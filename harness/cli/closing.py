"""The end of a command that has a run: its work, then the system's stop, the verdict and the reports, whatever signals arrive."""

from __future__ import annotations

import sys
from collections.abc import Callable

from harness.cli.output import OUTPUT
from harness.core.ending import ENDING
from harness.core.verdict import EXIT_INTERRUPTED
from harness.plugin.session import SystemGone
from harness.run.run import FinishedRun

Show = Callable[[FinishedRun], None]
Close = Callable[[str, str], FinishedRun]  # the reason of the end, and its detail


def concluded(close: Close, work: Callable[[], bool | None], show: Show) -> int:
    """Do the work of a command, end its run, show it; the exit code. ``work`` returns True, or raises, when a person interrupted it."""

    def by_force() -> None:
        """In another thread, because the main one does not leave the work (a test that catches KeyboardInterrupt)."""
        finished = close("interrupted", "the work did not stop by itself")
        sys.stdout = OUTPUT.stdout or sys.stdout
        show(finished)
        sys.stdout.flush()

    with ENDING.listening(by_force):
        try:
            interrupted = bool(work()) or ENDING.requested
        except KeyboardInterrupt:
            interrupted = True
        except SystemGone:
            interrupted = ENDING.requested  # a finding: it stands in the journal
        except Exception:
            ENDING.stand_aside()
            close("error", "")
            raise
        if interrupted:
            ENDING.notice()
        finished = close("interrupted" if interrupted else "completed", "")
        show(finished)
        ENDING.stand_aside()
    return EXIT_INTERRUPTED if interrupted or finished.interrupted else finished.summary.exit_code
