"""Writes a journal: one JSON object a line, chained by SHA-256. Exactly one writer owns the file.

``hash`` = SHA-256(``prev`` + canonical JSON of the line without ``prev`` and ``hash``); the first ``prev`` is 64 zeros.
A line is handed to the kernel before ``append`` returns, so it survives SIGKILL of the writer; with ``sync`` it is on
disk. A line that was being written when the writer died is an open tail: readers skip it and say so.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import msgspec

from harness.core import jsonio, text
from harness.core.clock import Clock, SystemClock
from harness.core.errors import HarnessError
from harness.journal.events import SCHEMA_VERSION, Event

GENESIS = "0" * 64
MAX_LINE_BYTES = 4 << 20
UNBOUNDED_FIELDS = frozenset({"encoded"})  # data by construction, never text from outside


class JournalError(HarnessError):
    """An event that cannot be written, or a journal that is closed."""


def chain_hash(prev: str, rest: dict[str, Any]) -> str:
    """The hash of a line whose fields besides ``prev`` and ``hash`` are ``rest``."""
    return jsonio.sha256_hex(prev.encode() + jsonio.canonical(rest))


def event_data(event: Event) -> dict[str, Any]:
    """An event as plain data, every text cleaned of control characters and bounded."""
    try:
        plain = msgspec.to_builtins(event)
    except TypeError as error:  # a Secret, or something else that is no data
        raise JournalError(f"{type(event).NAME}: {error}") from None
    cleaned: dict[str, Any] = _clean(plain, "")
    return cleaned


def _clean(value: Any, field: str) -> Any:
    if isinstance(value, str):
        return text.clean(value) if field in UNBOUNDED_FIELDS else text.outside(value)
    if isinstance(value, dict):
        return {text.outside(str(key)): _clean(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, field) for item in value]
    return value


class JournalWriter:
    """Appends events to one new file; safe to call from several threads of its process."""

    def __init__(self, path: Path, clock: Clock | None = None, *, resume: bool = False) -> None:
        """``path`` must not exist: a journal is written once. ``resume``: go on behind its last whole line; its writer is done with it."""
        self.path = path
        self._clock: Clock = clock or SystemClock()
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | (0 if resume else os.O_CREAT | os.O_EXCL)
        self._descriptor = os.open(path, flags, 0o644)
        self._lock = threading.Lock()
        self._sequence, self._size, self._last = self._cut_to_lines() if resume else (0, 0, GENESIS)
        self._closed = False

    def _cut_to_lines(self) -> tuple[int, int, str]:
        """Cut off an open tail; the next position, the size and the last hash of what is left."""
        content = self.path.read_bytes()
        size = content.rfind(b"\n") + 1
        os.ftruncate(self._descriptor, size)
        lines = content[:size].splitlines()
        if not lines:
            return 0, 0, GENESIS
        last = json.loads(lines[-1])
        return last["seq"] + 1, size, last["hash"]

    @property
    def last_hash(self) -> str:
        """Hash of the newest line."""
        return self._last

    def append(self, event: Event, *, sync: bool = False) -> int:
        """Write ``event`` and return its position; ``JournalError`` when it cannot be written."""
        return self.append_data(type(event).NAME, event_data(event), sync=sync)

    def append_data(self, name: str, data: dict[str, Any], *, sync: bool = False) -> int:
        """Write an event that is already plain, cleaned data."""
        with self._lock:
            if self._closed:
                raise JournalError(f"the journal is closed; {name} came too late")
            sequence = self._sequence
            line, digest = self._line(name, data)
            self._write(line)
            self._sequence, self._last = sequence + 1, digest
        if sync:
            os.fdatasync(self._descriptor)
        return sequence

    def _line(self, name: str, data: dict[str, Any]) -> tuple[bytes, str]:
        rest = {
            "seq": self._sequence,
            "mono_ns": self._clock.monotonic_ns(),
            "wall": self._clock.wall(),
            "name": name,
            "data": data,
            "v": SCHEMA_VERSION,
        }
        try:
            digest = chain_hash(self._last, rest)
            line = jsonio.canonical({**rest, "prev": self._last, "hash": digest}) + b"\n"
        except (TypeError, ValueError) as error:
            raise JournalError(f"{name} cannot be written as JSON: {error}") from None
        if len(line) > MAX_LINE_BYTES:
            raise JournalError(f"{name} takes {len(line)} bytes, more than {MAX_LINE_BYTES}; use sample segments or evidence")
        return line, digest

    def _write(self, line: bytes) -> None:
        """Write the whole line or none of it: half a line in the middle would break the chain for every later one."""
        view = memoryview(line)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            os.ftruncate(self._descriptor, self._size)
            raise JournalError(f"{self.path}: the journal cannot be written: {error.strerror}; free space there") from None
        self._size += len(line)

    def close(self) -> None:
        """Make everything durable and close; a second call does nothing."""
        with self._lock:
            if not self._closed:
                self._closed = True
                os.fsync(self._descriptor)
                os.close(self._descriptor)
