"""Prometheus remote write 1.0 on the wire: a ``WriteRequest`` in protobuf, in one Snappy block. Pure functions of their input.

Encoded by hand: four messages with two fields each. The Snappy block format is pyarrow's codec, which the journal needs anyway.
"""

from __future__ import annotations

import dataclasses
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

HEADERS: Mapping[str, str] = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NAME_LABEL = "__name__"
METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
LABEL_VALUE_MAX = 1_000  # characters
_STALE_BITS = struct.pack("<Q", 0x7FF0000000000002)  # a NaN's payload must not pass through arithmetic


@dataclasses.dataclass(frozen=True, slots=True)
class TimeSeries:
    """One series: labels sorted by name, samples as (epoch ms, value) in time order."""

    labels: tuple[tuple[str, str], ...]
    samples: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, name: str, labels: Mapping[str, str], samples: Iterable[tuple[int, float]]) -> TimeSeries:
        """Sorted as the protocol asks; raises ``ValueError`` for a name that is none. Of two samples at one moment the later counts."""
        if METRIC_NAME.fullmatch(name) is None:
            raise ValueError(f"{name!r} is no metric name")
        if wrong := [label for label in labels if LABEL_NAME.fullmatch(label) is None or label.startswith("__")]:
            raise ValueError(f"{wrong[0]!r} is no label name")
        kept = {label: value[:LABEL_VALUE_MAX] for label, value in labels.items() if value} | {NAME_LABEL: name}
        return cls(tuple(sorted(kept.items())), tuple(sorted(dict(samples).items())))


def stale(series: TimeSeries, at_ms: int) -> TimeSeries:
    """The series with the marker that it ends: Prometheus would show its last value for five minutes else."""
    return dataclasses.replace(series, samples=(*series.samples, (at_ms, STALE)))


def metric_name(text: str) -> str:
    """A word of a journal as (part of) a metric name."""
    cleaned = re.sub(r"[^a-zA-Z0-9_]+", "_", text).strip("_") or "unnamed"
    return f"_{cleaned}" if cleaned[0].isdigit() else cleaned


def write_request(series: Sequence[TimeSeries]) -> bytes:
    """The message, uncompressed."""
    return b"".join(_bytes_field(1, _series(one)) for one in series)


def body(series: Sequence[TimeSeries]) -> bytes:
    """What is sent: the message as one Snappy block (not the framed format)."""
    compressed: bytes = pa.Codec("snappy").compress(write_request(series), asbytes=True)
    return compressed


def batches(series: Iterable[TimeSeries], samples_max: int) -> Iterator[list[TimeSeries]]:
    """Parts of at most so many samples, a series' own in time order."""
    batch: list[TimeSeries] = []
    room = samples_max
    for one in series:
        left = one.samples
        while left:
            batch.append(TimeSeries(one.labels, left[:room]))
            left, room = left[room:], room - len(batch[-1].samples)
            if room == 0:
                yield batch
                batch, room = [], samples_max
    if batch:
        yield batch


def _series(series: TimeSeries) -> bytes:
    labels = (_bytes_field(1, _bytes_field(1, name.encode()) + _bytes_field(2, value.encode())) for name, value in series.labels)
    samples = (_bytes_field(2, _double_field(1, value) + _varint_field(2, at_ms)) for at_ms, value in series.samples)
    return b"".join((*labels, *samples))


def _bytes_field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _double_field(number: int, value: float) -> bytes:
    return _varint(number << 3 | 1) + (_STALE_BITS if value != value else struct.pack("<d", value))  # noqa: PLR0124 - NaN


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value & 0xFFFFFFFFFFFFFFFF)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)
