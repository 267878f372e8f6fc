"""The host's sampler, a process of its own: ``python -m harness.load.attribution.sampler FOLDER TRIAL``.

Ten times a second it writes a row of the host (stream ``host``) and a row a watched service (stream ``services``). Its input are lines of
JSON, ``{"service": pid}``: who is watched from now on; at the input's end it closes its segments and ends. A row says from when to when
it holds, so that a sampler that is late itself changes the length of a row and never a rate. EH_JOURNAL_ADDRESS is the journal's address.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from harness.journal.hub import JournalClient
from harness.journal.segments import Emits, SegmentWriter
from harness.load.attribution.readings import ProcessCounters, family, host_counters, process_counters

EVERY_NS = 100_000_000
FAMILY_EVERY = 10  # samples between two looks at who descends from whom
READY = "ready"
HOST = pa.schema(
    [
        ("since_ns", pa.int64()),
        ("at_ns", pa.int64()),
        ("cpu_busy", pa.float64()),  # of all processors
        ("cpu_steal", pa.float64()),  # of all processors
        ("cpu_pressure", pa.float64()),  # share of the time in which some task waited for it
        ("io_pressure", pa.float64()),
        ("memory_pressure", pa.float64()),
        ("disk_busy", pa.float64()),
        ("runnable", pa.int32()),
    ]
)
SERVICES = pa.schema(
    [
        ("since_ns", pa.int64()),
        ("at_ns", pa.int64()),
        ("service", pa.string()),
        ("pid", pa.int64()),
        ("cpu", pa.float64()),  # processors used
        ("cpu_wait", pa.float64()),  # threads that were ready and waited for a processor, on average
        ("stopped", pa.bool_()),
        ("major_faults", pa.int64()),
        ("rss_bytes", pa.int64()),
    ]
)


class Sampler:
    """Takes samples; the caller says when."""

    def __init__(self, folder: Path, trial: str, emitter: Emits) -> None:
        self._host = SegmentWriter("host", HOST, folder, emitter, trial=trial)
        self._services = SegmentWriter("services", SERVICES, folder, emitter, trial=trial)
        self._cpus = os.cpu_count() or 1
        self._watched: Mapping[str, int] = {}
        self._families: dict[str, list[int]] = {}
        self._taken = 0
        self._at_ns, self._before = time.monotonic_ns(), host_counters()
        self._processes: dict[int, ProcessCounters] = {}

    def watch(self, services: Mapping[str, int]) -> None:
        """Watch these from now on; 0 is a service that has no process."""
        self._watched = {name: pid for name, pid in services.items() if pid}
        self._families = {name: list(family(pid)) for name, pid in self._watched.items()}

    def sample(self) -> None:
        """A row of everything, for the time since the last one."""
        since_ns, self._at_ns = self._at_ns, time.monotonic_ns()
        seconds = max((self._at_ns - since_ns) / 1e9, 1e-6)
        self._host_row(since_ns, seconds)
        if self._taken % FAMILY_EVERY == 0:
            self._families = {name: list(family(pid)) for name, pid in self._watched.items()}
        self._taken += 1
        for service, pids in self._families.items():
            self._service_row(service, pids, since_ns, seconds)

    def close(self) -> None:
        self._host.close()
        self._services.close()

    def _host_row(self, since_ns: int, seconds: float) -> None:
        before, now = self._before, host_counters()
        self._before = now
        self._host.append(
            since_ns=since_ns,
            at_ns=self._at_ns,
            cpu_busy=_rate(before.busy_s, now.busy_s, seconds * self._cpus),
            cpu_steal=_rate(before.steal_s, now.steal_s, seconds * self._cpus),
            cpu_pressure=_rate(before.cpu_pressure_s, now.cpu_pressure_s, seconds),
            io_pressure=_rate(before.io_pressure_s, now.io_pressure_s, seconds),
            memory_pressure=_rate(before.memory_pressure_s, now.memory_pressure_s, seconds),
            disk_busy=_rate(before.disk_s, now.disk_s, seconds),
            runnable=now.runnable,
        )

    def _service_row(self, service: str, pids: list[int], since_ns: int, seconds: float) -> None:
        now = {pid: counters for pid in pids if (counters := process_counters(pid)) is not None}
        both = [(self._processes[pid], counters) for pid, counters in now.items() if pid in self._processes]
        self._processes.update(now)
        if not now:
            return
        first = now.get(pids[0])
        self._services.append(
            since_ns=since_ns,
            at_ns=self._at_ns,
            service=service,
            pid=pids[0],
            cpu=sum(after.cpu_s - before.cpu_s for before, after in both) / seconds,
            cpu_wait=max(0.0, sum(after.waited_s - before.waited_s for before, after in both)) / seconds,
            stopped=first is not None and first.stopped,
            major_faults=sum(after.major_faults - before.major_faults for before, after in both),
            rss_bytes=sum(counters.rss_bytes for counters in now.values()),
        )


def _rate(before: float | None, now: float | None, seconds: float) -> float | None:
    return None if before is None or now is None else max(0.0, now - before) / seconds


def told(descriptor: int) -> Iterator[Mapping[str, int] | None]:
    """What was written to the input since the last look; None at each moment when a sample is due. Ends with the input."""
    pending = b""
    due_ns = time.monotonic_ns() + EVERY_NS
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            if selector.select(max(0.0, (due_ns - time.monotonic_ns()) / 1e9)):
                received = os.read(descriptor, 1 << 16)
                if not received:
                    return
                *lines, pending = (pending + received).split(b"\n")
                yield from (json.loads(line) for line in lines if line.strip())
            if time.monotonic_ns() >= due_ns:
                yield None
                due_ns = max(due_ns + EVERY_NS, time.monotonic_ns())


def main() -> int:
    """Exit 0 at the end of the input."""
    with JournalClient(os.environ["EH_JOURNAL_ADDRESS"]) as journal:
        sampler = Sampler(Path(sys.argv[1]), sys.argv[2], journal)
        with contextlib.closing(sampler):
            print(READY, flush=True)
            for services in told(sys.stdin.fileno()):
                if services is None:
                    sampler.sample()
                else:
                    sampler.watch(services)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
