"""``harness gate``: two systems measured in turn until it is known whether B regressed. Exit 0: no, 1: yes, 4: cannot tell."""

from __future__ import annotations

import argparse
import os
import shlex
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from harness.cli.compare import as_json, percent, tag_pairs
from harness.cli.comparison_table import print_decision
from harness.cli.parser import seed_number
from harness.core.errors import UsageError
from harness.core.seeds import fresh_seed
from harness.core.text import clean
from harness.core.units import Duration
from harness.load.compare.boundaries import LOOKS, ROUNDS_MAX
from harness.load.compare.control import NAME, timed_work
from harness.load.compare.gate import LIMIT_S, GatePlan, Machine, Measure, run_gate
from harness.load.compare.measure import Addresses, Commands, work_folder
from harness.load.compare.recording import UNITS
from harness.load.compare.sequential import Question
from harness.load.compare.two import DECIDABLE
from harness.load.publish.pages import write_page
from harness.run.project import Project, load_project

INTERNAL, COMPETITIVE = 0.05, 0.10
RUN = "{python} -m harness.cli.main run %s --reports {out}"


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    sides = parser.add_argument_group("the two sides: A is the one to hold, B the one to judge; one pair of")
    for side in "ab":
        sides.add_argument(f"--command-{side}", default="", metavar="COMMAND", help="any command that writes its samples to {out}")
        sides.add_argument(f"--url-{side}", default="", metavar="URL", help="loopback address, loaded open-loop")
        sides.add_argument(f"--scenario-{side}", default="", metavar="SCENARIO", help="run with `harness run`")
    gates = parser.add_mutually_exclusive_group()
    gates.add_argument("--internal", action="store_true", help="gate 5 %% (default)")
    gates.add_argument("--competitive", action="store_true", help="gate 10 %%")
    gates.add_argument("--gate", type=float, default=None, metavar="PERCENT")
    parser.add_argument("--metric", default="p99", choices=DECIDABLE)
    parser.add_argument("--limit", default=f"{LIMIT_S:g} s", metavar="TIME", help="an answer comes within it (default and at most 15 min)")
    parser.add_argument("--rounds", type=int, default=ROUNDS_MAX, metavar="N", help=f"at most, one of {LOOKS}")
    parser.add_argument("--control", default="", metavar="COMMAND", help="a fixed workload of your own, writing samples to {out}")
    parser.add_argument("--no-warmup", action="store_true", help="the first measurement of each side counts")
    parser.add_argument("--requests", default="", metavar="NAME", help="with --url: a request kind of harness.toml")
    parser.add_argument("--get", default="", metavar="PATH", help="with --url: GET this path")
    parser.add_argument("--rate", default="200 /s", help="with --url: arrivals")
    parser.add_argument("--duration", default="10 s", help="with --url: of one measurement")
    parser.add_argument("--unit", default="", choices=["", *UNITS], help="of sample files that do not say theirs")
    parser.add_argument("--tag", action="append", default=[], metavar="NAME=VALUE", help="only requests with this tag")
    parser.add_argument("--keep", default="", metavar="DIR", help="a new folder that keeps every recording")
    parser.add_argument("--seed", type=seed_number, default=None)
    parser.add_argument("--html", default="", metavar="FILE", help="write a page of it to a new file")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    limit_s = Duration.parse(namespace.limit).seconds
    if not 0 < limit_s <= LIMIT_S or namespace.rounds not in LOOKS:
        raise UsageError(f"--limit {namespace.limit} --rounds {namespace.rounds}", remedy=f"at most 15 min, and one of {LOOKS} rounds")
    unit = "1/s" if namespace.metric == "throughput" else "s"
    question = Question(namespace.metric, unit, gate_of(namespace), namespace.metric == "throughput", namespace.control or NAME)
    seed = fresh_seed() if namespace.seed is None else namespace.seed
    with work_folder(namespace.keep) as folder:
        names, measure = sides_of(namespace, folder, seed)
        plan = GatePlan(names, question, limit_s, namespace.rounds, warmup=not namespace.no_warmup, seed=seed)
        control = _control(namespace, folder, limit_s)
        result = run_gate(plan, Machine(measure, control, time.monotonic, _sayer()))
    if namespace.html:
        write_page(Path(namespace.html), result)
    if namespace.json:
        print(as_json(result))
    else:
        print_decision(result.decision, Console(highlight=False, soft_wrap=True))
    return result.decision.answer.verdict.exit_code


def _sayer() -> Callable[[str], None]:
    """Lines of progress on stderr, with the seconds since the start."""
    console, began = Console(stderr=True, highlight=False, soft_wrap=True), time.monotonic()

    def say(text: str) -> None:
        console.print(Text(f"{time.monotonic() - began:7.1f} s  {clean(text)}"))

    return say


def gate_of(namespace: argparse.Namespace) -> float:
    """The gate as a share."""
    if namespace.gate is not None:
        return percent("--gate", namespace.gate)
    return COMPETITIVE if namespace.competitive else INTERNAL


def sides_of(namespace: argparse.Namespace, folder: Path, seed: int) -> tuple[tuple[str, str], Measure]:
    """Names and the way to measure; exactly one kind of sides must be given, and both of them."""
    pairs = {kind: (getattr(namespace, f"{kind}_a"), getattr(namespace, f"{kind}_b")) for kind in ("command", "url", "scenario")}
    given = [kind for kind, pair in pairs.items() if any(pair)]
    if len(given) != 1 or not all(pairs[given[0]]):
        raise UsageError("the two sides are not clear", remedy="give one pair of --command-a/-b, --url-a/-b or --scenario-a/-b")
    kind, pair = given[0], pairs[given[0]]
    tags = tag_pairs(namespace.tag)
    if kind == "command":
        return pair, Commands(*pair, folder, namespace.unit, tags)
    if kind == "scenario":
        return pair, Commands(RUN % shlex.quote(pair[0]), RUN % shlex.quote(pair[1]), folder, "", tags)
    return pair, _addresses(namespace, pair, folder, seed)


def _addresses(namespace: argparse.Namespace, pair: tuple[str, str], folder: Path, seed: int) -> Addresses:
    if bool(namespace.requests) == bool(namespace.get):
        raise UsageError("what is asked of the two addresses is not clear", remedy="give one of --requests NAME and --get PATH")
    project: Project | None = load_project() if namespace.requests else None
    requests = project.configuration.requests if project else {"gate": {"op": "gate", "path": namespace.get, "method": "GET"}}
    variables = project.configuration.target.key_variables if project else {}
    return Addresses(
        *pair,
        folder,
        project.folder if project else folder,
        configuration={"requests": dict(requests)},
        load={"rate": namespace.rate, "duration": namespace.duration, "warmup": "1 s", "requests": namespace.requests or "gate"},
        keys={role: os.environ.get(variable, "") for role, variable in variables.items()},
        seed=seed,
    )


def _control(namespace: argparse.Namespace, folder: Path, limit_s: float) -> Callable[[], float]:
    if not namespace.control:
        return timed_work
    measure = Commands(namespace.control, namespace.control, folder, namespace.unit)
    numbers = iter(range(10_000))

    def timed() -> float:
        recording = measure("A", f"c{next(numbers):03d}-C", limit_s)
        return recording.quantile(0.5)

    return timed
