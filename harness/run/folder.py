"""The folder of a run: ``reports/<UTC time>-<run id>/``, and ``reports/latest`` which moves atomically."""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from harness.core.errors import UsageError

JOURNAL = "journal.jsonl"
SUMMARY = "summary.json"
VERIFIER = "verify_run.py"
TRIALS = "trials"
LATEST = "latest"
_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]+")


def create_run_folder(reports: Path, wall: str) -> Path:
    """A new folder named by UTC time and a random id; ``UsageError`` where nothing can be written."""
    stamp = re.sub(r"[-:]|\.\d+", "", wall)
    folder = reports / f"{stamp}-{secrets.token_hex(3)}"
    try:
        reports.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o755)
        (folder / TRIALS).mkdir()
        (folder / "segments").mkdir()
        (folder / "evidence").mkdir()
    except OSError as error:
        raise UsageError(
            f"cannot make the run folder: {error.strerror}", file=str(reports), remedy="give --reports a writable folder"
        ) from None
    return folder


def point_latest(folder: Path) -> None:
    """Make ``latest`` beside ``folder`` lead to it: a new link renamed over the old one."""
    link = folder.parent / f".{LATEST}.{secrets.token_hex(4)}"
    link.symlink_to(folder.name, target_is_directory=True)
    try:
        link.replace(folder.parent / LATEST)
    except OSError as error:
        link.unlink(missing_ok=True)
        raise UsageError(f"{LATEST} is not a link: {error.strerror}", file=str(folder.parent / LATEST), remedy="remove it") from None


def safe_name(text: str) -> str:
    """A file name made of ``text``: letters, digits, ``_ . -``; never empty, never from input as it is."""
    return _UNSAFE.sub("-", text).strip(".-")[:100] or "unnamed"
