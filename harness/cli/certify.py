"""``harness certify [--engine ours|locust|k6|all]``: does a load engine tell the truth about a server that stands still?

Exit 0: every engine was right, or said itself that it may not be (the table says which) · 1: one lied · 3: it is not here.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.cli.certificate_table import STYLES, certificate_data, rich_table
from harness.cli.closing import concluded
from harness.cli.console import Console
from harness.cli.parser import seed_number
from harness.cli.summary_table import print_summary
from harness.cli.verify import project_registry
from harness.core.errors import UsageError
from harness.core.units import Duration, Rate
from harness.journal.events import Table as TableEvent
from harness.journal.events import TrialBlocked
from harness.load.certify.checks import Result, result
from harness.load.certify.driver import NAMES, Certify, check_parameters, engine_named
from harness.load.certify.liar_engine import PREFIX
from harness.load.certify.liars import LIARS
from harness.load.certify.table import summary_table
from harness.report.publish import publishers
from harness.run.project import find_project, load_project
from harness.run.registry import Registry
from harness.run.run import FinishedRun, Run
from harness.run.trial import run_trial
from harness.run.view import FolderView
from harness.scenario.loader import parse_scenario
from harness.scenario.model import Scenario

LAYER = "certificate"
REPEAT_MAX = 1_000
SLACK_S = 300.0  # added to the deadline of a trial: processes that start slowly, a truth that is computed


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--engine", default="ours", metavar="|".join((*NAMES, "all")), help="which load engine (default: ours)")
    parser.add_argument("--rate", default="1000", help="arrivals a second (default: 1000)")
    parser.add_argument("--duration", default="30s", help="how long (default: 30s)")
    parser.add_argument("--stall", default="2s", help="how long the server stands still in the middle (default: 2s; 0s for not at all)")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many certificates of each engine")
    parser.add_argument("--gallery", action="store_true", help="the six lying engines instead: each must be rejected")
    parser.add_argument("--seed", type=seed_number, default=None)
    parser.add_argument("--reports", default="", metavar="DIR")
    parser.add_argument("--json", action="store_true", help="print every certificate as JSON")


def execute(namespace: argparse.Namespace) -> int:
    engines = chosen(namespace.engine, gallery=namespace.gallery)
    if not 1 <= namespace.repeat <= REPEAT_MAX:
        raise UsageError(f"--repeat {namespace.repeat}", remedy=f"give a number from 1 to {REPEAT_MAX}")
    asked = Certify(engine=engines[0], **load(namespace))
    check_parameters(asked)
    console = Console(quiet=namespace.json)
    registry, reports = surroundings()
    scenarios = [parse_scenario(scenario_text(name, asked, alone=len(engines) == 1), f"certify {name}", registry) for name in engines]
    run = new_run(Path(namespace.reports) if namespace.reports else reports, registry, namespace.seed)
    run.attach(None, None, [capability(name) for name in engines if not engine_named(name).missing()])
    return concluded(
        run.finish,
        lambda: certify(run, scenarios, namespace.repeat, console),
        lambda finished: report(finished, console, as_json=namespace.json),
    )


def chosen(name: str, *, gallery: bool) -> list[str]:
    """The engines asked for; ``UsageError`` for an unknown one. The gallery is never part of ``all``."""
    if gallery:
        return [f"{PREFIX}{kind}" for kind in LIARS]
    if name == "all":
        return list(NAMES)
    return [engine_named(name).name]


def load(namespace: argparse.Namespace) -> dict[str, Any]:
    """Rate, duration and stall of the command line; ``UsageError`` with the remedy for what is none."""
    rate = namespace.rate if "/" in namespace.rate else f"{namespace.rate} /s"
    return {"rate": Rate.parse(rate), "duration": Duration.parse(namespace.duration), "stall": Duration.parse(namespace.stall)}


def scenario_text(name: str, asked: Certify, *, alone: bool) -> bytes:
    """The scenario of one engine. Alone it is required: where it is not here the run is BLOCKED; among others it is left out."""
    rejected = name.removeprefix(PREFIX) in LIARS
    scenario: dict[str, Any] = {
        "name": f"certify_{name.replace(':', '_')}",
        "title": f"Certificate of {name}",
        "layer": LAYER,
        "profile": "any",
        "deadline": f"{math.ceil(asked.duration.seconds + asked.timeout.seconds + SLACK_S)} s",
        "timeline": [
            {
                "step": "certify",
                "driver": "certify",
                "with": {"engine": name, "rate": str(asked.rate), "duration": str(asked.duration), "stall": str(asked.stall)},
            }
        ],
        "checks": [{"checker": "certified", "with": {"expect": "rejected" if rejected else "honest"}}, {"checker": "trial_completed"}],
    }
    if alone:
        scenario["requires"] = [capability(name)]
    return yaml.safe_dump(scenario, sort_keys=False).encode()


def capability(name: str) -> str:
    """What a run has when this engine can run here."""
    return f"engine.{name.replace(':', '.')}"


def surroundings() -> tuple[Registry, Path]:
    """The wings and the reports folder of the project around; without a project, ours and ``reports`` here."""
    if find_project(Path.cwd()) is None:
        return Registry.discover(), Path("reports")
    project = load_project()
    return project_registry(project), project.reports


def new_run(reports: Path, registry: Registry, seed: int | None) -> Run:
    """A run of mode ``certify``: it starts no system and judges none."""
    command = ("harness", *sys.argv[1:])
    return Run(
        reports,
        registry=registry,
        project=Path.cwd(),
        profile="none",
        mode="certify",
        command=command,
        seed=seed,
        publishers=publishers(),
    )


def certify(run: Run, scenarios: Sequence[Scenario], repeat: int, console: Console) -> None:
    """Every engine in turn, ``repeat`` times: a machine that changes in the meantime changes for all of them."""
    console.say(f"run {run.id}  seed {run.seeds.root}")
    for number in range(1, repeat + 1):
        for scenario in scenarios:
            trial = run_trial(run, scenario)
            found = result(FolderView(run.folder), trial.trial) if trial.outcome == "completed" else trial.detail or trial.outcome
            said = found if isinstance(found, str) else found.judgement.sentence
            console.say(f"{number} of {repeat}  {scenario.title}: {said}"[:400])
    certificates = results(FolderView(run.folder))
    if certificates:
        run.journal.emit(summary_table(certificates))


def results(view: FolderView) -> list[tuple[str, Result]]:
    """The certificates of a run by trial, in order."""
    trials = dict.fromkeys(item.event.trial for item in view.events(TableEvent.NAME) if isinstance(item.event, TableEvent))
    found = [(trial, result(view, trial)) for trial in trials if trial]
    return [(trial, one) for trial, one in found if isinstance(one, Result)]


def report(finished: FinishedRun, console: Console, *, as_json: bool) -> None:
    """The certificates and the verdict, as tables or JSON."""
    view = FolderView(finished.folder)
    certificates = results(view)
    blocked = {item.event.trial: item.event.reason for item in view.events(TrialBlocked.NAME) if isinstance(item.event, TrialBlocked)}
    if as_json:
        print(json.dumps(as_data(finished, certificates, blocked), sort_keys=True))
        return
    if certificates:
        console.out.print(rich_table(certificates))
        console.out.print("rate: offered, and achieved as the server saw it; lag: as the engine says, and at most, as the server saw it")
    for trial, one in certificates:
        console.out.print(f"{trial}: {one.judgement.sentence}", markup=False, style=STYLES[one.judgement.standing])
    for trial, reason in blocked.items():
        console.out.print(f"{trial}: BLOCKED: {reason}", markup=False)
    print_summary(finished, console, as_json=False)


def as_data(finished: FinishedRun, certificates: Sequence[tuple[str, Result]], blocked: dict[str, str]) -> dict[str, Any]:
    """What ``--json`` prints; times in ms, ``never`` for an infinite one, null for none."""
    return {
        "run": str(finished.folder),
        "manifest": finished.manifest_sha256,
        "verdict": str(finished.summary.verdict),
        "exit_code": finished.summary.exit_code,
        "blocked": blocked,
        "certificates": [certificate_data(trial, one) for trial, one in certificates],
    }
