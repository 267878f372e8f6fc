"""Reads a journal back and verifies its chain; the first wrong line is named."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from harness.core import jsonio
from harness.core.errors import DamagedRun
from harness.journal.events import EVENT_TYPES, Event
from harness.journal.writer import GENESIS, chain_hash

FIELDS = frozenset({"seq", "mono_ns", "wall", "name", "data", "prev", "hash", "v"})


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One verified line. ``event`` is None for a name this version does not know (a wing of somebody else)."""

    sequence: int
    mono_ns: int
    wall: str
    name: str
    data: dict[str, Any]
    hash: str
    event: Event | None


@dataclasses.dataclass(frozen=True, slots=True)
class Journal:
    """A verified journal; ``open_tail`` is true when its writer died within the last line."""

    lines: tuple[Line, ...]
    last_hash: str
    open_tail: bool


def read_journal(path: Path) -> Journal:
    """Verify and decode; raises ``DamagedRun`` with the number of the first bad line."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DamagedRun(f"{path.name}: there is no journal") from None
    raw = content.split(b"\n")
    tail = raw.pop()  # empty when the last line is whole
    lines = tuple(_verified(raw, path.name))
    return Journal(lines, lines[-1].hash if lines else GENESIS, bool(tail))


def _verified(raw: list[bytes], name: str) -> Iterator[Line]:
    prev = GENESIS
    for number, content in enumerate(raw, start=1):
        try:
            line = _line(content, number - 1, prev)
        except (ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError) as error:
            raise DamagedRun(f"{name}:{number}: {error}") from None
        prev = line.hash
        yield line


def _line(content: bytes, sequence: int, prev: str) -> Line:
    fields = json.loads(content)
    if not isinstance(fields, dict) or set(fields) != FIELDS:
        raise ValueError("not a journal line")
    if jsonio.canonical(fields) != content:
        raise ValueError("the line is not in canonical form")
    digest, before = fields.pop("hash"), fields.pop("prev")
    if before != prev or fields["seq"] != sequence:
        raise ValueError("the chain is broken before this line")
    if chain_hash(prev, fields) != digest:
        raise ValueError("the line was changed: its hash differs")
    kind = EVENT_TYPES.get(fields["name"])
    event = None if kind is None else msgspec.convert(fields["data"], kind)
    return Line(sequence, fields["mono_ns"], fields["wall"], fields["name"], fields["data"], digest, event)
