"""Free loopback ports, each guarded by a locked file, so that two stacks of one machine never take the same one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterable
from pathlib import Path

from harness.topology.errors import MachineLacks

_RANGE = range(20_000, 32_000)  # below the ephemeral ports: an outgoing connection must not take one meanwhile


class PortLease:
    """Holds the ports it gave out until ``release``; the kernel drops the locks when the process dies."""

    def __init__(self, seed: str) -> None:
        self._folder = _lock_folder()
        self._random = random.Random(seed)
        self._held: dict[Path, int] = {}

    def take(self, names: Iterable[str]) -> dict[str, int]:
        """A free port for each name; raises ``MachineLacks`` when none is left."""
        candidates = iter(self._random.sample(_RANGE, len(_RANGE)))
        return {name: self._next(candidates) for name in names}

    def release(self) -> None:
        for path, descriptor in self._held.items():
            path.unlink(missing_ok=True)  # before the lock goes: who waits for it sees that the file is not the one of that name
            os.close(descriptor)
        self._held.clear()
        with contextlib.suppress(OSError):
            self._folder.rmdir()  # refused while another stack holds a port

    def _next(self, candidates: Iterable[int]) -> int:
        for port in candidates:
            if self._lock(port):
                return port
        raise MachineLacks(
            "no loopback port is free", f"127.0.0.1:{_RANGE.start}-{_RANGE.stop - 1}", "stop other stacks (`harness status`)"
        )

    def _lock(self, port: int) -> bool:
        path = self._folder / f"{port}.lock"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:  # another stack ended and took the folder away just now
            return False
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and path.stat().st_ino == os.fstat(descriptor).st_ino and _is_free(port):
                self._held[path] = descriptor
                return True
        os.close(descriptor)
        return False


def sweep() -> None:
    """Remove lock files that nobody holds, and their folder with the last: a supervisor was killed before it could."""
    for path in _lock_folder().glob("*.lock"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()  # who opened it meanwhile sees that its name is gone, and takes another port
            finally:
                os.close(descriptor)
    with contextlib.suppress(OSError):
        _lock_folder().rmdir()  # refused while a stack holds a port


def _lock_folder() -> Path:
    return Path(tempfile.gettempdir()) / f"eh-ports-{os.getuid()}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a past connection does not block
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
