"""The bars ``clone_*``: what a stranger does: clone, ``make verify``, ``make test``; wall time and seconds a layer are stated.

It is the commit that is cloned, not what was changed on top of it. ``--unprivileged`` (as root) does all of it as nobody, with a
home of its own and a Python that this user can run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bars.support import PROJECT, project, result, say

NOBODY = 65534
STEP_LIMIT_S = 1800.0


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", action="store_true", help="without the real data sets")
    parser.add_argument("--unprivileged", action="store_true")
    parser.add_argument("--step", action="append", choices=("verify", "test"), help="only this step")
    options = parser.parse_args()
    data = None if options.sample else project().data_dir()
    if data is None and not options.sample:
        return result("no real data sets", passed=None, detail="set HARNESS_DATA_DIR, or run `harness data fetch`")
    if options.unprivileged and os.geteuid() != 0:
        return result("this process cannot become another user", passed=None, detail="run it as root, or without --unprivileged")
    user = NOBODY if options.unprivileged else None
    python = usable_python(user)
    if python is None:
        return result("no Python >= 3.11 that this user can run", passed=None, detail="install python3 and python3-venv")
    folder = Path(tempfile.mkdtemp(prefix="bars clone "))
    try:
        return judge(folder, python, user, data, options.step or ["verify", "test"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def usable_python(user: int | None) -> str | None:
    """A Python from 3.11 with venv that ``user`` can run."""
    names = ("python3", "/usr/bin/python3", "python3.13", "python3.12", "python3.11", "/usr/local/bin/python3")
    check = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
    for name in (os.path.realpath(sys.executable), *names):
        found = shutil.which(name)
        with contextlib.suppress(PermissionError):  # one that lies in somebody else's home
            if found and subprocess.run([found, "-c", check], user=user, capture_output=True, check=False, cwd="/").returncode == 0:
                return found
    return None


def judge(folder: Path, python: str, user: int | None, data: Path | None, steps: list[str]) -> int:
    clone = folder / "the clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(PROJECT), str(clone)], check=True)
    environment = surroundings(folder, user, data)
    seconds: dict[str, float] = {}
    failed = []
    for step in ("setup", *steps):
        began = time.monotonic()
        done = subprocess.run(
            ["make", f"PYTHON={python}", step], cwd=clone, env=environment, user=user, group=user, extra_groups=[] if user else None,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
            timeout=STEP_LIMIT_S, check=False,
        )  # fmt: skip
        seconds[step] = time.monotonic() - began
        say(f"make {step}: exit {done.returncode} after {seconds[step]:.0f} s")
        if done.returncode != 0:
            failed.append(f"make {step}: exit {done.returncode}: {done.stdout[-1500:]}")
            break
    summary = clone / "reports" / "latest" / "summary.json"
    verdict, layers = ("", "") if not summary.is_file() else told(json.loads(summary.read_bytes()))
    walls = ", ".join(f"{name} {value:.0f} s" for name, value in seconds.items())
    passed = not failed and ("verify" not in steps or verdict.startswith("PASS"))
    return result(f"{walls}; {verdict}", passed=passed, detail="\n".join([f"layers: {layers}", *failed]))


def surroundings(folder: Path, user: int | None, data: Path | None) -> Mapping[str, str]:
    """A bare environment: a home of its own, no setting of ours."""
    home = folder / "home"
    home.mkdir()
    if user is not None:
        folder.chmod(0o755)
        for path in (folder / "the clone", *(folder / "the clone").rglob("*"), home):
            os.chown(path, user, user, follow_symlinks=False)
    kept = {
        name: os.environ[name] for name in ("PATH", "PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "PIP_CONFIG_FILE") if name in os.environ
    }
    return {**kept, "HOME": str(home), **({"HARNESS_DATA_DIR": str(data)} if data else {})}


def told(summary: Mapping[str, Any]) -> tuple[str, str]:
    """(coverage and which data, seconds a layer)."""
    layers = ", ".join(f"{layer['layer']} {layer['verdict']} {layer['duration_s'] or 0:.0f} s" for layer in summary["layers"])
    return f"{summary['coverage']}{' on sample data' if summary['sample_data'] else ''} in {summary['duration_s'] or 0:.0f} s", layers


if __name__ == "__main__":
    raise SystemExit(main())
