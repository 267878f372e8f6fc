"""Output that never costs a verdict: a reader that has gone, a closed terminal and a full disk are no errors of the run."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import Any, TextIO

GONE = {errno.EPIPE, errno.EIO, errno.EBADF}  # nobody is there to be told


class Lossy(io.FileIO):
    """Throws away what cannot be written; ``lost`` is the first reason that somebody should hear of."""

    lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in GONE and self.lost is None:
                self.lost = error
            return len(memoryview(data).cast("B"))


class Output:
    """The standard streams of this process, made safe. ``stdout`` has a descriptor of its own: pytest redirects the usual one."""

    def __init__(self) -> None:
        self.stdout: TextIO | None = None
        self._raw: Lossy | None = None

    def make_safe(self) -> None:
        """Replace ``sys.stdout`` and ``sys.stderr``: the same files and encodings, ``?`` for what the encoding lacks, no error."""
        fill_descriptors()
        sys.stdout = self.stdout = self._safe(1, sys.stdout)
        sys.stderr = self._safe(2, sys.stderr)

    def _safe(self, number: int, stream: TextIO | None) -> TextIO:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]  # None where it was closed
        raw = Lossy(os.dup(number), "wb", closefd=False)  # open as long as the process
        if number == 1:
            self._raw = raw
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=True)

    def complaint(self) -> str:
        """Why something of stdout was lost; empty when nothing was, or when nobody listens."""
        if self.stdout is not None:
            self.stdout.flush()
        return f"stdout cannot be written: {self._raw.lost.strerror}" if self._raw is not None and self._raw.lost is not None else ""


def fill_descriptors() -> None:
    """Open /dev/null where 0, 1 or 2 is closed: else the next file opened, a journal perhaps, would be taken for the terminal."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one


OUTPUT = Output()
