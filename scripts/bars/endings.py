"""The bar ``endings``: signals at every phase of a run, of tests that obey and of tests that catch KeyboardInterrupt.

Each trial says: exit code, seconds from the last signal to the exit, whether a readable report is there, whether something new was
started after the signal, and what is left of the run (processes, ports, temporary folders with their secrets).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from scripts.bars import toy
from scripts.bars.leftovers import Belongings, Watch
from scripts.bars.support import HARNESS, OUTPUT, PROJECT, listed, result, say

LIMIT_S = 5.0
CLEAN_S = 5.0
REACH_S = 60.0
GIVE_UP_S = 20.0
BETWEEN_S = 0.7
WAYS = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT x3": (signal.SIGINT,) * 3,
    "SIGTERM": (signal.SIGTERM,),
    "SIGHUP": (signal.SIGHUP,),
    "SIGKILL": (signal.SIGKILL,),
}
STARTS = {"step.started", "trial.started", "layer.started"}
SLACK_S = 0.5  # a step that was at its turn when the signal came
REAL = (("e2e", 2.0), ("e2e", 12.0), ("load", 20.0), ("chaos", 18.0))


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One ending: what was done, and what came of it. ``problems`` is empty when all is as promised."""

    way: str
    phase: str
    tests: str
    code: int
    seconds: float
    clean_s: float
    verdict: str
    problems: tuple[str, ...]

    def line(self) -> str:
        head = f"{self.way:10} {self.phase:10} {self.tests:9} exit {self.code:4} after {self.seconds:5.2f} s, clean {self.clean_s:4.2f} s"
        return f"{head}, {self.verdict:8}" + (f"  PROBLEM: {'; '.join(self.problems)[:300]}" if self.problems else "")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--way", choices=WAYS, action="append")
    parser.add_argument("--phase", choices=toy.PHASES, action="append")
    parser.add_argument("--tests", choices=("obedient", "stubborn"), action="append")
    parser.add_argument("--real", action="store_true", help="also on the whole system")
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background, and so it would be by every child
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    trials: list[Trial] = []
    for way in options.way or WAYS:
        for phase in options.phase or toy.PHASES:
            for tests in options.tests or ("obedient", "stubborn"):
                trials.append(toy_trial(way, phase, tests))
                say(f"{len(trials):3} {trials[-1].line()}")
    for number, (layer, delay_s) in enumerate(REAL if options.real else ()):
        trials.append(real_trial(list(WAYS)[number % 4], layer, delay_s))
        say(f"{len(trials):3} {trials[-1].line()}")
    OUTPUT.mkdir(parents=True, exist_ok=True)
    (OUTPUT / "endings.json").write_text(json.dumps([dataclasses.asdict(trial) for trial in trials], indent=1), encoding="utf-8")
    problems = [f"{trial.way} {trial.phase} {trial.tests}: {item}" for trial in trials for item in trial.problems]
    slowest = max(trial.seconds for trial in trials)
    figure = f"{len(trials)} endings, slowest {slowest:.2f} s after the last signal, {len(problems)} problems"
    return result(figure, passed=not problems, detail=listed(problems))


def toy_trial(way: str, phase: str, tests: str) -> Trial:
    """One ending in the toy."""
    with folders() as (temporary, place):
        project = toy.make_toy(place / "toy", stubborn=tests == "stubborn")
        more = {toy.SLOW_START_S: "30"} if phase == "start" else {}
        variables = toy.environment(temporary, **more)
        watch = Watch(temporary)
        child = toy.start(project, ("verify", "--only", phase, "--seed", "1"), variables, stdout=subprocess.DEVNULL)
        with child:
            said = wait_for_phase(child, project, phase)
            if said:
                return Trial(way, phase, tests, child.returncode or 0, 0.0, 0.0, "none", (said,))
            return ended(child, watch, Trial(way, phase, tests, 0, 0.0, 0.0, "", ()), project, variables)


def wait_for_phase(child: subprocess.Popen[bytes], project: Path, phase: str) -> str:
    """Empty when the phase is reached, else what happened instead."""
    until = time.monotonic() + REACH_S
    while not toy.reached(project, phase):
        if child.poll() is not None or time.monotonic() > until:
            child.kill()
            words = child.communicate()[1].decode(errors="replace")[-300:]
            return f"the phase was not reached: {words}"
        time.sleep(0.05)
    time.sleep(0.3)
    return ""


def ended(child: subprocess.Popen[bytes], watch: Watch, trial: Trial, project: Path, variables: dict[str, str]) -> Trial:
    """Send the signals, wait for the exit, look at everything."""
    before = watch.belongings(psutil.Process(child.pid))
    (project / toy.NEXT).unlink(missing_ok=True)
    last, wall = time.monotonic(), dt.datetime.now(dt.UTC)
    for number, code in enumerate(WAYS[trial.way]):
        if number:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(BETWEEN_S)
        if child.poll() is not None:
            break
        child.send_signal(code)
        last = time.monotonic()
    try:
        words = child.communicate(timeout=GIVE_UP_S)[1].decode(errors="replace")
    except subprocess.TimeoutExpired:
        child.kill()
        words = child.communicate()[1].decode(errors="replace") + " (had to be killed)"
    seconds = time.monotonic() - last
    while (left := left_of(watch, before)) and time.monotonic() < last + seconds + CLEAN_S:
        time.sleep(0.05)
    clean_s = time.monotonic() - last - seconds
    verdict, unreadable = outcome(trial, project, variables)
    problems = [*(f"left: {item}" for item in left), *unreadable, *started_late(project, wall)]
    wanted = -signal.SIGKILL if trial.way == "SIGKILL" else 130
    if child.returncode != wanted:
        problems.append(f"exit {child.returncode} instead of {wanted}: {words[-200:]}")
    if seconds > LIMIT_S:
        problems.append(f"{seconds:.2f} s from the last signal to the exit")
    if "Traceback" in words:
        problems.append(f"a traceback: {words[-300:]}")
    return dataclasses.replace(trial, code=child.returncode, seconds=seconds, clean_s=clean_s, verdict=verdict, problems=tuple(problems))


def left_of(watch: Watch, before: Belongings) -> list[str]:
    """What is left of the run, but for the folder in which pytest keeps the ``tmp_path`` of its last three sessions."""
    return [item for item in watch.left(before) if not item.startswith("file pytest-of-")]


def outcome(trial: Trial, project: Path, variables: dict[str, str]) -> tuple[str, list[str]]:
    """The verdict that stands in the run folder (SIGKILL: in what ``harness report`` makes of it), and what is wrong there."""
    folder = toy.run_folder(project)
    if folder is None:
        return "no run", ["there is no run folder"]
    if trial.way == "SIGKILL":
        done = harness(project, variables, "report", str(folder))
        if done.returncode != 0:
            return "none", [f"harness report: exit {done.returncode}: {done.stderr[-300:]}"]
        folder = folder.with_name(folder.name + "-report")
    if not (folder / "summary.json").is_file():
        return "none", ["there is no summary.json"]
    verdict = str(json.loads((folder / "summary.json").read_bytes())["verdict"])
    complete = trial.way == "SIGKILL" and trial.phase in {"judging", "reporting"}  # its journal was: judged again, it passes
    problems = [] if verdict == ("PASS" if complete else "ABORTED") else [f"the verdict is {verdict}"]
    if not (folder / "report.html").is_file() or b"</html>" not in (folder / "report.html").read_bytes():
        problems.append("there is no whole report.html")
    checked = harness(project, variables, "recheck", str(folder))
    if checked.returncode != 0:
        problems.append(f"recheck: {checked.stdout[-200:]} {checked.stderr[-300:]}")
    return verdict, problems


def harness(project: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    (project / toy.JUDGED).unlink(missing_ok=True)  # the slow checker is slow from the second time on
    return subprocess.run(
        toy.command(*arguments), cwd=project, env=variables, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False
    )


def started_late(project: Path, wall: dt.datetime) -> Iterator[str]:
    """Tests, trials and steps that began after the first signal."""
    if (project / toy.NEXT).exists():
        yield "a further test was started"
    for line in toy.events(toy.run_folder(project)):
        if line["name"] in STARTS and (dt.datetime.fromisoformat(line["wall"]) - wall).total_seconds() > SLACK_S:
            yield f"{line['name']} {line['data'].get('step') or line['data'].get('layer')} after the signal"


def real_trial(way: str, layer: str, delay_s: float) -> Trial:
    """One ending on the whole system."""
    with folders() as (temporary, place):
        variables = {**os.environ, "TMPDIR": str(temporary)}
        watch = Watch(temporary)
        options: dict[str, Any] = {"cwd": PROJECT, "env": variables, "stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        arguments = [HARNESS, "verify", "--only", layer, "--seed", "1", "--reports", str(place / "reports")]
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, start_new_session=True, **options) as child:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=delay_s)
            if child.poll() is not None:
                return Trial(way, layer, f"{delay_s:g} s", child.returncode, 0.0, 0.0, "none", ("it ended before the signal",))
            return ended(child, watch, Trial(way, layer, f"{delay_s:g} s", 0, 0.0, 0.0, "", ()), place, variables)


@contextlib.contextmanager
def folders() -> Iterator[tuple[Path, Path]]:
    """(temp folder, place of the project); engines drop to users of their own, who may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="bars-ending-"))
    folder.chmod(0o711)
    (folder / "tmp").mkdir()
    (folder / "tmp").chmod(0o711)
    try:
        yield folder / "tmp", folder / "place"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(main())
