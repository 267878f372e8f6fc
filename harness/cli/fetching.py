"""Downloads that resume, are checked, and are unpacked without trusting a name in them."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import httpx
import msgspec

from harness.core import jsonio
from harness.core.errors import HarnessError, UsageError

MAX_BYTES = 200 << 20
MAX_UNPACKED_BYTES = 500 << 20
TIMEOUT_S = 30.0
BLOCK_BYTES = 1 << 16
BEIR_MEMBERS = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "qrels/train.tsv")


class DataFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of the manifest: where it comes from, what it must hash to, what is made of it."""

    set: str
    name: str
    address: str
    convert: Literal["gzip", "beir-zip", "ctgov-page"]
    sha256: str = ""
    md5: str = ""
    licence: str = ""


class _Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    file: tuple[DataFile, ...]


def read_manifest(path: Path) -> list[DataFile]:
    """The files of a manifest; wrong keys name the file."""
    try:
        return list(msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), _Manifest).file)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"the manifest of data sets cannot be used: {error}", file=str(path), remedy="correct it") from None


def download(file: DataFile, folder: Path, say: Callable[[str], None]) -> Path:
    """The upstream file, from the folder when it is whole there; a part is continued. Raises ``HarnessError`` with the remedy."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{file.set}-{file.name}"
    if target.exists():
        return target
    part = target.with_name(target.name + ".part")
    try:
        _stream(file, part, say)
    except httpx.HTTPError as error:
        raise HarnessError(f"{type(error).__name__}: {error}; check the network and run it again") from None
    _check(file, part)
    part.replace(target)
    return target


def _stream(file: DataFile, part: Path, say: Callable[[str], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with httpx.stream("GET", file.address, headers=headers, timeout=TIMEOUT_S, follow_redirects=True) as answer:
        if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # the part is whole already
        answer.raise_for_status()
        resumed = answer.status_code == httpx.codes.PARTIAL_CONTENT
        total = int(answer.headers.get("content-length", 0)) + (have if resumed else 0)
        done = have if resumed else 0
        shown = -1
        with part.open("ab" if resumed else "wb") as stream:
            for block in answer.iter_bytes(BLOCK_BYTES):
                stream.write(block)
                done += len(block)
                if done > MAX_BYTES:
                    raise HarnessError(f"is larger than {MAX_BYTES >> 20} MiB: not fetched")
                percent = done * 100 // total if total else 0
                if percent // 25 != shown:
                    shown = percent // 25
                    say(f"{file.set}/{file.name} {done >> 10} KiB{f' of {total >> 10}' if total else ''}")


def _check(file: DataFile, path: Path) -> None:
    for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
        if expected and hashlib.new(name, path.read_bytes(), usedforsecurity=False).hexdigest() != expected:
            path.unlink()
            raise HarnessError(f"its {name} is not the one of the manifest: thrown away; run it again, or the source has changed")


def convert(file: DataFile, path: Path, folder: Path) -> None:
    """Make of the upstream file what the suites read; written atomically."""
    content = path.read_bytes()
    if file.convert == "beir-zip":
        _unpack_beir(content, folder / file.set)
    elif file.convert == "ctgov-page":
        studies = json.loads(content).get("studies", [])
        lines = b"".join(json.dumps(study, sort_keys=True).encode() + b"\n" for study in studies)
        jsonio.write_atomic(folder / file.set / file.name, gzip.compress(lines, mtime=0))
    else:
        jsonio.write_atomic(folder / file.set / file.name, gzip.compress(content, mtime=0))


def _unpack_beir(content: bytes, folder: Path) -> None:
    """Only the members of a BEIR collection, by their known names: nothing in the archive chooses a path."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except zipfile.BadZipFile as error:
        raise HarnessError(f"is no zip archive: {error}") from None
    for member in BEIR_MEMBERS:
        found = [info for info in archive.infolist() if info.filename.endswith(f"/{member}") or info.filename == member]
        if not found or found[0].file_size > MAX_UNPACKED_BYTES:
            raise HarnessError(f"has no usable {member}")
        data = archive.read(found[0])
        plain = member.endswith(".tsv")
        jsonio.write_atomic(folder / (member if plain else f"{member}.gz"), data if plain else gzip.compress(data, mtime=0))


def write_sums(folder: Path) -> None:
    """``SHA256SUMS`` over everything that was made: its presence says that the folder is whole."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and ".downloads" not in path.parts and path.name != "SHA256SUMS")
    lines = "".join(f"{jsonio.sha256_file(path)}  {path.relative_to(folder).as_posix()}\n" for path in files)
    jsonio.write_atomic(folder / "SHA256SUMS", lines.encode())
