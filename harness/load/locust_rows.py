"""The rows that :mod:`harness.load.locust_user` writes, read back while Locust runs; every bad line is an error with its number.

A file has a header and lines ``kind,op,intent,intended_ns,sent_ns,done_ns,status,outcome,bytes,request_id,held_ns``; kind is
``start`` (once: when the process began), ``request`` or ``canary``.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.load.locust_plan import COLUMNS
from harness.load.tool_rows import CanaryRow, RequestRow, ToolError

LINE_MAX = 4096
READ_BYTES = 1 << 20

Row = int | RequestRow | CanaryRow  # an int is the start of the process, ns


def read_line(line: str, file: str, number: int) -> Row:
    """One line that is not the header; raises ``ToolError`` with file, line and reason."""
    try:
        return _row(next(csv.reader([line], strict=True)))
    except (ValueError, csv.Error, StopIteration) as error:
        raise ToolError(f"{file}:{number}: {error or 'no row'}: {line[:80]!r}") from None


def _row(cells: Sequence[str]) -> Row:
    if len(cells) != len(COLUMNS):
        raise ValueError(f"{len(cells)} cells, {len(COLUMNS)} wanted")
    kind, op, intent, intended, sent, done, status, outcome, size, request_id, held = cells
    times = (_ns(intended), _ns(sent), _ns(done))
    if kind == "request":
        return RequestRow(op, intent, *times, int(status), outcome, int(size), request_id)
    if kind == "canary":
        return CanaryRow(*times, int(held or 0), outcome)
    if kind == "start" and times[0] is not None:
        return times[0]
    raise ValueError(f"unknown kind {kind!r}")


def _ns(cell: str) -> int | None:
    return int(cell) if cell else None


class Tail:
    """Reads the files of all processes of a run as they grow: whole lines only, a bounded piece at a time."""

    def __init__(self, prefix: Path) -> None:
        self._prefix = prefix
        self._read: dict[Path, tuple[int, int, bytes]] = {}  # bytes read, lines read, the line that is not whole yet

    def rows(self) -> Iterator[Row]:
        """What is new in all files."""
        for path in self.files():
            yield from self._new(path)

    def files(self) -> list[Path]:
        """The files of the processes so far."""
        return sorted(
            path for path in self._prefix.parent.iterdir() if path.name.startswith(f"{self._prefix.name}.") and path.suffix == ".csv"
        )

    def finish(self) -> Iterator[Row]:
        """The rest, after the processes have ended; a line without an end is an error: its process died while it wrote."""
        yield from self.rows()
        for path, (_, number, rest) in self._read.items():
            if rest:
                raise ToolError(f"{path.name}:{number + 1}: the line is torn: {rest[:80]!r}")

    def _new(self, path: Path) -> Iterator[Row]:
        offset, number, rest = self._read.get(path, (0, 0, b""))
        with path.open("rb") as stream:
            stream.seek(offset)
            while piece := stream.read(READ_BYTES):
                offset += len(piece)
                *lines, rest = (rest + piece).split(b"\n")
                if len(rest) > LINE_MAX:
                    raise ToolError(f"{path.name}:{number + len(lines) + 1}: longer than {LINE_MAX} bytes")
                for line in lines:
                    number += 1
                    text = line.decode("ascii", "replace")
                    if number > 1:
                        yield read_line(text, path.name, number)
                    elif text != ",".join(COLUMNS):
                        raise ToolError(f"{path.name}:1: not the header of a samples file: {text[:80]!r}")
        self._read[path] = (offset, number, rest)
