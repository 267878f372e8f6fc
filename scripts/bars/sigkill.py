"""The bar ``sigkill``: ``harness`` is killed by SIGKILL at a random moment of a run; within 5 s nothing of the run is left.

Each trial has a temp folder of its own, so that what it started can be told from what others run on this machine. The run folder
must stay readable: its chain holds, and it says that the run was killed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from harness.run.project import load_project
from harness.run.recheck import recheck
from harness.run.registry import Registry
from scripts.bars.leftovers import Belongings, Watch
from scripts.bars.support import HARNESS, PROJECT, listed, result, say

LIMIT_S = 5.0
GIVE_UP_S = 30.0
FIRST_S, LAST_S = 0.5, 25.0
POLL_S = 0.05
RUNS = (("verify", "--only", "e2e"), ("run", "scenarios/crash_ingest.yaml", "--repeat", "3"), ("verify", "--only", "load"))
EXPECTED = ("manifest.json: missing", "summary.json: missing")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    slowest, problems, caught = 0.0, [], 0
    for number in range(options.count):
        command = RUNS[number % len(RUNS)]
        delay_s = source.uniform(FIRST_S, LAST_S)
        seconds, left, had = trial(command, delay_s, number)
        slowest = max(slowest, seconds)
        caught += had > 0
        what = f"{number + 1:3} of {options.count}  {' '.join(command):32} killed at {delay_s:5.2f} s, {had:2} processes"
        what += f", clean after {seconds:.2f} s"
        say(what + ("" if not left else f"  LEFT: {'; '.join(left)[:300]}"))
        problems += [f"trial {number + 1} ({delay_s:.2f} s): {item}" for item in left]
    figure = (
        f"{options.count} kills, {caught} of them with processes running; slowest clean after {slowest:.2f} s; {len(problems)} left-overs"
    )
    return result(figure, passed=not problems and slowest <= LIMIT_S and caught >= min(options.count, 3), detail=listed(problems))


def trial(command: tuple[str, ...], delay_s: float, number: int) -> tuple[float, list[str], int]:
    """(seconds until clean, what was left or unreadable, how many processes it had)."""
    with own_folders() as (temporary, reports):
        watch = Watch(temporary)
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUTF8": "1"}
        child = subprocess.Popen(
            [HARNESS, *command, "--reports", str(reports), "--seed", str(number)],
            cwd=PROJECT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=delay_s)
        if child.poll() is not None:
            return 0.0, [f"ended by itself with {child.returncode} before it was killed"], 0
        before = watch.belongings(psutil.Process(child.pid))
        os.kill(child.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        child.wait()
        left = until_clean(watch, before)
        seconds = time.monotonic() - killed_at
        return seconds, [*left, *readable(reports)], len(before.processes)


def until_clean(watch: Watch, before: Belongings) -> list[str]:
    """What is left at the moment when nothing is, or when the waiting is given up."""
    deadline = time.monotonic() + GIVE_UP_S
    first_late: list[str] = []
    began = time.monotonic()
    while left := watch.left(before):
        if not first_late and time.monotonic() - began > LIMIT_S:
            first_late = [f"after {LIMIT_S:g} s: {item}" for item in left]
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL_S)
    return first_late


def readable(reports: Path) -> list[str]:
    """What is wrong with the run folder; a run killed before it had one left nothing to read."""
    problems = []
    registry = Registry.discover().with_tables(load_project(PROJECT).wing_tables(), PROJECT)
    for folder in reports.iterdir() if reports.exists() else ():
        if not (folder / "journal.jsonl").is_file() or not (folder / "journal.jsonl").read_bytes().count(b"\n"):
            continue  # killed between making the folder and the first event
        found = recheck(folder, None, registry)
        problems += [f"run folder: {item}" for item in found.problems if not item.startswith(EXPECTED)]
        if found.summary is None or found.summary.finished != "killed":
            problems.append(f"run folder: says {found.summary.finished if found.summary else 'nothing'} instead of killed")
    return problems


@contextlib.contextmanager
def own_folders() -> Iterator[tuple[Path, Path]]:
    """(temp folder, reports folder) of a trial; the temp folder may be passed through, as engines drop to users of their own."""
    folder = Path(tempfile.mkdtemp(prefix="bars-kill-"))
    folder.chmod(0o711)
    (folder / "tmp").mkdir(mode=0o711)
    (folder / "tmp").chmod(0o711)
    try:
        yield folder / "tmp", folder / "reports"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
