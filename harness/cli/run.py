"""``harness run SCENARIO [--repeat N]``: the trials of one scenario in one run."""

from __future__ import annotations

import argparse

from harness.cli.console import Console
from harness.cli.summary_table import print_summary
from harness.cli.verify import closed, make_run, project_registry
from harness.core.errors import UsageError
from harness.plugin.session import Session, scenario_path
from harness.run.project import load_project
from harness.scenario.loader import load_scenario

REPEAT_MAX = 10_000


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("scenario", help="path of a scenario file, or its name in scenarios/")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many trials, each with a seed of its own")
    parser.add_argument("--profile", default="")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--reports", default="", metavar="DIR")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    if not 1 <= namespace.repeat <= REPEAT_MAX:
        raise UsageError(f"--repeat {namespace.repeat}", remedy=f"give a number from 1 to {REPEAT_MAX}")
    project = load_project()
    load_scenario(scenario_path(project, namespace.scenario), project_registry(project))  # what is wrong with it leaves no run folder
    console = Console(quiet=namespace.json)
    run = make_run(project, namespace, ())
    session = Session(project, run, console.say)
    finished, interrupted = closed(session, lambda: run_trials(session, namespace, console))
    print_summary(finished, console, as_json=namespace.json)
    return 130 if interrupted else finished.summary.exit_code


def run_trials(session: Session, namespace: argparse.Namespace, console: Console) -> None:
    scenario = session.load(namespace.scenario)
    session.prepare(scenario)
    for number in range(1, namespace.repeat + 1):
        trial = session.scenario(scenario.file)
        console.say(f"trial {number} of {namespace.repeat}: {trial.verdict} {'' if trial.verdict == 'PASS' else trial.explain()[:300]}")
