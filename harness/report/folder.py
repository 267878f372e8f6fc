"""A run folder as the reports see it: tolerant, because a report must be drawn also of a run that was killed or damaged."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pyarrow as pa

from harness.core.errors import DamagedRun
from harness.journal.events import Event, SamplesSegment
from harness.journal.reader import Line, read_journal
from harness.journal.requirements import MATRIX_FILE, RequirementMatrix, decode_matrix
from harness.journal.segments import FOLDER

T = TypeVar("T", bound=Event)
JOURNAL = "journal.jsonl"


class RunFolder:
    """Events, samples and the requirement matrix of one run. ``problems`` collects what could not be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self._lines: tuple[Line, ...] = ()
        try:
            journal = read_journal(path / JOURNAL)
            self._lines = journal.lines
            if journal.open_tail:
                self.problems.append("the journal ends within a line: its writer was killed")
        except (DamagedRun, OSError) as error:
            self.problems.append(str(error))

    def of(self, kind: type[T], trial: str | None = None) -> list[T]:
        """The events of one type, in order; of one trial if given."""
        found = [line.event for line in self._lines if isinstance(line.event, kind)]
        return found if trial is None else [event for event in found if getattr(event, "trial", None) == trial]

    def foreign(self) -> dict[str, int]:
        """Events whose name this version does not know, counted."""
        return dict(sorted(Counter(line.name for line in self._lines if line.event is None).items()))

    def walls(self, kind: type[T]) -> list[tuple[str, T]]:
        """Events of one type with the wall time of their line."""
        return [(line.wall, line.event) for line in self._lines if isinstance(line.event, kind)]

    def moments(self, kind: type[T]) -> list[tuple[int, T]]:
        """Events of one type with the monotonic time of their line, ns."""
        return [(line.mono_ns, line.event) for line in self._lines if isinstance(line.event, kind)]

    def batches(self, stream: str, trial: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Those columns of a stream, a batch at a time: closed segments in journal order, then open tails. Only the columns are read.

        What cannot be read is left out and noted. However long the run, one batch is in memory.
        """
        for name in self._segment_names(stream, trial):
            yield from self._batches_of(name, columns)

    def _segment_names(self, stream: str, trial: str) -> list[str]:
        names = [Path(event.path).name for event in self.of(SamplesSegment, trial) if event.stream == stream]
        there = {path.name for path in (self.path / FOLDER).glob(f"{_literal(trial)}.{_literal(stream)}.*.arrows")}
        if missing := sum(name not in there for name in names):
            self._problem(f"{missing} of {len(names)} segments of {stream} in {trial} are missing")
        return [*(name for name in names if name in there), *sorted(there.difference(names))]

    def _batches_of(self, name: str, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        try:
            with pa.memory_map(str(self.path / FOLDER / name)) as source:
                with pa.ipc.open_stream(source) as whole:
                    wanted = [whole.schema.get_field_index(column) for column in columns]
                if -1 in wanted:
                    self._problem(f"segment {name}: no column {columns[wanted.index(-1)]}")
                    return
                source.seek(0)
                with pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=wanted)) as reader:
                    yield from reader
        except (pa.ArrowException, OSError, ValueError) as error:
            self._problem(f"segment {name} is not whole ({type(error).__name__}): what stands before the break is shown")

    def _problem(self, text: str) -> None:
        if text not in self.problems:
            self.problems.append(text)

    def matrix(self) -> RequirementMatrix | None:
        """The requirement matrix, when one was written."""
        try:
            return decode_matrix((self.path / MATRIX_FILE).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError, msgspec.ValidationError) as error:
            self.problems.append(f"{MATRIX_FILE}: {error}")
            return None


def _literal(text: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)


def finite(value: float | None) -> bool:
    """Whether there is a number to show."""
    return value is not None and math.isfinite(value)
