"""A run folder with writes, windows and evidence of the test's choosing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.core import jsonio
from harness.journal.events import EvidenceCaptured, Window
from harness.journal.hub import JournalHub
from harness.journal.segments import WRITES, SegmentWriter
from harness.run.view import FolderView


class Folder:
    """``fresh()`` empties it: property tests need many."""

    def __init__(self, place: Path) -> None:
        self._place, self._numbers = place, itertools.count()
        self.hub: JournalHub | None = None
        self.fresh()

    def fresh(self) -> None:
        self.close()
        self.folder = self._place / str(next(self._numbers))
        (self.folder / "segments").mkdir(parents=True)
        (self.folder / "evidence").mkdir()
        self.hub = JournalHub(self.folder / "journal.jsonl")

    def close(self) -> None:
        if self.hub is not None:
            self.hub.close()

    def writes(self, rows: list[dict[str, Any]]) -> None:
        assert self.hub is not None
        with SegmentWriter("writes", WRITES, self.folder, self.hub, trial="t") as writer:
            for row in rows:
                writer.append(**row)

    def window(self, start_ns: int, end_ns: int, name: str = "kill", kind: str = "fault") -> None:
        assert self.hub is not None
        self.hub.emit(Window(trial="t", kind=kind, name=name, start_ns=start_ns, end_ns=end_ns, tags={}))

    def evidence(self, name: str, content: bytes, trial: str = "t") -> None:
        assert self.hub is not None
        path = f"evidence/{trial}.{name}"
        (self.folder / path).write_bytes(content)
        digest = jsonio.sha256_hex(content)
        self.hub.emit(EvidenceCaptured(trial=trial, probe="p", name=name, path=path, sha256=digest, size_bytes=len(content)))

    def view(self) -> FolderView:
        return FolderView(self.folder)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(tmp_path)
    yield made
    made.close()
