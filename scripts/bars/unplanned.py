"""The bar ``unplanned``: in each phase of a run something falls that no plan knows of; how soon it is seen, and what is left.

A small project (the example of a foreign system) is judged by ``harness verify`` in a process of its own: while it starts, while a test
waits, under load, and at the very end the supervisor or the service is killed or stopped from outside. Each trial must end within ten
seconds of the fall, say FAIL with the cause, exit with 1, and leave no process, port or folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import getpass
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from scripts.bars.leftovers import Watch
from scripts.bars.sigkill import own_folders
from scripts.bars.support import HARNESS, PROJECT, listed, result, say

SEEN_LIMIT_S = 10.0
ENDED_LIMIT_S = 25.0  # of the whole rest: teardown, judging, reports, on a busy machine
POLL_S = 0.05
WAIT_S = 60.0
PHASES = ("start", "suite", "load", "teardown")
FALLS = {
    "supervisor killed": ("supervisor", signal.SIGKILL),
    "supervisor stopped": ("supervisor", signal.SIGSTOP),
    "service killed": ("notes", signal.SIGKILL),
    "service stopped": ("notes", signal.SIGSTOP),
}
WAITING = "import pathlib, threading\ndef test_waits(target):\n    pathlib.Path('now').touch()\n    threading.Event().wait(90)\n"
LAST = (
    "import os\ndef test_last(stack):\n    at = stack._stack.info.supervisor_pid if 'WHO' == 'supervisor' else stack.services()[0].pid\n"
    "    open('fell', 'w').close()\n    os.kill(at, NUMBER)\n"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """One trial: seconds from the fall to its being seen, and to the end of ``harness``; negative where that never was."""

    seen_s: float
    ended_s: float
    code: int
    verdict: str
    cause: str
    left: tuple[str, ...]

    def problems(self) -> list[str]:
        """What is wrong with it, a sentence each."""
        found = []
        if (self.verdict, self.code) != ("FAIL", 1):
            found.append(f"{self.verdict}, exit {self.code}, instead of FAIL, exit 1")
        if not 0 <= self.seen_s <= SEEN_LIMIT_S:
            found.append(f"seen after {self.seen_s:.1f} s")
        if not 0 <= self.ended_s <= ENDED_LIMIT_S:
            found.append(f"ended after {self.ended_s:.1f} s")
        return [*found, *self.left]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--phase", action="append", choices=PHASES, default=[])
    options = parser.parse_args()
    slowest, problems, trials = 0.0, [], 0
    for phase in options.phase or PHASES:
        for fall in FALLS:
            outcome = trial(phase, fall)
            trials += 1
            slowest = max(slowest, outcome.seen_s)
            wrong = outcome.problems()
            left = len(outcome.left)
            figures = f"seen {outcome.seen_s:5.1f} s  ended {outcome.ended_s:5.1f} s  exit {outcome.code}  {outcome.verdict:8} left {left}"
            say(f"{phase:9} {fall:19} {figures}  {outcome.cause[:80]}" + (f"  WRONG: {'; '.join(wrong)[:200]}" if wrong else ""))
            problems += [f"{phase}, {fall}: {item}" for item in wrong]
    figure = f"{trials} trials, slowest seen after {slowest:.1f} s; {len(problems)} problems"
    return result(figure, passed=not problems, detail=listed(problems))


def trial(phase: str, fall: str) -> Outcome:
    """Run the project, let it fall in that phase, and look at the end."""
    who, number = FALLS[fall]
    with own_folders() as (temporary, reports):
        watch = Watch(temporary)
        folder = project(reports.parent / "project", phase, who, number)
        environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUTF8": "1"}
        child = subprocess.Popen(
            [HARNESS, "verify", "--reports", str(reports)],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        before = watch.belongings(psutil.Process(child.pid))
        fell = time.monotonic() if _let_fall(child, folder, temporary, reports, phase, who, number) else float("nan")
        seen: list[float] = []
        looking = threading.Thread(target=_look, args=(child, reports, seen))
        looking.start()
        try:
            child.wait(timeout=WAIT_S + ENDED_LIMIT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        ended = time.monotonic()
        looking.join()
        verdict, cause = judged(reports)
        shutil.rmtree(temporary / f"pytest-of-{getpass.getuser()}", ignore_errors=True)  # pytest keeps its own, on purpose
        _until(lambda: not watch.left(before), 5.0)
        seen_s = seen[0] - fell if seen else -1.0
        return Outcome(seen_s, ended - fell, child.returncode, verdict, cause, tuple(watch.left(before)))


def project(folder: Path, phase: str, who: str, number: int) -> Path:
    """The example with one layer that is at work in this phase."""
    shutil.copytree(PROJECT / "examples" / "foreign", folder, ignore=shutil.ignore_patterns("reports"))
    text = (folder / "harness.toml").read_text(encoding="utf-8")
    head, tail = text.split("[layers.contract]")[0], "[contract]" + text.split("[contract]", 1)[1]
    suite = "package:load" if phase == "load" else "mine"
    layers = f'[layers.{"load" if phase == "load" else "mine"}]\nsuite = "{suite}"\nrequired = true\n\n'
    text = (head + layers + tail).replace('duration = "12 s"', 'duration = "60 s"').replace('"30 s"', '"60 s"')
    (folder / "harness.toml").write_text(text, encoding="utf-8")
    (folder / "mine").mkdir()
    test = LAST.replace("WHO", who).replace("NUMBER", str(int(number))) if phase == "teardown" else WAITING
    (folder / "mine" / "test_mine.py").write_text(test, encoding="utf-8")
    compose = folder / "docker-compose.yml"  # nothing brings the service back: who waits for it would wait in vain
    compose.write_text(compose.read_text(encoding="utf-8").replace("restart: always", 'restart: "no"'), encoding="utf-8")
    if phase == "start":
        service = folder / "service.py"
        slow = service.read_text(encoding="utf-8").replace("import threading\n", "import threading\nthreading.Event().wait(45)\n", 1)
        service.write_text(slow, encoding="utf-8")
        text = (
            compose.read_text(encoding="utf-8")
            .replace("start_period: 20s", "start_period: 60s")
            .replace("restart: always", 'restart: "no"')
        )
        compose.write_text(text, encoding="utf-8")
    return folder


def _let_fall(child: subprocess.Popen[bytes], folder: Path, temporary: Path, reports: Path, phase: str, who: str, number: int) -> bool:
    """Wait for the phase, then send the signal; at the end the last test does that itself."""
    if phase == "teardown":
        return bool(_until(lambda: (folder / "fell").exists() or child.poll() is not None, WAIT_S))
    there: dict[str, Callable[[], bool]] = {
        "start": lambda: bool(_pid(temporary, "notes")),
        "suite": (folder / "now").exists,
        "load": lambda: any(reports.glob("*/segments/*")),
    }
    if not _until(lambda: there[phase]() or child.poll() is not None, WAIT_S) or child.poll() is not None:
        return False
    pid = _pid(temporary, who)
    if pid:
        os.kill(pid, number)
    return bool(pid)


def _pid(temporary: Path, who: str) -> int:
    """The pid of the service, or of the supervisor, of the one stack in this temp folder; 0 while there is none."""
    for place in temporary.glob("eh-*/stack.json"):
        try:
            supervisor = int(json.loads(place.read_text(encoding="utf-8"))["supervisor_pid"])
            if who == "supervisor":
                return supervisor
            return next((process.pid for process in psutil.Process(supervisor).children()), 0)
        except (OSError, ValueError, psutil.Error):
            continue
    return 0


def _look(child: subprocess.Popen[bytes], reports: Path, seen: list[float]) -> None:
    """When the journal first says that something fell."""
    needles = (b'"stack.lost"', b'"service.hung"', b'"service.exited"', b'"the system comes up"')
    while child.poll() is None and not seen:
        for journal in reports.glob("*/journal.jsonl"):
            if any(needle in journal.read_bytes() for needle in needles):
                seen.append(time.monotonic())
                break
        time.sleep(POLL_S)


def judged(reports: Path) -> tuple[str, str]:
    """The verdict of the run and the first row of the layer ``system`` that is not PASS."""
    for path in reports.glob("*/summary.json"):
        summary = json.loads(path.read_bytes())
        wrong = [row for row in summary["rows"] if row["layer"] == "system" and row["verdict"] != "PASS"]
        cause = " ".join(f"{row['check']}: {row['value']} {row['reason']}" for row in wrong[:1])
        return str(summary["verdict"]), " ".join(cause.split())
    return "none", "no summary"


def _until(condition: Callable[[], bool], limit_s: float) -> bool:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


if __name__ == "__main__":
    raise SystemExit(main())
