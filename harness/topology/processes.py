"""Starting processes that cannot outlive their supervisor, and ending them with everything they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER, _IPC_RMID = 1, 36, 0
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def adopt_orphans() -> None:
    """Let orphaned descendants become our children (Linux), so that none can escape by a session of its own."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start_time(pid: int) -> float | None:
    """When ``pid`` started, seconds since the epoch; ``None`` if there is no such process (or only its zombie)."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return None


def stands_still(pid: int) -> bool:
    """Whether ``pid`` was stopped (SIGSTOP, a debugger) and has not been continued."""
    try:
        return psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP}
    except psutil.Error:
        return False


def cpu_seconds(pid: int) -> float:
    """CPU time of ``pid`` and its living descendants so far."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def exit_text(code: int) -> str:
    """``exit 3``, or ``killed by SIGSEGV``."""
    if code >= 0:
        return f"exit {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"


def spawn(command: Sequence[str], environment: Mapping[str, str], folder: Path, log: int) -> int:
    """Start ``command`` in a session of its own, output to the descriptor ``log``; returns the pid.

    The caller reaps it (``Children``). Raises ``OSError`` where the program cannot be started.
    """
    supervisor = os.getpid()

    def die_with_supervisor() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:  # it died before the request was in place
                os._exit(1)

    child = subprocess.Popen(
        list(command),
        env=dict(environment),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_supervisor,  # noqa: PLW1509  # a supervisor has one thread
    )
    child.returncode = 0  # reaped by ``Children``: Popen must not wait for it, nor warn that it did not
    return child.pid


class Children:
    """Reaps every child, adopted ones too, and tells who asked with which code it ended (negative: by that signal)."""

    def __init__(self) -> None:
        self._ended: dict[int, Callable[[int], None]] = {}

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        self._ended[pid] = ended

    def known(self) -> set[int]:
        return set(self._ended)

    def reap_all(self, limit_s: float) -> None:
        """Kill whatever is still our child and wait until none is left, at most ``limit_s``."""
        deadline = time.monotonic() + limit_s
        while psutil.Process().children() and time.monotonic() < deadline:
            kill_orphans(set())
            self.reap()
            time.sleep(0.01)

    def reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                callback = self._ended.pop(pid, None)
                if callback is not None:
                    callback(os.waitstatus_to_exitcode(status))


def tree(pid: int) -> list[psutil.Process]:
    """``pid`` and its descendants, alive now."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def signal_tree(pid: int, number: int) -> None:
    """Send ``number`` to ``pid`` first, then to all its descendants, whatever session they are in."""
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_orphans(known: set[int]) -> None:
    """Kill children that were adopted, not started: what a service left behind when it died."""
    for process in psutil.Process().children():
        if process.pid not in known:
            signal_tree(process.pid, signal.SIGKILL)


def kill_marked(stack_id: str, spared: set[int]) -> int:
    """Kill every process whose environment names this stack; returns how many there were."""
    found = 0
    for process in psutil.process_iter():
        try:
            if process.pid not in spared and process.environ().get("EH_STACK_ID") == stack_id:
                process.kill()
                found += 1
        except (psutil.Error, OSError):
            continue
    return found


def remove_shared_memory(creators: set[int]) -> None:
    """Remove System V segments made by processes we started and that nobody uses: the kernel keeps them after a kill -9."""
    table = Path("/proc/sysvipc/shm")
    if _LIBC is None or not table.exists():
        return
    for line in table.read_text(encoding="ascii").splitlines()[1:]:
        _key, identifier, _mode, _size, creator, _last, attached = line.split()[:7]
        if int(creator) in creators and int(attached) == 0:
            _LIBC.shmctl(int(identifier), _IPC_RMID, None)
