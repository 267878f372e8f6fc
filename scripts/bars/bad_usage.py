"""Broken scenarios, broken configuration and wrong arguments through the command line: exit 2, place, remedy, no traceback."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.bars.support import PROJECT, call, say, scratch

BROKEN = PROJECT / "suites" / "fixtures" / "scenarios_broken"
AT_ONCE = 2
LIMIT_S = 60.0
REMEDIES = ("did you mean", "known:", "give ", "write ", "add ", "remove ", "one of", "wanted", "needed", "put ", "keep ", "check ", "use ", "rename ")
REMEDIES += ("later than", "smaller first", "flatten", "finite number", "the form is", "correct ", "start ", "run ", "see ", "choose ", "move ", "name ")

CONFIGURATIONS: dict[str, str] = {
    "not TOML": "[target\n",
    "unknown table": '[targets]\nservice = "a"\n',
    "unknown key": '[target]\nsrevice = "a"\n',
    "wrong type": "[target]\nservice = 3\n",
    "layer without a suite": "[layers.contract]\nrequired = true\n",
    "layers that are a text": 'layers = "contract"\n',
    "duration without a unit": '[target]\nservice = "a"\n[topology]\nfile = "docker-compose.yml"\nstart_deadline = "90"\n[layers.a]\nsuite = "b"\n',
    "topology that is not there": '[target]\nservice = "a"\n[topology]\nfile = "nowhere.yml"\n[layers.a]\nsuite = "."\n',
    "suite that is not there": '[target]\nbase_url = "http://127.0.0.1:9"\n[layers.a]\nsuite = "nowhere"\n',
    "key twice": "[target]\n[target]\n",
    "NUL": "[target]\x00\n",
}
ARGUMENTS: tuple[tuple[str, ...], ...] = (
    ("verfiy",),
    ("--nonsense",),
    ("verify", "--only", "lod"),
    ("verify", "--seed", "many"),
    ("verify", "--profile", "embeded", "--only", "shacl"),
    ("run",),
    ("run", "scenarios/nowhere.yaml"),
    ("run", "scenarios"),
    ("run", "scenarios/crash_ingest.yaml", "--repeat", "0"),
    ("run", "README.md"),
    ("recheck", "."),
    ("recheck", "nowhere"),
    ("evaluate", "retrieval", "nowhere"),
    ("shacl", "nowhere.ttl", "nowhere.ttl"),
    ("down", "no-such-stack"),
    ("report", "nowhere"),
)


@dataclasses.dataclass(slots=True)
class Usage:
    """How many of each were tried, and what was wrong."""

    scenarios: int = 0
    other: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


def check() -> Usage:
    """All three kinds."""
    usage = Usage()
    with scratch() as folder:
        reports = folder / "reports"
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = sorted(path.name for path in BROKEN.glob("*.yaml"))
            for problems in pool.map(lambda name: list(broken_scenario(name, reports)), names):
                usage.problems += problems
            usage.scenarios = len(names)
            say(f"{usage.scenarios} broken scenarios, {len(usage.problems)} problems")
            configured = pool.map(lambda item: list(broken_configuration(item[0], item[1], folder)), CONFIGURATIONS.items())
            given = pool.map(lambda arguments: list(wrong_arguments(arguments, reports)), ARGUMENTS)
            usage.problems += [problem for problems in (*configured, *given) for problem in problems]
        usage.other = len(CONFIGURATIONS) + len(ARGUMENTS)
        usage.problems += half_made(reports)
    say(f"{usage.other} configurations and command lines, {len(usage.problems)} problems in all")
    return usage


def broken_scenario(name: str, reports: Path) -> Iterator[str]:
    """The file and a line that is expected to be named are named, with a remedy."""
    lines = expected_lines(name)
    done = call("run", str(BROKEN / name), "--reports", str(reports), limit_s=LIMIT_S)
    yield from judge(f"scenario {name}", done)
    if not any(f"{name}:{line}" in done.stderr for line in lines):
        yield f"scenario {name}: none of the lines {lines} is named: {done.stderr[:200]}"


def expected_lines(name: str) -> list[str]:
    with (BROKEN / "expected.tsv").open(encoding="utf-8", newline="") as stream:
        return [row[1] for row in csv.reader(stream, delimiter="\t") if row and row[0] == name]


def broken_configuration(name: str, content: str, folder: Path) -> Iterator[str]:
    """A project whose harness.toml is wrong names that file."""
    place = folder / f"project {name}"
    place.mkdir()
    (place / "harness.toml").write_text(content, encoding="utf-8")
    done = call("verify", cwd=place, limit_s=LIMIT_S)
    yield from judge(f"harness.toml, {name}", done)
    if "harness.toml" not in done.stderr and "nowhere" not in done.stderr:
        yield f"harness.toml, {name}: the file is not named: {done.stderr[:200]}"
    yield from half_made(place / "reports")
    shutil.rmtree(place)


def wrong_arguments(arguments: tuple[str, ...], reports: Path) -> Iterator[str]:
    given = [*arguments, *(("--reports", str(reports)) if arguments[0] in {"run", "verify"} else ())]
    yield from judge(f"harness {' '.join(arguments)}", call(*given, limit_s=LIMIT_S), remedy="usage:" )


def judge(what: str, done: subprocess.CompletedProcess[str], remedy: str = "") -> Iterator[str]:
    """Exit 2 with one message: no traceback, no control character, and what to do."""
    if done.returncode != 2:
        yield f"{what}: exit {done.returncode} instead of 2: {(done.stderr or done.stdout).strip()[-200:]}"
    said = done.stderr
    if "Traceback" in said or 'File "' in said:
        yield f"{what}: a traceback: {said.strip()[-200:]}"
    if not said.strip():
        yield f"{what}: says nothing on stderr"
    elif not any(word in said for word in REMEDIES) and not (remedy and remedy in said):
        yield f"{what}: names no remedy: {said.strip()[:200]}"


def half_made(reports: Path) -> Iterator[str]:
    """Run folders that were begun and not finished; a finished one that says so is no harm."""
    for folder in sorted(reports.iterdir()) if reports.is_dir() else ():
        if folder.is_dir() and not folder.is_symlink() and not (folder / "manifest.json").is_file():
            yield f"a run folder was left half made: {folder.name}: {sorted(path.name for path in folder.iterdir())}"
