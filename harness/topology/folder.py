"""The folder of a stack in the temp directory, its secrets, and folders of dead stacks that nobody will come back for."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from harness.topology import ports
from harness.topology.errors import MachineLacks, TopologyError
from harness.topology.model import StackInfo
from harness.topology.processes import kill_marked
from harness.topology.wire import decode

INFO_FILE = "stack.json"
_LOCK_FILE = "supervisor.lock"
_LONGEST_SOCKET_PATH = 100  # the kernel's limit is 104 or 108 bytes
_REMOVERS = 8
_YOUNG_S = 30.0
_OLD_LOG_S = 86_400.0


def create_stack_folder(base: Path, stack_id: str) -> Path:
    """``base/eh-<uid>-<stack_id>`` with its parts; as root others may pass through it (engines drop to uids of their own)."""
    root = os.geteuid() == 0
    folder = stack_folder(base, stack_id)
    try:
        for path, mode in (
            (folder, 0o711 if root else 0o700),
            (folder / "data", 0o711 if root else 0o700),
            (folder / "tmp", 0o1777 if root else 0o700),
            (folder / "secrets", 0o700),
            (folder / "objects", 0o700),
            (folder / "logs", 0o700),
        ):
            path.mkdir()
            path.chmod(mode)  # mkdir's mode is cut by the umask
    except OSError as error:
        raise MachineLacks(
            f"the stack's folder cannot be made: {error.strerror}", str(folder), "set TMPDIR to a folder you may write"
        ) from error
    return folder


def stack_folder(base: Path, stack_id: str) -> Path:
    return base / f"eh-{os.getuid()}-{stack_id}"


def hold_lock(folder: Path) -> int:
    """Lock the folder for the life of this process; returns the descriptor to keep open."""
    descriptor = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def write_secrets(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """A file of random text for each name; what stands in which."""
    made = {name: secrets.token_hex(24) for name in names}
    for name, text in made.items():
        write_private(folder / name, text.encode())
    return made


def write_private(path: Path, content: bytes) -> None:
    """Replace ``path`` atomically; readable by its owner only."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
    aside.replace(path)


def socket_path(folder: Path, stack_id: str) -> Path:
    """In the stack's folder, or where its path is not too long for the kernel: the temp directory, the user's own, /tmp."""
    others = (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp")  # noqa: S108 - random name, mode 0600
    for place in (folder / "ctl.sock", *(Path(other) / f"eh-{stack_id}.sock" for other in others if other and os.access(other, os.W_OK))):
        if len(os.fsencode(place)) < _LONGEST_SOCKET_PATH:
            return place
    raise MachineLacks("the path of the control socket is too long", str(folder), "set TMPDIR to a shorter path")


def remove_folder(folder: Path) -> None:
    """Remove it though files may still appear in it (processes being killed write their last).

    Thousands of database files go by several threads: measured 3 to 5 × faster where the file system waits for its disk.
    """
    for _ in range(20):
        with ThreadPoolExecutor(_REMOVERS) as removers:
            list(removers.map(_unlink_files, [Path(path) for path, _, _ in os.walk(folder)]))
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(0.05)


def _unlink_files(folder: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink(missing_ok=True)


def read_info(folder: Path) -> StackInfo:
    try:
        return decode((folder / INFO_FILE).read_bytes(), StackInfo)
    except (OSError, msgspec.MsgspecError) as error:
        raise TopologyError(f"is not the folder of a stack: {error}", str(folder), "name a folder that `harness up` printed") from error


def end_remains(stack_id: str, folder: Path, socket: Path | None = None, *, keep: bool = False) -> None:
    """End what is left of a stack whose supervisor is dead: its processes, its socket, its folder (of a kept one the secrets)."""
    kill_marked(stack_id, {os.getpid()})
    if socket is not None:
        socket.unlink(missing_ok=True)
    remove_folder(folder / "secrets" if keep else folder)


def sweep(base: Path) -> list[str]:
    """End stacks whose supervisor is dead, whoever started them; the names of their folders. The living stay, and what was to be kept."""
    ports.sweep()
    for log in base.glob("eh-failed-*.log"):
        with contextlib.suppress(OSError):
            if time.time() - log.stat().st_mtime > _OLD_LOG_S:
                log.unlink()
    return [folder.name for folder in base.glob(f"eh-{os.getuid()}-*") if _swept(folder)]


def _swept(folder: Path) -> bool:
    lock = folder / _LOCK_FILE
    with contextlib.suppress(OSError, TopologyError):
        young = time.time() - folder.stat().st_mtime < _YOUNG_S
        if not lock.exists() or (young and not (folder / INFO_FILE).exists()):
            return False  # not ours, or being made just now
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its supervisor lives
            if not (folder / INFO_FILE).exists():  # it died while it made the folder
                remove_folder(folder)
                return True
            info = read_info(folder)
            if info.keep and not info.secrets_dir.exists():
                return False
            end_remains(info.stack_id, folder, info.socket, keep=info.keep)
        finally:
            os.close(descriptor)
        return True
    return False
