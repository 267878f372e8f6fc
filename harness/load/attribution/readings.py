"""What Linux says of the host and of processes, as counters; a reading is two of them and the time between. Nothing elsewhere: nulls."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

PROC = Path("/proc")
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
DISK_TICK_S = 0.001


@dataclasses.dataclass(frozen=True, slots=True)
class HostCounters:
    """Seconds since boot, over all processors; ``runnable`` is a number now. None: this kernel does not say."""

    busy_s: float | None = None
    steal_s: float | None = None
    cpu_pressure_s: float | None = None
    io_pressure_s: float | None = None
    memory_pressure_s: float | None = None
    disk_s: float | None = None  # of the busiest disk
    runnable: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class ProcessCounters:
    """Of one process: CPU time and time its threads were ready and waited for a processor, s; whether it is stopped."""

    cpu_s: float
    waited_s: float
    stopped: bool
    major_faults: int
    rss_bytes: int


def host_counters() -> HostCounters:
    """Read once, about 0.1 ms."""
    stat = _text("stat")
    fields = stat.partition("\n")[0].split()[1:]
    numbers = [int(field) for field in fields]
    return HostCounters(
        busy_s=(sum(numbers[:3]) + sum(numbers[5:8])) * TICK_S if len(numbers) >= 8 else None,
        steal_s=numbers[7] * TICK_S if len(numbers) >= 8 else None,
        cpu_pressure_s=_pressure("cpu"),
        io_pressure_s=_pressure("io"),
        memory_pressure_s=_pressure("memory"),
        disk_s=_disk(),
        runnable=next((int(line.split()[1]) for line in stat.splitlines() if line.startswith("procs_running")), None),
    )


def _pressure(resource: str) -> float | None:
    """Seconds in which some task was stalled for want of it."""
    line = _text("pressure", resource).partition("\n")[0]
    total = line.rpartition("total=")[2]
    return int(total) / 1e6 if total.isdigit() else None


def _disk() -> float | None:
    busy = [int(fields[12]) for line in _text("diskstats").splitlines() if len(fields := line.split()) > 12]
    return max(busy) * DISK_TICK_S if busy else None


def process_counters(pid: int) -> ProcessCounters | None:
    """Of a process and all its threads; None when it is gone."""
    text = _text(str(pid), "stat")
    if not text:
        return None
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        return None
    return ProcessCounters(
        cpu_s=(int(fields[11]) + int(fields[12])) * TICK_S,
        waited_s=sum(_waited_s(pid, thread) for thread in _names(str(pid), "task")),
        stopped=fields[0] in "Tt",
        major_faults=int(fields[9]),
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def _waited_s(pid: int, thread: str) -> float:
    fields = _text(str(pid), "task", thread, "schedstat").split()
    return int(fields[1]) / 1e9 if len(fields) > 1 else 0.0


def family(pid: int) -> Sequence[int]:
    """The process and all that descend from it."""
    return list(_family(pid, 0))


def _family(pid: int, depth: int) -> Iterator[int]:
    yield pid
    if depth > 8:  # no engine nests deeper; a bound
        return
    for thread in _names(str(pid), "task"):
        for child in _text(str(pid), "task", thread, "children").split():
            yield from _family(int(child), depth + 1)


def _names(*parts: str) -> Sequence[str]:
    try:
        return os.listdir(PROC.joinpath(*parts))  # noqa: PTH208 - names only, ten times a second
    except OSError:
        return ()


def _text(*parts: str) -> str:
    """A file of /proc, empty when it is not there (any more)."""
    with contextlib.suppress(OSError), open("/".join((str(PROC), *parts)), encoding="ascii", errors="replace") as stream:  # noqa: PTH123 - fast
        return stream.read()
    return ""
