"""``harness data fetch [SET…]``: the real data sets into the user's cache, resumable, checked, with progress."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from harness.cli.console import Console
from harness.cli.fetching import DataFile, convert, download, read_manifest, write_sums
from harness.core.errors import HarnessError, UsageError, listing, nearest_word
from harness.run.project import Project, cache_folder, load_project


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("action", choices=["fetch", "list"])
    parser.add_argument("sets", nargs="*", help="sets to fetch (default: all)")
    parser.add_argument("--to", default="", metavar="DIR", help="another folder than the user's cache")


def execute(namespace: argparse.Namespace) -> int:
    project = load_project()
    files = read_manifest(project.folder / project.configuration.data.manifest)
    known = sorted({file.set for file in files})
    for name in namespace.sets:
        if name not in known:
            raise UsageError(f"unknown data set {name!r}", nearest=nearest_word(name, known), remedy=f"known: {listing(known)}")
    wanted = [file for file in files if not namespace.sets or file.set in namespace.sets]
    if namespace.action == "list":
        folder = Path(namespace.to) if namespace.to else data_place(project)
        print(f"{folder}: {counted(wanted, folder)}")
        for file in wanted:
            print(f"{'here   ' if is_here(file, folder) else 'missing'} {file.set}/{file.name}  {file.licence}")
        return 0
    return fetch(wanted, Path(namespace.to) if namespace.to else cache_folder() / "data", Console())


def data_place(project: Project) -> Path:
    """Where runs look for the real data sets, and where ``fetch`` would put them if there are none."""
    return project.data_dir() or cache_folder() / "data"


def is_here(file: DataFile, folder: Path) -> bool:
    return (folder / file.set / file.name).exists() or (file.convert == "beir-zip" and (folder / file.set).is_dir())


def counted(files: list[DataFile], folder: Path) -> str:
    """``harness doctor`` says the same words."""
    return f"{sum(is_here(file, folder) for file in files)} of {len(files)} files"


def fetch(files: list[DataFile], folder: Path, console: Console) -> int:
    """Get what is missing; SHA256SUMS is written last, so that a half-filled folder is not taken for a whole one."""
    failed = 0
    for number, file in enumerate(files, 1):
        try:
            path = download(file, folder / ".downloads", functools.partial(_say, console, f"{number}/{len(files)}"))
            convert(file, path, folder)
        except HarnessError as error:
            failed += 1
            console.say(f"{file.set}/{file.name}: {error}")
    if failed:
        console.say(f"{failed} of {len(files)} files are missing; run it again, it goes on where it stopped")
        return 1
    write_sums(folder)
    print(folder)
    return 0


def _say(console: Console, place: str, text: str) -> None:
    console.say(f"{place} {text}")
