"""Broken scenarios, broken configuration and wrong arguments through the command line: exit 2, place, remedy, no traceback."""

from __future__ import annotations

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
REMEDIES: tuple[str, ...] = (
    "did you mean",
    "known:",
    "give ",
    "write ",
    "add ",
    "remove ",
    "one of",
    "wanted",
    "needed",
    "put ",
    "keep ",
    "check ",
    "use ",
    "rename ",
)
REMEDIES += (
    "later than",
    "smaller first",
    "flatten",
    "finite number",
    "the form is",
    "correct ",
    "start ",
    "run ",
    "see ",
    "choose ",
    "move ",
    "name ",
    "one scenario a file",
)

CONFIGURATIONS: dict[str, str] = {
    "not TOML": "[target\n",
    "unknown table": '[targets]\nservice = "a"\n',
    "unknown key": '[target]\nsrevice = "a"\n',
    "wrong type": "[target]\nservice = 3\n",
    "layer without a suite": "[layers.contract]\nrequired = true\n",
    "layers that are a text": 'layers = "contract"\n',
    "duration without a unit": '[topology]\nfile = "docker-compose.yml"\nstart_deadline = "90"\n[layers.a]\nsuite = "."\n',
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
    ("run", str(BROKEN / "01_unknown_key.yaml"), "--repeat", "two"),
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
        shop = shop_project(folder)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            names = sorted(path.name for path in BROKEN.glob("*.yaml"))
            for problems in pool.map(lambda name: list(broken_scenario(name, shop, reports)), names):
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


def shop_project(folder: Path) -> Path:
    """A project whose wings are those that the broken scenarios speak of, so that only what is meant to be wrong is wrong."""
    project = folder / "shop"
    project.mkdir()
    shutil.copy(BROKEN.parent.parent / "unit" / "scenario" / "conftest.py", project / "shop_wings.py")
    (project / "requirements.tsv").write_text(
        "id\tgroup\ttext\tthreshold\tevidence\nSHOP-1\tShop\tIt sells\t\texecuted\n", encoding="utf-8"
    )
    wings = '[wings.drivers]\nshop = "shop_wings:Shop"\ntrouble = "shop_wings:Trouble"\n[wings.checkers]\npicture = "shop_wings:Picture"\n'
    target = 'requirements = "requirements.tsv"\n[target]\nbase_url = "http://127.0.0.1:9"\n'
    (project / "harness.toml").write_text(target + wings, encoding="utf-8")
    return project


def broken_scenario(name: str, project: Path, reports: Path) -> Iterator[str]:
    """Every place that is expected to be named is named, with its message and remedy."""
    done = call("run", str(BROKEN / name), "--reports", str(reports), cwd=project, limit_s=LIMIT_S)
    yield from judge(f"scenario {name}", done)
    for line, message, remedy in expected(name):
        if not any(f"{name}:{line}" in said and message in said and remedy in said for said in done.stderr.splitlines()):
            yield f"scenario {name}: not said: {line}: {message}; {remedy}: {done.stderr[:200]}"


def expected(name: str) -> list[tuple[str, str, str]]:
    """(line, message, remedy or nearest word) of every error in that file."""
    lines = (BROKEN / "expected.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if line.startswith(f"{name}\t")]
    return [(line, message, remedy) for _, line, message, remedy in rows]


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
    yield from judge(f"harness {' '.join(arguments)}", call(*given, limit_s=LIMIT_S), remedy="usage:")


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
