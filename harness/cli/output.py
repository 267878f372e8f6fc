"""Standard output that never costs a verdict: a reader that has gone and a character the terminal lacks are no errors of the run."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any


class _Pipe(io.FileIO):
    """Throws away what nobody reads any more."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            return len(memoryview(data).cast("B"))


def make_stdout_safe() -> None:
    """Replace ``sys.stdout``: the same file and encoding, ``?`` for what the encoding lacks, silence after a broken pipe."""
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return  # closed, or not a file: whoever started this Python knows why
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    buffer = io.BufferedWriter(_Pipe(descriptor, "wb", closefd=False))
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout = io.TextIOWrapper(buffer, encoding=encoding, errors="replace", line_buffering=True)
