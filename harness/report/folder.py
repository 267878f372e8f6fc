"""A run folder as the reports see it: tolerant, because a report must be drawn also of a run that was killed or damaged."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pyarrow as pa

from harness.core.errors import DamagedRun
from harness.journal.events import Event, SamplesSegment
from harness.journal.reader import Line, read_journal
from harness.journal.requirements import MATRIX_FILE, RequirementMatrix, decode_matrix
from harness.journal.segments import FOLDER, empty, read_segment

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

    def samples(self, stream: str, trial: str, columns: tuple[str, ...]) -> Any:
        """Those columns of a stream, closed segments and open tails; what cannot be read is left out and noted."""
        names = [Path(event.path).name for event in self.of(SamplesSegment, trial) if event.stream == stream]
        tails = {path.name for path in (self.path / FOLDER).glob(f"{_literal(trial)}.{_literal(stream)}.*.arrows")}
        missing = [name for name in names if name not in tails]
        if missing:
            self.problems.append(f"{len(missing)} of {len(names)} segments of {stream} in {trial} are missing")
        kept = [name for name in names if name in tails]
        tables = [self._segment(name, columns) for name in (*kept, *sorted(tails - set(kept)))]
        rows = [table for table in tables if table is not None and table.num_rows]
        return pa.concat_tables(rows) if rows else empty(stream)

    def _segment(self, name: str, columns: tuple[str, ...]) -> Any:
        try:
            table, _ = read_segment(self.path / FOLDER / name)
            return table.select(list(columns)) if table.num_rows else None
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            self.problems.append(f"segment {name}: {type(error).__name__}")
            return None

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
