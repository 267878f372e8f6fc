"""The terminal: colours where there is one, plain lines elsewhere, progress on stderr so that output can be piped."""

from __future__ import annotations

import io
import os
import sys
import time
import weakref

from rich.console import Console as RichConsole
from rich.text import Text

from harness.cli.output import Lossy
from harness.core.text import clean
from harness.core.verdict import Verdict

STYLES = {
    Verdict.PASS: "bold green",
    Verdict.FAIL: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.ABORTED: "bold red",
    Verdict.INCONCLUSIVE: "bold yellow",
    Verdict.VACUOUS: "bold yellow",
    Verdict.BLOCKED: "bold blue",
}


class Console:
    """What people see while a command works. ``quiet`` keeps stdout for machines."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._began = time.monotonic()
        # A descriptor of its own: pytest captures the usual one while tests run, and progress must be seen then too.
        descriptor = os.dup(2)
        weakref.finalize(self, os.close, descriptor)
        raw = io.BufferedWriter(Lossy(descriptor, "wb", closefd=False))  # a closed terminal costs no run
        stream = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", line_buffering=True)
        self.err = RichConsole(file=stream, highlight=False, soft_wrap=True)
        self.out = RichConsole(highlight=False, soft_wrap=True, quiet=quiet)

    def say(self, text: str) -> None:
        """A line of progress with the seconds since the start."""
        line = Text(f"{time.monotonic() - self._began:7.1f} s  ", style="dim")
        line.append(clean(text), style="default")
        self.err.print(line)

    def verdict(self, verdict: Verdict) -> Text:
        """A verdict in its colour."""
        return Text(str(verdict), style=STYLES[verdict])

    @property
    def interactive(self) -> bool:
        return self.err.is_terminal and sys.stderr.isatty()
