"""Deletions kept apart from backups: an older backup still has what was deleted since, and a restore must delete it again."""

from __future__ import annotations

from pathlib import Path

import msgspec

from system.platform.errors import BadInput


class Purge(msgspec.Struct, frozen=True):
    """A deletion to be replayed: the document and when it was deleted (ISO 8601, UTC)."""

    doc_id: str
    at: str


def read_purges(path: Path) -> tuple[Purge, ...]:
    """The lines that ``backup purges`` wrote; raises ``BadInput`` with the line's number."""
    decoder = msgspec.json.Decoder(Purge)
    found = []
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            found.append(decoder.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadInput(f"this is no deletion: {error}", f"{path}, line {number}", "give a file that `backup purges` wrote") from error
    return tuple(found)
