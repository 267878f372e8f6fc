"""The bar ``recheck``: with the system gone, a run folder gives its summary byte for byte, and no flipped bit goes unnoticed.

For every file of a copy of the run folder one bit at a seeded random byte is flipped; both ``harness recheck`` (with the printed
manifest hash) and the stand-alone ``verify_run.py`` must say so. Without a folder a small run is made first.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.run.project import load_project
from harness.run.recheck import recheck
from harness.run.registry import Registry
from scripts.bars.support import PROJECT, call, listed, result, say, scratch

MANIFEST = "manifest.json"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, help="a finished run folder (default: a small run is made)")
    parser.add_argument("--layer", default="shacl", help="the layer of the small run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flips", type=int, default=1, help="flips tried in each file")
    options = parser.parse_args()
    with scratch() as folder:
        run, printed = given_run(options.folder) if options.folder else small_run(folder / "reports", options.layer)
        if run is None or not printed:
            return result("there is no finished run, or its hash was not printed", passed=False)
        whole = call("recheck", str(run), "--manifest", printed, cwd=folder)
        if whole.returncode != 0:
            return result("the untouched run does not recheck", passed=False, detail=whole.stdout + whole.stderr)
        alone = verify_alone(run, printed)
        if alone.returncode != 0:
            return result("verify_run.py refuses the untouched run", passed=False, detail=alone.stdout + alone.stderr)
        say(whole.stdout.strip())
        copy = folder / "copy"
        shutil.copytree(run, copy)
        return judge(copy, printed, options.seed, options.flips)


def given_run(folder: Path) -> tuple[Path | None, str]:
    """A finished run and the hash of its manifest (nobody kept the printed one)."""
    manifest = folder.resolve() / MANIFEST
    return (folder.resolve(), hashlib.sha256(manifest.read_bytes()).hexdigest()) if manifest.is_file() else (None, "")


def small_run(reports: Path, layer: str) -> tuple[Path | None, str]:
    """A run of one layer and the hash it printed; whatever its verdict, its folder is finished and the system is gone."""
    done = call("verify", "--only", layer, "--reports", str(reports), "--seed", "1")
    found = re.search(r"manifest\s+([0-9a-f]{64})", done.stdout + done.stderr)
    say(done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr.strip()[-300:])
    latest = reports / "latest"
    return latest.resolve() if (latest / MANIFEST).is_file() else None, found[1] if found else ""


def verify_alone(run: Path, printed: str) -> subprocess.CompletedProcess[str]:
    """The verifier that ships in the folder, isolated from the project; the pristine one where it is itself under test."""
    command = [sys.executable, "-I", str(PROJECT / "harness" / "journal" / "verify_run.py"), str(run), printed]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def judge(copy: Path, printed: str, seed: int, flips: int) -> int:
    """Flip, ask both, flip back."""
    registry = Registry.discover().with_tables(load_project(PROJECT).wing_tables(), PROJECT)
    source = random.Random(seed)
    tried, missed = 0, []
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    for path in files:
        for place in _places(path, source, flips):
            tried += 1
            with flipped(path, place):
                by_recheck = not recheck(copy, printed, registry).identical
                by_verifier = verify_alone(copy, printed).returncode != 0
            if not (by_recheck and by_verifier):
                who = "recheck" if not by_recheck else "verify_run.py"
                missed.append(f"{path.relative_to(copy)} byte {place[0]} bit {place[1]}: not found by {who}")
    lost = losses(copy, printed, registry)
    if not recheck(copy, printed, registry).identical:
        missed.append("the copy is not as before after the flips were taken back")
    figure = f"byte-identical; {tried - len(missed)} of {tried} flips in {len(files)} files found by both"
    return result(figure, passed=not missed and not lost and tried > 0, detail=listed([*missed, *lost]))


def _places(path: Path, source: random.Random, flips: int) -> Iterator[tuple[int, int]]:
    size = path.stat().st_size
    for _ in range(min(flips, size) or 1):
        yield source.randrange(size or 1), source.randrange(8)


class flipped:  # noqa: N801 - reads as a sentence
    """A context in which one bit of a file is the other way round; an empty file has a byte instead."""

    def __init__(self, path: Path, place: tuple[int, int]) -> None:
        self._path, self._place = path, place
        self._empty = path.stat().st_size == 0

    def _flip(self) -> None:
        position, bit = self._place
        if self._empty:
            self._path.write_bytes(b"" if self._path.stat().st_size else bytes([1 << bit]))
            return
        with self._path.open("r+b") as stream:
            stream.seek(position)
            value = stream.read(1)[0]
            stream.seek(position)
            stream.write(bytes([value ^ (1 << bit)]))

    def __enter__(self) -> None:
        self._flip()

    def __exit__(self, *_exception: object) -> None:
        self._flip()


def losses(copy: Path, printed: str, registry: Registry) -> list[str]:
    """A file taken away, and one that was not there before, are found as well."""
    problems = []
    stranger = copy / "stranger.txt"
    stranger.write_text("not of this run", encoding="utf-8")
    if recheck(copy, printed, registry).identical or verify_alone(copy, printed).returncode == 0:
        problems.append("a file that is not in the manifest is not found")
    stranger.unlink()
    away, kept = copy / "summary.json", copy.with_name("kept")
    away.rename(kept)
    if recheck(copy, printed, registry).identical or verify_alone(copy, printed).returncode == 0:
        problems.append("a missing file is not found")
    kept.rename(away)
    return problems


if __name__ == "__main__":
    raise SystemExit(main())
