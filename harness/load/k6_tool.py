"""Where k6 is, and how it gets there: PATH, or the user's cache, built once from source where Go is present."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.core.errors import Blocked, HarnessError
from harness.run.project import cache_folder

VERSION = "v1.8.1"
MODULE = f"go.k6.io/k6@{VERSION}"
INSTALL = "harness servers install k6"
BUILD_LIMIT_S = 1800.0


def tools_folder() -> Path:
    """Where tools built for this user lie; it may not exist."""
    return cache_folder() / "tools"


def found_k6() -> Path | None:
    """k6 on PATH, else the one in the user's cache; None when there is neither."""
    on_path = shutil.which("k6")
    if on_path is not None:
        return Path(on_path)
    cached = tools_folder() / "k6"
    return cached if os.access(cached, os.X_OK) else None


def k6() -> Path:
    """The program; ``Blocked`` with the command that installs it."""
    found = found_k6()
    if found is None:
        raise Blocked(f"k6 is neither on PATH nor in the user's cache: run `{INSTALL}` (needs Go), or install k6")
    return found


def install_k6() -> Path:
    """Build k6 into the user's cache, unless it is there already. ``Blocked`` without Go, ``HarnessError`` when the build fails."""
    found = found_k6()
    if found is not None:
        return found
    go = shutil.which("go")
    if go is None:
        raise Blocked(f"Go is not on PATH: install Go or k6 yourself (what would be run: GOBIN={tools_folder()} go install {MODULE})")
    folder = tools_folder()
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "GOBIN": str(folder)}
    try:
        done = subprocess.run([go, "install", MODULE], env=environment, timeout=BUILD_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise HarnessError(
            f"the build of k6 was not done within {BUILD_LIMIT_S:.0f} s; run it again: what was built so far is kept"
        ) from None
    built = folder / "k6"
    if done.returncode != 0 or not os.access(built, os.X_OK):
        raise HarnessError(f"`go install {MODULE}` ended with {done.returncode}; its message is above")
    return built
