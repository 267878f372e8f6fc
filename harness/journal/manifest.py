"""``manifest.json``: the SHA-256 of every other file of a run folder. Its own hash is printed and kept outside."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.core import jsonio
from harness.core.errors import DamagedRun

NAME = "manifest.json"
VERSION = 1


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every regular file of a run folder but the manifest, as (path with /, path), sorted; a link is refused."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise DamagedRun(f"{name}: a run folder holds no links")
        if path.is_file() and name != NAME:
            yield name, path


def write_manifest(folder: Path) -> str:
    """Write ``manifest.json`` and return its SHA-256 (hex)."""
    files = {name: jsonio.sha256_file(path) for name, path in files_of(folder)}
    content = jsonio.pretty({"v": VERSION, "files": files})
    jsonio.write_atomic(folder / NAME, content)
    return jsonio.sha256_hex(content)


def read_manifest(folder: Path, expected_sha256: str | None = None) -> Mapping[str, str]:
    """The hashes by path; ``DamagedRun`` when there is none, or its own hash is not the expected one."""
    try:
        content = (folder / NAME).read_bytes()
    except FileNotFoundError:
        raise DamagedRun(f"{NAME}: missing; the run did not finish") from None
    if expected_sha256 is not None and jsonio.sha256_hex(content) != expected_sha256.strip().lower():
        raise DamagedRun(f"{NAME}: its SHA-256 is {jsonio.sha256_hex(content)}, not the one given")
    try:
        files = json.loads(content)["files"]
        return {str(name): str(digest) for name, digest in files.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedRun(f"{NAME}: not a manifest: {error}") from None


def verify_manifest(folder: Path, expected_sha256: str | None = None) -> tuple[str, ...]:
    """What differs from the manifest, one sentence a file, in the order of the names; empty when all is as written."""
    wanted = read_manifest(folder, expected_sha256)
    present = dict(files_of(folder))
    problems = [f"{name}: missing" for name in wanted.keys() - present.keys()]
    problems += [f"{name}: not in the manifest" for name in present.keys() - wanted.keys()]
    for name in wanted.keys() & present.keys():
        if jsonio.sha256_file(present[name]) != wanted[name]:
            problems.append(f"{name}: changed; its SHA-256 differs from the manifest")
    return tuple(sorted(problems))
