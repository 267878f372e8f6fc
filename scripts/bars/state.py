"""``reports/bars/state.json``: the last result of every bar; old or new, never half. And which content of the tree was judged."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from scripts.bars.model import Result

VERSION = 1
PROJECT = Path(__file__).resolve().parent.parent.parent
FOLDER = PROJECT / "reports" / "bars"


class StateError(Exception):
    """The state file cannot be used; says which file and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Tree:
    """``identity`` is the commit, with a hash of what differs from it where anything does."""

    identity: str
    commit: str
    dirty: bool


def read_tree(project: Path = PROJECT) -> Tree:
    """The content of the working tree; ``unknown`` and dirty where this is no git checkout."""
    try:
        commit = _git(project, "rev-parse", "HEAD").decode().strip()
        changed = _git(project, "diff", "HEAD", "--binary")
        untracked = _git(project, "ls-files", "--others", "--exclude-standard", "-z").split(b"\0")
    except (OSError, subprocess.CalledProcessError):
        return Tree("unknown", "unknown", dirty=True)
    digest = hashlib.sha256(changed)
    names = sorted(filter(None, untracked))
    for name in names:
        digest.update(name + b"\0" + _content(project / os.fsdecode(name)))
    dirty = bool(changed or names)
    return Tree(f"{commit}+{digest.hexdigest()[:12]}" if dirty else commit, commit, dirty)


def _git(project: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(project), *arguments], check=True, capture_output=True, timeout=60).stdout


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def load(path: Path) -> dict[str, Result]:
    """The results by bar; none where there is no file. ``StateError`` where the file is not one of ours."""
    try:
        stored = json.loads(path.read_bytes())
        if stored["version"] != VERSION:
            raise StateError(f"{path}: version {stored['version']}, wanted {VERSION}; move the file away to start anew")
        results = [Result(**row) for row in stored["results"]]
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError) as error:
        raise StateError(f"{path}: not a state file: {error}; move it away to start anew") from None
    return {result.bar: result for result in results}


def save(path: Path, results: Mapping[str, Result]) -> None:
    """Replace the file atomically."""
    rows = [dataclasses.asdict(results[name]) for name in sorted(results)]
    write(path, json.dumps({"version": VERSION, "results": rows}, indent=1, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """A temporary file beside it, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with aside.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def markdown(order: Iterable[str], results: Mapping[str, Result]) -> str:
    """The results as a table that can be pasted into a closing note."""
    lines = ["| bar | result | figure | limit | seconds | commit |", "|---|---|---|---|---|---|"]
    for name in order:
        found = results.get(name)
        cells = ("", "", "", "", "") if found is None else _cells(found)
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in (name, *cells)) + " |")
    return "\n".join(lines) + "\n"


def _cells(found: Result) -> tuple[str, str, str, str, str]:
    return found.word, found.figure, found.text, f"{found.seconds:.0f}", found.commit[:10] + (" + changes" if found.dirty else "")
