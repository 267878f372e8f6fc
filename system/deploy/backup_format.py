"""The form of a backup: a folder with a manifest that names every file, sealed with a key that is kept apart.

``manifest.json`` holds size and SHA-256 of every other file; ``manifest.mac`` is HMAC-SHA256 of its bytes. A backup is checked
whole before anything is restored from it, each way of being wrong with a message of its own.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from system.platform.errors import BadInput

FORMAT = 1
MANIFEST, MAC = "manifest.json", "manifest.mac"
KEY_BYTES = 32
MANIFEST_BYTES_MAX = 256 << 20
_PURPOSE = b"evidence platform backup manifest v1\0"
_NAME = re.compile(r"[A-Za-z0-9_.@#+~:%-]{1,255}\Z")
_BLOCK = 1 << 20


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of the backup; ``path`` is relative, with ``/``."""

    path: str
    size_bytes: int
    sha256: str


class TableEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dumped table, in the order of loading."""

    store: str
    table: str
    path: str
    columns: tuple[str, ...]
    rows: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was backed up, of which platform, at which moment."""

    format: int
    platform: str
    snapshot_at: str  # ISO 8601, UTC: the records as they were then
    key_id: str
    tables: tuple[TableEntry, ...]
    graph: Mapping[str, int]  # elements by name, bookkeeping too
    events: Mapping[str, int]  # entries by partition; not restored: the outbox replays what was not consumed
    objects: int
    files: tuple[FileEntry, ...]


def new_key(path: Path) -> bytes:
    """The key at ``path``, made (0600) where there is none."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(KEY_BYTES) + "\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise BadInput(f"the key cannot be written: {error.strerror}", str(path), "name a place that can be written to") from error
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key at ``path``; refuses one that others may read."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"the key cannot be read: {error}", str(path), "give the key file of this backup with --key-file") from error
    if mode & 0o077:
        raise BadInput("others may read the key", str(path), f"chmod 600 {path}")
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise BadInput("this is no backup key (64 hexadecimal digits)", str(path), "give the file that `backup create` wrote")
    return bytes.fromhex(text)


def key_id(key: bytes) -> str:
    """Tells which key sealed a backup, and nothing of the key."""
    return hmac.digest(key, b"key id", "sha256").hex()[:16]


def mac(key: bytes, manifest: bytes) -> str:
    return hmac.digest(key, _PURPOSE + manifest, "sha256").hex()


def file_entry(folder: Path, path: Path) -> FileEntry:
    return FileEntry(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_file(path))


def seal(folder: Path, manifest: Manifest, key: bytes) -> None:
    """Write manifest and MAC, synced."""
    content = msgspec.json.format(msgspec.json.encode(manifest, order="deterministic"), indent=1)
    for name, data in ((MANIFEST, content), (MAC, f"{mac(key, content)}\n".encode())):
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def open_backup(
    folder: Path, key: bytes, platform: str, *, adopt: bool = False, newer_than: dt.datetime | None = None, whole: bool = True
) -> Manifest:
    """The manifest of a backup that may be restored here. Raises ``BadInput``; nothing is written.

    ``adopt`` takes the backup of another platform; ``newer_than`` refuses an older one; ``whole`` also reads every file.
    """
    manifest = _authentic(folder, key)
    if manifest.format != FORMAT:
        raise BadInput(f"format {manifest.format}, this version reads {FORMAT}", str(folder), "restore with the version that made it")
    if manifest.platform != platform and not adopt:
        remedy = "give --adopt if you mean to restore it here"
        raise BadInput(f"foreign: the backup is of platform {manifest.platform}, this is {platform}", str(folder), remedy)
    if newer_than is not None and dt.datetime.fromisoformat(manifest.snapshot_at) < newer_than:
        limit = newer_than.isoformat(timespec="seconds")
        raise BadInput(f"stale: taken at {manifest.snapshot_at}, before {limit}", str(folder), "give a newer backup")
    if whole:
        _check_files(folder, manifest)
    return manifest


def _authentic(folder: Path, key: bytes) -> Manifest:
    content, sealed = _small(folder, MANIFEST, MANIFEST_BYTES_MAX), _small(folder, MAC, 200)
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(
            f"truncated or altered: the manifest cannot be read: {error}", str(folder / MANIFEST), "use another backup"
        ) from error
    if not hmac.compare_digest(manifest.key_id, key_id(key)):
        raise BadInput("wrong key: the backup was sealed with another one", str(folder), "give its key with --key-file")
    if not hmac.compare_digest(sealed.decode("ascii", "replace").strip(), mac(key, content)):
        raise BadInput("altered: the manifest does not match its MAC", str(folder / MANIFEST), "use another backup")
    return manifest


def _small(folder: Path, name: str, limit_bytes: int) -> bytes:
    path = folder / name
    try:
        if path.is_symlink() or path.stat().st_size > limit_bytes:
            raise BadInput("a link, or far too large", str(path), "use another backup")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"partial: {name} cannot be read: {error.strerror}", str(folder), "give a finished backup") from error


def _check_files(folder: Path, manifest: Manifest) -> None:
    paths = [entry.path for entry in manifest.files]
    if len(set(paths)) != len(paths):
        raise BadInput("altered: the manifest names a file twice", str(folder), "use another backup")
    for entry in manifest.files:
        path = inside(folder, entry.path)
        if not path.is_file():
            raise BadInput(f"partial: {entry.path} is missing", str(folder), "use a whole copy of the backup")
        if (size := path.stat().st_size) != entry.size_bytes:
            what = "truncated" if size < entry.size_bytes else "altered"
            raise BadInput(f"{what}: {entry.path} has {size} of {entry.size_bytes} bytes", str(folder), "use another backup")
        if sha256_file(path) != entry.sha256:
            raise BadInput(f"altered: {entry.path} does not have its SHA-256", str(folder), "use another backup")
    if unknown := sorted(set(_present(folder)) - {*paths, MANIFEST, MAC}):
        raise BadInput(f"altered: {unknown[0]} is not in the manifest", str(folder), "use an untouched copy of the backup")
    if missing := [table.path for table in manifest.tables if table.path not in set(paths)]:
        raise BadInput(f"partial: {missing[0]} is not among the files", str(folder), "use another backup")


def inside(folder: Path, name: str) -> Path:
    """The path of a relative name; raises ``BadInput`` for one that would lead out of the folder, also through a link."""
    parts = PurePosixPath(name).parts
    wrong = not parts or name.startswith("/") or any(part == ".." or not _NAME.match(part) for part in parts)
    path = folder.joinpath(*parts)
    if wrong or any(one.is_symlink() for one in (path, *path.parents) if one != folder and one.is_relative_to(folder)):
        raise BadInput(f"path trick: {name[:120]!r} leads out of the backup", str(folder), "use a backup from a source you trust")
    return path


def _present(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            yield path.relative_to(folder).as_posix()


def sha256_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
