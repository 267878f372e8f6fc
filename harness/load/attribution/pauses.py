"""Pauses of an engine process, as spans of that process: a slow request may have been slow on our side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness.journal.segments import Emits, SegmentWriter
from harness.load.attribution.spans import SPANS, STREAM


def write_pauses(folder: Path, trial: str, emitter: Emits, worker: int, pauses: Sequence[tuple[int, int]]) -> None:
    """``pauses``: (start, duration) ns of garbage collections; nothing is written where there were none."""
    if not pauses:
        return
    with SegmentWriter(STREAM, SPANS, folder, emitter, trial=trial) as writer:
        for start_ns, duration_ns in pauses:
            writer.append(request_id="", stage="gc", start_ns=start_ns, duration_ns=duration_ns, process=f"generator {worker}", parent="")
