"""The objects port on a folder: immutable blobs that are durable when a put returns and whole whenever they are there.

A put writes a temporary file, syncs it, renames it and syncs the folder; a crash leaves the old blob or none, and at most
a temporary file that nothing reads.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from system.platform.errors import BadInput, NotFound, PlatformError, Unavailable
from system.platform.settings import Settings

MAX_NAME = 1000  # bytes
MAX_SEGMENT = 240  # bytes after escaping; file systems stop at 255
_TEMPORARY = ".put-"
_STALE_S = 3600.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


class CorruptObject(PlatformError):
    """A blob whose content does not match its name: the medium lies, or somebody wrote into the folder."""


class FolderObjects:
    """Implements :class:`system.platform.ports.Objects`. Names are ``/``-separated; ``…/<sha256>`` names are verified."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @classmethod
    def connect(cls, settings: Settings) -> FolderObjects:
        """The objects of this stack; the folder is made by the first put."""
        return cls(settings.objects_dir)

    def put(self, name: str, data: bytes) -> None:
        """Raises ``BadInput`` for a name that is not one or that states another hash."""
        path = self._path(name)
        if not _matches(name, data):
            raise BadInput("the content does not have the SHA-256 that its name states", name, "name the object after its content")
        with _writable(name):
            _make_folder(path.parent)
            _write(path, data)

    def get(self, name: str) -> bytes:
        """Raises ``NotFound``, ``CorruptObject``."""
        path = self._path(name)
        with _readable(name):
            data = path.read_bytes()
        if not _matches(name, data):
            raise CorruptObject(f"{name}: the stored content does not have the SHA-256 that its name states: restore it from a backup")
        return data

    def exists(self, name: str) -> bool:
        return self._path(name).is_file()

    def delete(self, name: str) -> None:
        """Deleting what is not there is done already."""
        path = self._path(name)
        with _writable(name), contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    def names(self, prefix: str) -> Iterator[str]:
        """The names that begin with ``prefix``, ascending; leftovers of interrupted puts are not names."""
        found: list[str] = []
        for folder, folders, files in os.walk(self._root):
            folders[:] = [one for one in folders if not one.startswith(".")]
            relative = Path(folder).relative_to(self._root)
            found += [_name(relative / file) for file in files if not file.startswith(".")]
        return iter(sorted(name for name in found if name.startswith(prefix)))

    def sweep(self, older_than_s: float = _STALE_S) -> int:
        """Remove leftovers of puts that were interrupted long ago; returns how many."""
        limit, swept = time.time() - older_than_s, 0
        for path in self._root.rglob(f"{_TEMPORARY}*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < limit:
                    path.unlink()
                    swept += 1
        return swept

    def _path(self, name: str) -> Path:
        if not name or len(name.encode(errors="replace")) > MAX_NAME:
            raise BadInput(f"an object's name has 1 to {MAX_NAME} bytes", repr(name[:80]), "shorten it")
        return self._root.joinpath(*(_segment(name, part) for part in name.split("/")))


def _segment(name: str, part: str) -> str:
    """One escaped path segment: letters, digits and ``-_.:#@+~`` stand for themselves, all else is percent-encoded."""
    if part.startswith(".") or not part:
        raise BadInput("empty segments and leading dots are not allowed", repr(name[:80]), "name objects like raw/<sha256>")
    try:
        escaped = urllib.parse.quote(part, safe=":#@+~")
    except UnicodeEncodeError as error:
        raise BadInput("the name is not valid Unicode", ascii(name[:80]), "remove lone surrogates") from error
    if len(escaped) > MAX_SEGMENT:
        raise BadInput(f"a segment of an object's name has at most {MAX_SEGMENT} escaped bytes", repr(name[:80]), "shorten it")
    return escaped


def _name(relative: Path) -> str:
    return "/".join(urllib.parse.unquote(part) for part in relative.parts)


def _matches(name: str, data: bytes) -> bool:
    stated = name.rpartition("/")[2]
    return not _SHA256.fullmatch(stated) or hashlib.sha256(data).hexdigest() == stated


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _make_folder(folder: Path) -> None:
    """Make a folder and its parents, each synced into its own parent, so that a blob's path survives with it."""
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(exist_ok=True, mode=0o700)
    _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable("objects", f"{name} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise NotFound(f"there is no object {name}") from error
    except OSError as error:
        raise Unavailable("objects", f"{name} cannot be read: {error.strerror}") from error
