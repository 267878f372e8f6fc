"""Verifies a run folder and judges it again, with the system long gone: the summary must come out byte for byte."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.core.errors import DamagedRun
from harness.journal.manifest import verify_manifest
from harness.journal.summary import Summary, decode_summary
from harness.run.folder import SUMMARY
from harness.run.judge import judge
from harness.run.registry import Registry
from harness.run.view import FolderView

MAX_DIFFERENCES = 20


@dataclasses.dataclass(frozen=True, slots=True)
class Recheck:
    """What a recheck found; ``problems`` is empty when every byte is as it was written and judges the same."""

    problems: tuple[str, ...]
    summary: Summary | None  # as recomputed; None when the journal cannot be read

    @property
    def identical(self) -> bool:
        return not self.problems


def recheck(folder: Path, manifest_sha256: str | None = None, registry: Registry | None = None) -> Recheck:
    """Verify manifest (against the printed hash when given), journal chain, plans, segments, evidence; recompute; compare."""
    folder = folder.resolve()
    problems: list[str] = []
    try:
        problems += verify_manifest(folder, manifest_sha256)
    except DamagedRun as error:
        problems.append(str(error))
    try:
        problems += FolderView(folder).damaged_files()
        summary = judge(folder, registry)
    except DamagedRun as error:
        return Recheck((*problems, str(error)), None)
    problems += _differences(folder / SUMMARY, summary)
    return Recheck(tuple(dict.fromkeys(problems)), summary)


def _differences(path: Path, summary: Summary) -> Iterator[str]:
    if not path.is_file():
        yield f"{SUMMARY}: missing"
        return
    stored = path.read_bytes()
    if stored == summary.encoded():
        return
    yield f"{SUMMARY}: not what the journal gives"
    try:
        before = decode_summary(stored)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        yield f"{SUMMARY}: cannot be read: {error}"
        return
    yield from _changed(before, summary)


def _changed(before: Summary, now: Summary) -> Iterator[str]:
    for field in msgspec.structs.fields(Summary):
        if field.name != "rows" and getattr(before, field.name) != getattr(now, field.name):
            yield f"{SUMMARY}: {field.name} differs"
    rows = {row.check: row for row in now.rows}
    wrong = [row.check for row in before.rows if rows.pop(row.check, None) != row]
    for check in (*wrong[:MAX_DIFFERENCES], *list(rows)[:MAX_DIFFERENCES]):
        yield f"{SUMMARY}: row {check} differs"
