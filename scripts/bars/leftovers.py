"""What a run may leave behind: processes, listening ports, mounts, files in its temp folder, shared memory. Reads /proc."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

Identity = tuple[int, float]  # pid and start time: names one process for ever


@dataclasses.dataclass(frozen=True, slots=True)
class Belongings:
    """What a run had at a moment."""

    processes: frozenset[Identity]
    ports: frozenset[int]
    memory: frozenset[str]  # files below /dev/shm
    segments: frozenset[str]  # ids of System V segments


@dataclasses.dataclass(slots=True)
class Watch:
    """Follows one run by its own temp folder, which every process it starts inherits in its environment."""

    folder: Path
    mounts: frozenset[str] = dataclasses.field(default_factory=lambda: read_mounts())  # noqa: PLW0108 - defined below

    def belongings(self, root: psutil.Process) -> Belongings:
        """Everything the process ``root`` has started so far, in whatever session it is by now."""
        found = {(process.pid, process.create_time()) for process in _living([*_children(root), *self._marked()])}
        found.discard((root.pid, root.create_time()))
        pids = {pid for pid, _ in found}
        return Belongings(frozenset(found), frozenset(_ports(pids)), frozenset(_memory(pids)), frozenset(_segments(pids)))

    def left(self, before: Belongings) -> list[str]:
        """What is still there, a sentence each; empty when all is clean."""
        processes = {process.pid: process for process in self._marked()}
        for pid, started in before.processes:
            with contextlib.suppress(psutil.Error):
                if (process := psutil.Process(pid)).create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    processes[pid] = process
        left = [f"process {_named(process)}" for process in processes.values()]
        left += [f"port {port}" for port in sorted(before.ports & _listening())]
        left += [f"mount {line}" for line in sorted(read_mounts() - self.mounts)]
        left += [f"file {path.relative_to(self.folder)}" for path in sorted(self.folder.iterdir())]
        left += [f"shared memory {path}" for path in sorted(before.memory) if Path(path).exists()]
        left += [f"shared memory segment {item}" for item in sorted(before.segments & frozenset(_all_segments()))]
        return left

    def remaining(self) -> Iterator[str]:
        """Processes and files of the run, a sentence each; for one that has ended."""
        yield from (f"process {_named(process)}" for process in self._marked())
        kept = ("pytest-of-", "evidence-harness-vectors-")  # pytest's last three sessions; a cache where the home cannot be written
        yield from (f"file {path.name}" for path in sorted(self.folder.iterdir()) if not path.name.startswith(kept))

    def _marked(self) -> Iterator[psutil.Process]:
        """Processes that carry this run's temp folder in their environment, command line or working directory."""
        needle = os.fsencode(self.folder)
        for process in psutil.process_iter():
            if process.pid != os.getpid() and any(needle in _read(process.pid, name) for name in ("environ", "cmdline", "cwd")):
                with contextlib.suppress(psutil.Error):
                    if process.status() != psutil.STATUS_ZOMBIE:
                        yield process


def read_mounts() -> frozenset[str]:
    """The lines of /proc/mounts."""
    return frozenset(Path("/proc/mounts").read_text(encoding="utf-8", errors="replace").splitlines())


def _read(pid: int, name: str) -> bytes:
    path = Path(f"/proc/{pid}/{name}")
    try:
        return os.fsencode(path.readlink()) if name == "cwd" else path.read_bytes()
    except OSError:
        return b""


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def _living(processes: list[psutil.Process]) -> Iterator[psutil.Process]:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.create_time()
            yield process


def _named(process: psutil.Process) -> str:
    try:
        return f"{process.pid} {' '.join(process.cmdline())[:120] or process.name()}"
    except psutil.Error:
        return str(process.pid)


def _connections() -> Iterator[tuple[int, int | None]]:
    for connection in psutil.net_connections("inet"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr:
            yield connection.laddr.port, connection.pid


def _ports(pids: set[int]) -> Iterator[int]:
    return (port for port, pid in _connections() if pid in pids)


def _listening() -> frozenset[int]:
    return frozenset(port for port, _ in _connections())


def _memory(pids: set[int]) -> Iterator[str]:
    for pid in pids:
        for line in _read(pid, "maps").decode(errors="replace").splitlines():
            path = line.partition("/dev/shm/")
            if path[1] and not path[2].endswith(" (deleted)"):
                yield "/dev/shm/" + path[2]


def _segments(pids: set[int]) -> Iterator[str]:
    return (shmid for shmid, creator in _shm_rows() if creator in pids)


def _all_segments() -> Iterator[str]:
    return (shmid for shmid, _ in _shm_rows())


def _shm_rows() -> Iterator[tuple[str, int]]:
    try:
        lines = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        yield fields[1], int(fields[4])
