"""The bar ``foreign``: the wheel, installed outside the repository, judges a service it knows nothing of; and goes red on its defects."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

from scripts.bars.support import PROJECT, listed, result, say, scratch

LAYERS = ("contract", "load", "kill")
# name, layer that must go red, file, what is replaced, by what
DEFECTS: tuple[tuple[str, str, str, str, str], ...] = (
    (
        "a note is taken without a key",
        "contract",
        "service.py",
        "if role is None:\n            return self.problem(401",
        'if role is None and self.command == "GET":\n            return self.problem(401',
    ),
    ("every write waits 300 ms behind the others", "load", "service.py", "os.fsync(stream.fileno())", "threading.Event().wait(0.3)"),
    (
        "it takes 12 s to come up where notes are kept",
        "kill",
        "service.py",
        "NOTES = [json.loads",
        "FILE.exists() and threading.Event().wait(12)\nNOTES = [json.loads",
    ),
)


def main() -> int:
    with scratch() as folder:
        try:
            harness = install(folder)
        except subprocess.CalledProcessError as error:
            return result("the wheel could not be built or installed", passed=None, detail=f"{error.cmd}: {error.stdout}"[-2500:])
        return judge(harness, folder)


def install(folder: Path) -> Path:
    """Build the wheel, install it with its dependencies into a new environment; the harness command there."""
    began = time.monotonic()
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")], PROJECT)
    wheel = next((folder / "dist").glob("*.whl"))
    say(f"{wheel.name}: {wheel.stat().st_size // 1024} KiB after {time.monotonic() - began:.0f} s")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    run([str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", str(wheel)], folder)
    where = run([str(python), "-I", "-c", "import harness, importlib.util as u; print(harness.__file__, u.find_spec('system'))"], folder)
    say(f"installed after {time.monotonic() - began:.0f} s: {where.strip()}")
    if str(PROJECT) in where or not where.strip().endswith("None"):
        raise subprocess.CalledProcessError(1, "import", f"the installed package is not on its own: {where}")
    return folder / "venv" / "bin" / "harness"


def run(command: list[str], cwd: Path) -> str:
    """Output of a command that must succeed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command, cwd=cwd, env=environment, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900
    ).stdout


def judge(harness: Path, folder: Path) -> int:
    """As it is, all layers PASS; with each defect, the layer concerned is red."""
    problems = []
    code, summary = verify(harness, service(folder / "as it is"), LAYERS)
    passed = {layer["layer"]: layer["verdict"] for layer in summary.get("layers", [])}
    say(f"as it is: exit {code}, {passed}")
    if code != 0 or passed != dict.fromkeys(LAYERS, "PASS"):
        problems.append(f"as it is: exit {code}, {passed}: {reasons(summary)}")
    red = 0
    for name, layer, file, old, new in DEFECTS:
        place = service(folder / name)
        text = (place / file).read_text(encoding="utf-8")
        if old not in text:
            problems.append(f"{name}: {file} does not hold {old!r} any more")
            continue
        (place / file).write_text(text.replace(old, new), encoding="utf-8")
        code, summary = verify(harness, place, (layer,))
        say(f"{name}: {layer} exit {code}: {reasons(summary)[:160]}")
        red += code == 1
        if code != 1:
            problems.append(f"{name}: exit {code} instead of 1: {reasons(summary)}")
    figure = f"{', '.join(f'{layer} {passed.get(layer)}' for layer in LAYERS)}; {red} of {len(DEFECTS)} defects red"
    return result(figure, passed=not problems, detail=listed(problems))


def service(place: Path) -> Path:
    shutil.copytree(PROJECT / "examples" / "foreign", place, ignore=shutil.ignore_patterns("reports", "__pycache__"))
    return place


def verify(harness: Path, place: Path, layers: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """Exit code and summary; nothing of the repository is within reach."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH" and not name.startswith(("HARNESS_", "EH_"))}
    chosen = [part for layer in layers for part in ("--only", layer)]
    done = subprocess.run(
        [str(harness), "verify", *chosen, "--seed", "1", "--json"],
        cwd=place,
        env=environment,
        capture_output=True,
        timeout=600,
        check=False,
    )
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        return done.returncode, {"rows": [{"check": "output", "verdict": "none", "reason": done.stderr.decode(errors="replace")[-800:]}]}


def reasons(summary: dict[str, Any]) -> str:
    """Checks that are not PASS, with their reasons."""
    rows = [row for row in summary.get("rows", []) if row["verdict"] != "PASS"]
    return "; ".join(f"{row['check']}: {row['verdict']} {row.get('value', '')} {row['reason']}"[:200] for row in rows[:4]) or "all PASS"


if __name__ == "__main__":
    raise SystemExit(main())
