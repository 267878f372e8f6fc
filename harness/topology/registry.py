"""Which stacks the user started (``harness up``): one small file each in the user's state folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import msgspec

from harness.topology.folder import end_remains, write_private
from harness.topology.model import StackInfo
from harness.topology.processes import start_time
from harness.topology.wire import decode, encode


def user_folder(kind: str) -> Path:
    """A folder for ``state`` or ``cache`` that can be written: the user's own, or one in the temp directory."""
    variable, default = {"state": ("XDG_STATE_HOME", ".local/state"), "cache": ("XDG_CACHE_HOME", ".cache")}[kind]
    home = Path(os.environ.get("HOME") or tempfile.gettempdir())
    for candidate in (
        Path(os.environ.get(variable) or home / default) / "evidence-harness",
        Path(tempfile.gettempdir()) / f"eh-{kind}-{os.getuid()}",
    ):
        try:
            candidate.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(candidate, os.W_OK | os.X_OK):
            return candidate
    return Path(tempfile.mkdtemp(prefix=f"eh-{kind}-"))


def record(info: StackInfo) -> None:
    write_private(_file(info.stack_id), encode(info))


def forget(stack_id: str) -> None:
    _file(stack_id).unlink(missing_ok=True)


def recorded() -> list[StackInfo]:
    """The stacks whose supervisor lives, newest first; of dead ones the record goes, and whatever else is left."""
    found = []
    for path in _file("x").parent.glob("*.json"):
        try:
            info = decode(path.read_bytes(), StackInfo)
        except (OSError, msgspec.MsgspecError):
            continue
        if start_time(info.supervisor_pid) == info.supervisor_start:
            found.append(info)
        else:
            end_remains(info.stack_id, info.folder, info.socket, keep=info.keep)
            path.unlink(missing_ok=True)
    return sorted(found, key=lambda info: info.supervisor_start, reverse=True)


def _file(stack_id: str) -> Path:
    folder = user_folder("state") / "stacks"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{stack_id}.json"
