"""JSON with one byte form for one value, and files that are there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

HASH_BLOCK_BYTES = 1 << 20


def canonical(value: Any) -> bytes:
    """UTF-8, sorted keys, no blanks, shortest floats; NaN, infinities and keys that are no text are refused."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse).encode()


def pretty(value: Any) -> bytes:
    """As ``canonical`` with one value a line, for files people read; as deterministic."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, indent=1, allow_nan=False, default=_refuse)
    return text.encode() + b"\n"


def _refuse(value: object) -> Any:
    raise TypeError(f"{type(value).__name__} is not written as JSON")


def sha256_hex(data: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(HASH_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write a temporary file beside ``path``, fsync it, rename it over, fsync the folder: old or new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(4)}.tmp"
    try:
        _write_synced(temporary, data, mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _write_synced(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names of a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
