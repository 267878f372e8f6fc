"""Reads a run folder: everything a checker may look at, each file verified against the journal before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.core import jsonio
from harness.core.errors import DamagedRun
from harness.journal.events import Event, EvidenceCaptured, SamplesSegment, TrialStarted, Window
from harness.journal.reader import read_journal
from harness.journal.segments import read_stream
from harness.run.folder import JOURNAL
from harness.run.protocols import RecordedEvent
from harness.scenario.model import Plan, decode_plan

T = TypeVar("T", bound=Event)


class FolderView:
    """Implements ``RunView``. Raises ``DamagedRun`` for a broken journal at once, for other files when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        journal = read_journal(folder / JOURNAL)
        self.last_hash, self.open_tail = journal.last_hash, journal.open_tail
        self._events = tuple(
            RecordedEvent(sequence=line.sequence, mono_ns=line.mono_ns, wall=line.wall, event=line.event)
            for line in journal.lines
            if line.event is not None
        )
        self._tables: dict[tuple[str, str], Any] = {}

    @property
    def folder(self) -> Path:
        return self._folder

    def events(self, *names: str, trial: str | None = None) -> Sequence[RecordedEvent]:
        """Events of these names (all without one), of one trial if given, in journal order."""
        return tuple(
            recorded
            for recorded in self._events
            if (not names or recorded.event.NAME in names) and (trial is None or getattr(recorded.event, "trial", None) == trial)
        )

    def samples(self, stream: str, trial: str) -> Any:
        """All rows of a stream as a ``pyarrow.Table``, segments verified."""
        if (stream, trial) not in self._tables:
            closed = [event for event in self._of(SamplesSegment) if (event.stream, event.trial) == (stream, trial)]
            for segment in closed:
                self._verified(segment.path, segment.sha256)
            self._tables[stream, trial] = read_stream(self._folder, stream, trial, closed)
        return self._tables[stream, trial]

    def evidence(self, name: str, trial: str) -> bytes | None:
        """The evidence of that name, verified; None when no probe captured it."""
        found = [event for event in self._of(EvidenceCaptured) if (event.name, event.trial) == (name, trial)]
        if not found:
            return None
        path = self._verified(found[-1].path, found[-1].sha256)
        return path.read_bytes()

    def plan(self, started: TrialStarted) -> Plan:
        """The stored plan of a trial, verified."""
        path = self._verified(started.plan_path, started.plan_sha256)
        try:
            return decode_plan(path.read_bytes())
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise DamagedRun(f"{started.plan_path}: {error}") from None

    def phase(self, name: str, trial: str) -> tuple[int, int] | None:
        """A phase in ns: as its driver said, else as planned; None when it never began."""
        windows = [event for event in self._of(Window) if (event.kind, event.name, event.trial) == ("phase", name, trial)]
        said = [window for window in windows if window.tags.get("by") != "plan"] or windows
        return (said[-1].start_ns, said[-1].end_ns) if said else None

    def damaged_files(self) -> Iterator[str]:
        """Every plan, segment and evidence file that is not what the journal vouches for, one sentence each."""
        for recorded in self._events:
            match recorded.event:
                case TrialStarted(plan_path=path, plan_sha256=digest) | EvidenceCaptured(path=path, sha256=digest):
                    pass
                case SamplesSegment(path=path, sha256=digest):
                    pass
                case _:
                    continue
            try:
                self._verified(path, digest)
            except DamagedRun as error:
                yield str(error)

    def _of(self, kind: type[T]) -> list[T]:
        return [recorded.event for recorded in self._events if isinstance(recorded.event, kind)]

    def _verified(self, inside: str, digest: str) -> Path:
        path = self._folder / inside
        if ".." in Path(inside).parts or not path.resolve().is_relative_to(self._folder.resolve()):
            raise DamagedRun(f"{inside}: leads out of the run folder")
        if not path.is_file():
            raise DamagedRun(f"{inside}: missing")
        if jsonio.sha256_file(path) != digest:
            raise DamagedRun(f"{inside}: changed; not what the journal vouches for")
        return path
