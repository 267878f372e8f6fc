"""The bar ``places``: a toy run in every legal place, locale and with every kind of output; each must end with its verdict.

Full disks are small tmpfs in a mount namespace of their own; where those are not allowed, these trials are left out and said to be.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.bars import toy
from scripts.bars.endings import folders
from scripts.bars.leftovers import Watch
from scripts.bars.support import listed, result, say

NAMES = (
    "umläute und Größe",
    'it\'s a "quoted" name',
    "back`tick $HOME",
    "semi;colon & and | pipe",
    "%percent {brace} %s",
    "[bracket]*?",
    "parrot 🦜 日本",
    "tab\there",
    "#hash !bang ~",
    "-dash",
    "back\\slash",
    "a=b,c:d",
)
LONG = (90, 107, 140, 255, 1000, 2500)  # bytes of the whole path
LOCALES = {
    "C": {"LC_ALL": "C"},
    "POSIX": {"LC_ALL": "POSIX", "LANG": ""},
    "C, no UTF-8 mode": {"LC_ALL": "C", "PYTHONUTF8": "0"},
    "C, no UTF-8 mode, no coercion": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a locale that is not there": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"},
    "no environment but PATH": {"LANG": "", "LC_ALL": "", "HOME": ""},
}
HOMES = ("/proc/1", "/nowhere/at all", "umläut home")
OUTPUTS = ("| head -0", "> /dev/full", ">&-", "2>&-", "<&- >&- 2>&-", "> /dev/full 2>&1")
FULL_KIB = (4, 40, 400)
TEST = """
import os, sys, urllib.request
def test_up(target, examined):
    \"\"\"Größe → 5 µm, in every locale.\"\"\"
    assert sys.getfilesystemencoding() == "utf-8"
    assert os.environ["PYTHONUTF8"] == "1"
    examined(len(urllib.request.urlopen(target.base_url + "/health", timeout=5).read()))
"""
MOUNT = 'mount -t tmpfs -o size="$1"k none "$2" && shift 2 && exec "$@"'
Problems = list[str]


def main() -> int:
    problems: Problems = []
    done = 0
    for kind, name, trial in trials():
        began = time.monotonic()
        found = trial()
        done += 1
        say(f"{done:3} {kind:10} {name:40.40} {time.monotonic() - began:5.1f} s  {'; '.join(found)[:300] or 'as promised'}")
        problems += [f"{kind} {name}: {item}" for item in found]
    left_out = "" if may_mount() else "; full disks left out: no mount namespaces here"
    return result(f"{done} trials, {len(problems)} problems{left_out}", passed=not problems, detail=listed(problems))


def trials() -> Iterator[tuple[str, str, Callable[[], Problems]]]:
    for name in NAMES:
        yield "project", name, lambda name=name: passes(project=name)
        yield "TMPDIR", name, lambda name=name: passes(temporary=name)
        yield "reports", name, lambda name=name: passes(reports=name)
    for length in LONG:
        yield "project", f"{length} bytes", lambda length=length: passes(project=f"={length}")
        yield "TMPDIR", f"{length} bytes", lambda length=length: passes(temporary=f"={length}")
        yield "reports", f"{length} bytes", lambda length=length: passes(reports=f"={length}")
    for name, variables in LOCALES.items():
        yield "locale", name, lambda variables=variables: passes(project="umläut", temporary="tmp ä", variables=variables)
    for home in HOMES:
        yield "HOME", home, lambda home=home: passes(variables={"HOME": home, "XDG_CACHE_HOME": ""})
    for output in OUTPUTS:
        yield "output", output, lambda output=output: passes(output=output)
    for kib in FULL_KIB if may_mount() else ():
        yield "full", f"reports of {kib} KiB", lambda kib=kib: full(kib, "reports")
        yield "full", f"TMPDIR of {kib} KiB", lambda kib=kib: full(kib, "tmp")


def place(base: Path, name: str) -> Path:
    """``base/name``; ``=N``: a path of N bytes below it."""
    if not name.startswith("="):
        return base / name
    path, wanted = base, int(name[1:])
    while (missing := wanted - len(os.fsencode(path)) - 1) > 0:
        path = path / ("l" * min(missing, 200) if missing != 201 else "l" * 100)
    return path


def passes(
    project: str = "p", temporary: str = "t", reports: str = "", output: str = "", variables: dict[str, str] | None = None
) -> Problems:
    """What is wrong with a run there; it has to PASS and to leave nothing."""
    with folders() as (outer, base):
        folder, own = make(place(base, project)), place(outer, temporary)
        own.mkdir(parents=True, exist_ok=True)
        where = place(base / "r", reports) if reports else folder / "reports"
        environment = toy.environment(own, **(variables or {}))
        command = [*toy.command("verify", "--only", "test", "--seed", "1", "--json"), "--reports", str(where)]
        if output:
            command = ["sh", "-c", f'"$@" {output}; ' if "|" not in output else f'{{ "$@"; echo $? > code; }} {output}', "sh", *command]
        watch = Watch(own)
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        code = int((folder / "code").read_text()) if "|" in output else done.returncode
        words = done.stderr.decode(errors="replace")
        problems = [f"exit {code}: {words[-300:]}"] if code != 0 else []
        problems += ["a traceback"] if "Traceback" in words else []
        if not (where / "latest" / "summary.json").is_file():
            return [*problems, "no summary in latest"]
        if json.loads((where / "latest" / "summary.json").read_bytes())["verdict"] != "PASS":
            problems.append("no PASS")
        return [*problems, *left_in(watch)]


def full(kib: int, which: str) -> Problems:
    """A disk that is full: a clear exit, the path said, no secret, no ``latest`` on a torn run, no traceback."""
    with folders() as (outer, base):
        folder = make(base / "p")
        disk = folder / "reports" if which == "reports" else outer / "t"
        disk.mkdir()
        environment = toy.environment(disk if which == "tmp" else outer)
        script = MOUNT.replace(' && exec "$@"', '; "$@"; code=$?; find "$KEEP" | sort; exit $code')
        command = ["unshare", "-m", "sh", "-c", script, "sh", str(kib), str(disk), *toy.command("verify", "--only", "test", "--seed", "1")]
        environment["KEEP"] = str(disk)
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False)
        words, listing = done.stderr.decode(errors="replace"), done.stdout.decode(errors="replace")
        if done.returncode == 0:
            return [] if "/latest" in listing or which == "tmp" else ["exit 0 without a report"]
        problems = [] if done.returncode in {2, 3, 4, 5} else [f"exit {done.returncode}: {words[-300:]}"]
        problems += [f"a traceback: {words[-400:]}"] if "Traceback" in words else []
        problems += [] if str(disk) in words + listing_of(listing) else [f"the path is not said: {words[-300:]}"]
        problems += ["a secret is left"] if "secrets" in listing else []
        problems += ["latest leads to a torn run"] if which == "reports" and "/latest" in listing else []
        return problems


def listing_of(listing: str) -> str:
    """The part of stdout that the run wrote itself."""
    return "\n".join(line for line in listing.splitlines() if not line.startswith("/"))


def make(folder: Path) -> Path:
    toy.make_toy(folder)
    (folder / "suites" / "test" / "test_test.py").write_text(TEST, encoding="utf-8")
    return folder


def left_in(watch: Watch) -> Problems:
    """Processes and folders that are still there after a short while."""
    until = time.monotonic() + 3.0
    while (left := list(watch.remaining())) and time.monotonic() < until:
        time.sleep(0.05)
    return [f"left: {item}" for item in left]


def may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        command = ["unshare", "-m", "sh", "-c", MOUNT, "sh", "64", folder, "true"]
        try:
            return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
        except OSError:
            return False


if __name__ == "__main__":
    sys.exit(main())
