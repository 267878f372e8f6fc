"""Make ``.venv`` ready: ``python3 -m scripts.setup`` (or ``make setup``). Standard library only.

Checks Python, ensurepip, glibc and disk first and names the remedy in one line; says what it will download and how
much; does nothing (and needs no network) when everything is already as the lock files say. Safe to interrupt: the stamp
that marks a finished set-up is written last.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
STAMP = VENV / "share" / "evidence-harness" / "setup.stamp"
MODELS = VENV / "share" / "evidence-harness" / "models"
LOCKS = ("requirements.lock", "models.lock", "pyproject.toml")
MINIMUM_PYTHON = (3, 11)
MINIMUM_GLIBC = (2, 34)
DISK_NEEDED_BYTES = 3 << 30
DOWNLOAD = "about 450 MB (libraries 340 MB, model weights 110 MB)"


class SetupFailed(Exception):
    """Set-up cannot go on; the message is one line with the remedy."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m scripts.setup", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="only say whether set-up is needed (exit 0: ready, 3: needed)")
    arguments = parser.parse_args()
    try:
        if arguments.check:
            return 0 if ready() else 3
        return setup()
    except SetupFailed as failure:
        print(f"setup: {failure}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; run it again, it goes on where it stopped", file=sys.stderr)
        return 130


def setup() -> int:
    """Bring ``.venv`` to the state of the lock files; returns the exit code."""
    if ready():
        return 0
    check_machine()
    write_data_location()
    started = time.monotonic()
    print(f"setup: makes {VENV.name}/ with Python {platform.python_version()}; downloads {DOWNLOAD} through pip", flush=True)
    make_venv()
    step("libraries", [*pip("install"), "--require-hashes", "--requirement", "requirements.lock"])
    step("this project", [*pip("install"), "--no-deps", "--no-build-isolation", "--editable", "."])
    step("model weights", [str(python()), "-m", "system.models.weights", "--dir", str(MODELS)])
    STAMP.parent.mkdir(parents=True, exist_ok=True)
    STAMP.write_text(fingerprint() + "\n", encoding="ascii")
    print(f"setup: ready after {time.monotonic() - started:.0f} s", flush=True)
    return 0


def check_machine() -> None:
    """Raise :class:`SetupFailed` with the remedy when this machine cannot run the project."""
    if sys.version_info[:2] < MINIMUM_PYTHON:
        raise SetupFailed(f"needs Python 3.11 or newer, this is {platform.python_version()}: run it with python3.11 or newer")
    if os.name == "nt":
        raise SetupFailed("Windows is supported through WSL2: run this inside a WSL2 shell")
    try:
        import ensurepip  # noqa: F401 - only whether it is there
        import venv  # noqa: F401
    except ImportError:
        raise SetupFailed("Python's ensurepip or venv is missing: install the package python3-venv of your distribution") from None
    name, version = platform.libc_ver()
    if name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < MINIMUM_GLIBC:
        raise SetupFailed(f"needs glibc 2.34 or newer, this machine has {version}: use a distribution from 2021 or later")
    free = shutil.disk_usage(PROJECT).free
    if free < DISK_NEEDED_BYTES:
        raise SetupFailed(f"needs {DISK_NEEDED_BYTES >> 30} GiB free beside the project, there are {free / 2**30:.1f} GiB: free some space")
    if not os.access(PROJECT, os.W_OK):
        raise SetupFailed(f"{PROJECT} is not writable: clone the project into a folder of your own")


def make_venv() -> None:
    if usable_venv():
        return
    shutil.rmtree(VENV, ignore_errors=True)  # half-made, or of another Python
    step("virtual environment", [sys.executable, "-m", "venv", str(VENV)])


def usable_venv() -> bool:
    """Whether ``.venv`` is whole and of this Python's version."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return python().exists() and (VENV / "lib" / version / "site-packages" / "pip").is_dir()


def python() -> Path:
    return VENV / "bin" / "python"


def pip(command: str) -> list[str]:
    return [str(python()), "-m", "pip", command, "--quiet", "--disable-pip-version-check", "--no-input"]


def step(what: str, command: list[str]) -> None:
    """Run one step, its output in ``.venv/setup.log``; the last lines are shown when it fails."""
    started = time.monotonic()
    print(f"setup:   {what} …", end="", flush=True)
    log = PROJECT / ".venv" / "setup.log"
    log.parent.mkdir(exist_ok=True)
    with log.open("ab") as output:
        code = subprocess.run(command, cwd=PROJECT, stdout=output, stderr=output, check=False, env=environment()).returncode
    print(f" {time.monotonic() - started:.0f} s", flush=True)
    if code:
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
        print("\n".join(f"    {line}" for line in tail), file=sys.stderr)
        raise SetupFailed(f"{what} failed (exit {code}): see {log.relative_to(PROJECT)}; with a working package registry run it again")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUTF8": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def fingerprint() -> str:
    """SHA-256 over the lock files, the Python used and the project's place (an editable install is tied to it)."""
    digest = hashlib.sha256(f"{sys.version_info[:2]}\0{PROJECT}".encode())
    for name in LOCKS:
        path = PROJECT / name
        digest.update(path.read_bytes() if path.exists() else b"")
    return digest.hexdigest()


def ready() -> bool:
    try:
        return STAMP.read_text(encoding="ascii").strip() == fingerprint() and python().exists()
    except OSError:
        return False


def write_data_location() -> None:
    """Remember the sibling folder with the real data sets, where there is one; never overwrites what a person wrote."""
    target = PROJECT / "harness.local.toml"
    siblings = PROJECT / ".." / "shared" / "datasets"
    if target.exists() or not (siblings / "SHA256SUMS").is_file():
        return
    target.write_text('# Written by scripts/setup; this file is yours to change.\n[data]\ndir = "../shared/datasets"\n', encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
