"""The supervisor's own record: each event is a line of supervisor.jsonl and stays in memory for whoever asks."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import msgspec

from harness.topology.model import SupervisorEvent
from harness.topology.wire import decode, encode

EVENTS_FILE = "supervisor.jsonl"
_MOST_EVENTS = 100_000


def read_events(path: Path) -> list[SupervisorEvent]:
    """The whole lines of an event log; raises ``OSError``. A line torn by a kill ends it."""
    found = []
    with path.open("rb") as stream:
        for line in stream:
            try:
                found.append(decode(line, SupervisorEvent))
            except msgspec.MsgspecError:
                break
    return found[-_MOST_EVENTS:]


class EventLog:
    """Append-only; ``after`` answers from memory, oldest first, at most the last 100,000."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._events: list[SupervisorEvent] = []
        self._sequence = 0

    def append(self, kind: str, service: str = "", **fields: Any) -> SupervisorEvent:
        """``fields`` are those of ``SupervisorEvent``; times are taken here."""
        self._sequence += 1
        event = SupervisorEvent(
            sequence=self._sequence, kind=kind, service=service, monotonic_ns=time.monotonic_ns(), wall_s=time.time(), **fields
        )
        os.write(self._descriptor, encode(event) + b"\n")
        self._events.append(event)
        del self._events[:-_MOST_EVENTS]
        return event

    def after(self, sequence: int) -> list[SupervisorEvent]:
        return [event for event in self._events if event.sequence > sequence]

    def close(self) -> None:
        os.close(self._descriptor)
