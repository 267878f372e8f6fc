"""What a start failed for: the machine lacks something (BLOCKED), or the system does not boot (FAIL, the default).

Only what can be shown counts as the machine's: a program outside of the project that is not there, a Python package that is not installed
and no part of the project, a kill by the kernel for want of memory, or the service's own word, exit code 69.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

UNAVAILABLE = 69  # EX_UNAVAILABLE of sysexits.h: how a service says that the machine lacks what it needs
_MODULE = re.compile(r"No module named '?([A-Za-z_]\w*)[\w.]*'?\)?(; .*)?\s*$")
_COUNTERS = (Path("/sys/fs/cgroup/memory.events"), Path("/proc/vmstat"))


def absent_program(program: str, project: Path, path: str) -> str:
    """Why ``program`` cannot be executed, where that is the machine's doing; empty otherwise."""
    if Path(program).is_absolute() or "/" in program:
        place = project / program
        inside = place.resolve().is_relative_to(project.resolve())
        return "" if inside or place.exists() else f"the program {program} is not installed on this machine"
    return "" if shutil.which(program, path=path) else f"the program {program!r} is not installed on this machine"


def lack(code: int, last_lines: str, project: Path, oom_before: int) -> str:
    """What the machine lacks, by the exit of a service; empty where the exit says nothing of that."""
    last = last_lines.rstrip().rpartition("\n")[2]
    if code == UNAVAILABLE:
        return f"the service says that this machine lacks something: {last or 'it left no word'}"
    if code == -9 and oom_kills() > oom_before:
        return "the kernel killed the service: this machine has too little memory"
    if code > 0 and (found := _MODULE.search(last)) and not _part_of(project, found[1]):
        return f"the Python package {found[1]!r} is not installed on this machine"
    return ""


def oom_kills() -> int:
    """How often the kernel has killed for want of memory, in this cgroup or on this machine; 0 where it does not say."""
    total = 0
    for counter in _COUNTERS:
        with contextlib.suppress(OSError, ValueError):
            words = dict(line.split()[:2] for line in counter.read_text(encoding="ascii").splitlines() if " " in line)
            total += int(words.get("oom_kill", 0))
    return total


def _part_of(project: Path, name: str) -> bool:
    return (project / name).is_dir() or (project / f"{name}.py").is_file()
