"""Percentile tables of HdrHistogram (``.hgrm``), also inside what wrk2 prints."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from harness.load.compare.lines import number, text_lines, unit_factor, wrong
from harness.load.compare.recording import Recording

HEADING = ("Value", "Percentile", "TotalCount")
_BAD = re.compile(r"Non-2xx or 3xx responses: (\d+)")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_SOCKETS = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


def read_hgrm(path: Path, unit: str) -> Recording:
    """A percentile table: each line's count beyond the line before stands at its value. wrk2 writes ms."""
    factor = unit_factor(path, unit or "ms")
    counts: Counter[float] = Counter()
    before = highest = 0.0
    reached, inside, bad, rate = 0, False, 0, 0.0
    for line, text in text_lines(path):
        fields = text.split()
        if fields[:3] == list(HEADING):
            if inside or counts:
                raise wrong(path, line, "a second table begins", "give one table a file")
            inside = True
        elif inside and fields and not fields[0].startswith("#"):
            if len(fields) not in {3, 4}:
                raise wrong(path, line, "not a line of a percentile table", "correct the line or remove it")
            highest, share = number(path, line, fields[0], "the value"), number(path, line, fields[1], "the percentile")
            count = int(number(path, line, fields[2], "the count"))
            if highest < before or count < reached or share > 1:
                raise wrong(path, line, "values and counts of a percentile table only rise", "give the table as it was written")
            counts[highest] += count - reached
            before, reached = highest, count
        elif fields and fields[0].startswith("#"):
            inside = False
        bad += sum(map(int, _BAD.findall(text))) + sum(sum(map(int, found)) for found in _SOCKETS.findall(text))
        rate = float(found[1]) if (found := _RATE.search(text)) else rate
    if not reached:
        raise wrong(path, 1, "no percentile table with counts", "run wrk2 with --latency, or give a .hgrm file")
    notes = ("values are those of the table's lines", *(("the unit is taken for ms (--unit)",) if not unit else ()))
    return histogram_recording("hgrm", counts, factor, bad, reached / rate if rate else None, notes)


def histogram_recording(
    kind: str, counts: Counter[float], factor: float, bad: int, duration_s: float | None, notes: tuple[str, ...]
) -> Recording:
    """Counts by value, with ``bad`` failed requests on top of them."""
    values = [value * factor for value, count in sorted(counts.items()) if count]
    weights = [count for _, count in sorted(counts.items()) if count]
    if bad:
        # The table holds answers of every kind: that some of them failed is known, not which.
        values, weights = [*values, np.inf], [*weights, bad]
        notes = (*notes, f"{bad} failed requests stand beside the table and are counted on top of it")
    weight_array = np.array(weights, dtype=np.int64)
    return Recording(kind, np.array(values, dtype=np.float64), weights=weight_array, duration_s=duration_s, notes=notes)
