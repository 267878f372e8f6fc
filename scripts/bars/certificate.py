"""The bar ``certificate``: our engine's figures are true or declared invalid, liars are rejected, on an idle machine and on a busy one.

Four parts, each by the command a user has: ``--part truth`` (10 runs of 30 s at 1,000/s, 2 s stall: >= 8 valid, the others
self-declared), ``liars`` (all six, 10 times), ``lag`` (10,000/s, median of 3 runs), ``burning`` (a process burns each core meanwhile).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from scripts.bars.support import OUTPUT, call, listed, result, say

RUNS, VALID_MIN = 10, 8
LIARS = 6
LAG_LIMIT_MS, LAG_RUNS = 1.0, 3
BURNING_RUNS = 4
BURNING = ("--duration", "15s", "--rate", "1000", "--stall", "2s")
ORDINARY = ("setpriv", "--bounding-set", "-sys_nice", "--inh-caps", "-sys_nice") if os.geteuid() == 0 else ()
REPORTS = OUTPUT / "certificates"
Certificate = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """What a part of the bar gave."""

    figure: str
    problems: tuple[str, ...]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", choices=tuple(PARTS), default="")
    chosen = parser.parse_args().part
    found = []
    for name, part in PARTS.items():
        if chosen in {"", name}:
            found.append(part())
            say(f"{name}: {found[-1].figure}{'' if not found[-1].problems else '  PROBLEMS: ' + '; '.join(found[-1].problems)[:600]}")
    problems = [problem for part in found for problem in part.problems]
    return result("; ".join(part.figure for part in found), passed=not problems, detail=listed(problems))


def certificates(*arguments: str, limit_s: float, before: Sequence[str] = ()) -> list[Certificate]:
    """Run ``harness certify``; what it said of every trial."""
    done = call("certify", "--json", "--reports", str(REPORTS), *arguments, limit_s=limit_s, before=before)
    try:
        said: list[Certificate] = json.loads(done.stdout)["certificates"]
    except (ValueError, KeyError):
        raise SystemExit(f"harness certify {' '.join(arguments)}: exit {done.returncode}\n{done.stderr[-2000:]}") from None
    for one in said:
        say(f"  {one['trial']:32} {one['standing']:22} {one['declared'][:160]}")
    return said


def counted(said: list[Certificate]) -> Counter[str]:
    return Counter(str(one["standing"]) for one in said)


def truth() -> Part:
    """1,000/s for 30 s, the server frozen for 2 s."""
    said = certificates("--duration", "30s", "--rate", "1000", "--stall", "2s", "--repeat", str(RUNS), limit_s=RUNS * 90.0)
    counts = counted(said)
    problems = lies(said, RUNS)
    if counts["valid"] < VALID_MIN:
        problems.append(f"{counts['valid']} of {RUNS} runs are valid, {VALID_MIN} wanted")
    worst = worst_errors(said)
    return Part(
        f"{counts['valid']} of {RUNS} valid, {counts['self-declared invalid']} self-declared, {counts['lying']} lying; "
        f"worst error of the valid: p50 {worst['p50']:.2f}, p99 {worst['p99']:.2f}, max {worst['max']:.2f} ms",
        tuple(problems),
    )


def worst_errors(said: list[Certificate]) -> dict[str, float]:
    """The largest departure from the truth among the valid ones, by figure, ms."""
    valid = [one["figures"] for one in said if one["standing"] == "valid"]
    return {name: max((abs(figures[name]["error_ms"]) for figures in valid), default=float("nan")) for name in ("p50", "p99", "max")}


def lies(said: list[Certificate], wanted: int) -> list[str]:
    """Every wrong figure, and every certificate that was not made."""
    problems = [f"{one['trial']} lied: {'; '.join(one['departures'])}" for one in said if one["standing"] == "lying"]
    return problems if len(said) == wanted else [*problems, f"{len(said)} certificates were made, {wanted} wanted"]


def liars() -> Part:
    """The gallery against a stall of 2 s: every one every time."""
    said = certificates(
        "--gallery", "--duration", "8s", "--rate", "1000", "--stall", "2s", "--repeat", str(RUNS), limit_s=RUNS * LIARS * 40.0
    )
    rejected = Counter(str(one["engine"]) for one in said if one["standing"] == "lying")
    problems = [f"{name} was rejected {rejected[name]} of {RUNS} times" for name in rejected if rejected[name] != RUNS]
    problems += [f"{one['trial']} was believed" for one in said if one["standing"] != "lying"]
    if len(rejected) != LIARS:
        problems.append(f"{len(rejected)} kinds of liars were rejected, {LIARS} wanted")
    return Part(f"liars rejected {sum(rejected.values())} of {RUNS * LIARS}", tuple(problems))


def lag() -> Part:
    """10,000/s without a stall: how late requests are sent."""
    said = certificates("--duration", "10s", "--rate", "10000", "--stall", "0s", "--repeat", str(LAG_RUNS), limit_s=LAG_RUNS * 60.0)
    measured = [float(one["lag_p99_ms"]) for one in said if one["lag_p99_ms"] is not None]
    median = statistics.median(measured) if measured else float("inf")
    problems = lies(said, LAG_RUNS)
    if median > LAG_LIMIT_MS:
        problems.append(
            f"lag p99 at 10,000/s is {median:.3f} ms (median of {[round(one, 3) for one in measured]}), limit {LAG_LIMIT_MS} ms"
        )
    return Part(f"lag p99 {median:.3f} ms at 10,000/s (median of {len(measured)}, limit {LAG_LIMIT_MS:g})", tuple(problems))


def burning() -> Part:
    """The first part, shorter, while every core is burnt: as shipped, and at ordinary priority, where the canary has to notice."""
    figures, problems, noticed = [], [], 0
    for name, before in (("as shipped", ()), ("at ordinary priority", ORDINARY)):
        with burners():
            said = certificates(*BURNING, "--repeat", str(BURNING_RUNS), limit_s=BURNING_RUNS * 90.0, before=before)
        counts = counted(said)
        noticed = sum("canary" in one["declared"] for one in said)
        problems += lies(said, BURNING_RUNS)
        valid, declared, lying = counts["valid"], counts["self-declared invalid"], counts["lying"]
        figures.append(f"{name} {valid} valid, {declared} self-declared ({noticed} by the canary), {lying} lying")
    if not noticed:
        problems.append("the canary noticed nothing at ordinary priority")
    return Part(f"both cores burning, {BURNING_RUNS} runs each: {'; '.join(figures)}", tuple(problems))


@contextlib.contextmanager
def burners() -> Iterator[None]:
    """One busy process a core, ended with the block (and by themselves when this process is gone)."""
    source = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100_000))"
    started = [subprocess.Popen([sys.executable, "-c", source]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


PARTS: Mapping[str, Callable[[], Part]] = {"truth": truth, "liars": liars, "lag": lag, "burning": burning}


if __name__ == "__main__":
    raise SystemExit(main())
