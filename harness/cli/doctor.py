"""``harness doctor``: what this machine has and lacks, each with its remedy. Reads only."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.cli.data import counted, data_place
from harness.cli.fetching import read_manifest
from harness.core.errors import HarnessError
from harness.plugin.session import vector_caches
from harness.run.project import Project, load_project

DISK_MIN_GIB = 2.0
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
Finding = tuple[str, bool, str, str]  # what, whether it is well, what was found, remedy


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    findings = list(_findings())
    if namespace.json:
        keys = ("what", "ok", "found", "remedy")
        print(json.dumps([dict(zip(keys, finding, strict=True)) for finding in findings], sort_keys=True))
    else:
        for what, well, found, remedy in findings:
            print(f"{'ok  ' if well else 'LACK'} {what:<22} {found}{'' if well else f'  → {remedy}'}")
    return 0


def _findings() -> Iterator[Finding]:
    yield "Python", sys.version_info >= (3, 11), platform.python_version(), "use Python 3.11 or newer"
    yield "C library", True, " ".join(platform.libc_ver()) or "not glibc", ""
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**30
    yield "space in the temp dir", free >= DISK_MIN_GIB, f"{free:.1f} GiB free", f"free {DISK_MIN_GIB:g} GiB or set TMPDIR"
    yield "processors", (os.cpu_count() or 1) >= 2, str(os.cpu_count()), "layers take longer on one processor"
    yield "vector cache", True, _vector_cache(), ""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), "")
    yield "Chromium", bool(browser), browser or "none", "page tests are BLOCKED: install Chromium"
    try:
        project = load_project()
        data = _data(project)
    except HarnessError as error:
        yield "project", False, str(error), "run inside a project"
        return
    yield "project", True, str(project.folder), ""
    yield "real data sets", *data, "`harness data fetch`, or the sample corpus is used"
    yield "locust", _has("locust"), "installed" if _has("locust") else "none", "pip install 'evidence-harness[load]'"
    yield "failpoints", True, "armed only for crash tests", ""
    yield "secrets", Path(tempfile.gettempdir()).exists(), "random per stack, mode 0600", ""


def _data(project: Project) -> tuple[bool, str]:
    """Whether a run would use real data, and which files of them are there, as ``harness data list`` counts them."""
    used = project.data_dir() is not None
    manifest = project.configuration.data.manifest
    if not manifest:
        return used, str(project.data_dir() or "none")
    files, folder = read_manifest(project.folder / manifest), data_place(project)
    return used, f"{folder}: {counted(files, folder)}"


def _vector_cache() -> str:
    """The first folder that is there; where none is yet, the one that a run would make. Looks only."""
    folders = vector_caches()
    there = next((folder for folder in folders if folder.is_dir() and os.access(folder, os.W_OK)), None)
    return str(there) if there else f"{folders[0]}, made by the first run"


def _has(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None
