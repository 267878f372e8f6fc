"""``harness run SCENARIO [--repeat N] [--dry-run]``: the trials of one scenario in one run, or only their timeline."""

from __future__ import annotations

import argparse

from harness.cli.closing import concluded
from harness.cli.console import Console
from harness.cli.dry_run import dry_run
from harness.cli.engine_session import EngineSession
from harness.cli.summary_table import print_summary
from harness.cli.verify import make_run, project_registry
from harness.core.errors import UsageError
from harness.load.other_engine import ENGINES, OURS, with_engine
from harness.plugin.session import Session, scenario_path
from harness.run.project import load_project
from harness.scenario.loader import load_scenario

REPEAT_MAX = 10_000


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("scenario", help="path of a scenario file, or its name in scenarios/")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many trials, each with a seed of its own")
    parser.add_argument("--engine", choices=ENGINES, default=OURS, help="who sends what open_loop steps plan (default: ours)")
    parser.add_argument("--profile", default="")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--reports", default="", metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the timeline as CSV; start nothing, send nothing")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    if not 1 <= namespace.repeat <= REPEAT_MAX:
        raise UsageError(f"--repeat {namespace.repeat}", remedy=f"give a number from 1 to {REPEAT_MAX}")
    project = load_project()
    registry = project_registry(project)
    checked = load_scenario(scenario_path(project, namespace.scenario), registry)  # what is wrong leaves no run folder
    given = with_engine(checked, namespace.engine)
    if namespace.dry_run:
        _refuse_with_dry_run(namespace)
        return dry_run(project, registry, given, namespace.seed)
    console = Console(quiet=namespace.json)
    run = make_run(project, namespace, ())
    session = EngineSession(project, run, console.say)
    session.engine = namespace.engine
    return concluded(
        session.close,
        lambda: run_trials(session, namespace, console),
        lambda finished: print_summary(finished, console, as_json=namespace.json),
    )


def run_trials(session: Session, namespace: argparse.Namespace, console: Console) -> None:
    scenario = session.load(namespace.scenario)
    session.prepare(scenario)
    for number in range(1, namespace.repeat + 1):
        trial = session.scenario(scenario.file)
        console.say(f"trial {number} of {namespace.repeat}: {trial.verdict} {'' if trial.verdict == 'PASS' else trial.explain()[:300]}")


def _refuse_with_dry_run(namespace: argparse.Namespace) -> None:
    for name, given in (("--repeat", namespace.repeat > 1), ("--json", namespace.json), ("--reports", bool(namespace.reports))):
        if given:
            raise UsageError(f"{name} has no meaning with --dry-run", remedy="leave it out: one trial is planned, nothing is kept")
