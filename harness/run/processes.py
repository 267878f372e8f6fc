"""Processes a driver starts: they die with the runner, and are ended by (pid, start time), never by name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

START_TIME_SLACK_S = 0.02
GRACE_S = 2.0

# Runs before the program in the same process: asks the kernel for SIGKILL when the parent dies, checks that it has not
# died in between, and becomes the program. No preexec_fn: that is unsafe in a process with threads.
_GUARD = """
import ctypes, os, signal, sys
parent = int(sys.argv[1])
if sys.platform == "linux":
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL, 0, 0, 0)
if os.getppid() != parent:
    os._exit(99)
os.execv(sys.argv[2], sys.argv[2:])
"""


_LIVING: set[Spawned] = set()  # spawned, and not ended by whoever did it


class Spawned:
    """A process of ours, identified by pid and start time."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.pid = process.pid
        try:
            self.start_time = psutil.Process(process.pid).create_time()
        except psutil.NoSuchProcess:
            self.start_time = 0.0

    def cpu_seconds(self) -> float:
        """CPU time of the process so far; 0 when it is gone."""
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.NoSuchProcess:
            return 0.0
        return float(times.user + times.system)

    def end(self, grace_s: float = GRACE_S) -> int:
        """SIGTERM, then SIGKILL after ``grace_s``; the exit status. A second call gives the same status."""
        try:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(grace_s)
                except subprocess.TimeoutExpired:
                    self.process.kill()
            return self.process.wait(GRACE_S)
        finally:
            self.kill_group()

    def kill_group(self) -> None:
        """SIGKILL for whatever of its session is left: what it started may outlive it."""
        _LIVING.discard(self)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Spawned:  # noqa: PYI034 - never subclassed
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()


def spawn(
    arguments: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    stdin: int | IO[Any] | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = subprocess.DEVNULL,
    stderr: int | IO[Any] | None = subprocess.DEVNULL,
) -> Spawned:
    """Start a program (an absolute path first) in a session of its own; it gets SIGKILL when the runner dies (Linux).

    The kernel counts the *thread* that spawned as the parent: start it from the thread that also waits for it.
    """
    guard = [sys.executable, "-I", "-S", "-c", _GUARD, str(os.getpid()), *arguments]
    process = subprocess.Popen(
        guard, stdin=stdin, stdout=stdout, stderr=stderr, env=environment, cwd=folder, start_new_session=True, close_fds=True
    )
    spawned = Spawned(process)
    _LIVING.add(spawned)
    return spawned


def end_all() -> None:
    """SIGKILL for everything that was spawned and not ended yet: the run is over."""
    for spawned in tuple(_LIVING):
        if spawned.process.poll() is None:
            spawned.kill_group()


def alive(pid: int, start_time: float) -> bool:
    """Whether exactly this process still runs (a zombie does not)."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - start_time) <= START_TIME_SLACK_S
        return same and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def end(pid: int, start_time: float, grace_s: float = GRACE_S) -> bool:
    """End exactly this process: SIGTERM, then SIGKILL; True when it is gone. Another process of that pid is left alone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not alive(pid, start_time):
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        with contextlib.suppress(psutil.Error):
            psutil.Process(pid).wait(grace_s)
    return not alive(pid, start_time)
