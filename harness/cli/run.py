"""``harness run SCENARIO [--repeat N] [--dry-run]``: the trials of one scenario in one run, or only their timeline."""

from __future__ import annotations

import argparse

from harness.cli.closing import concluded
from harness.cli.console import Console
from harness.cli.dry_run import dry_run
from harness.cli.engine_session import EngineSession
from harness.cli.parser import seed_number
from harness.cli.summary_table import print_summary
from harness.cli.verify import check_all, check_surroundings, make_run, profile_of, project_registry
from harness.core.errors import UsageError, listing, nearest_word
from harness.load.other_engine import ENGINES, OURS, with_engine
from harness.plugin.session import Session, scenario_path
from harness.run.configuration import raise_all
from harness.run.project import Project, load_project
from harness.scenario.loader import load_scenario
from harness.scenario.model import Scenario
from harness.scenario.yaml_tree import read_tree
from harness.topology.compose import load_topology
from harness.topology.errors import TopologyError

REPEAT_MAX = 10_000


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("scenario", help="path of a scenario file, or its name in scenarios/")
    parser.add_argument("--repeat", type=int, default=1, metavar="N", help="how many trials, each with a seed of its own")
    parser.add_argument("--engine", choices=ENGINES, default=OURS, help="who sends what open_loop steps plan (default: ours)")
    parser.add_argument("--profile", default="")
    parser.add_argument("--seed", type=seed_number, default=None)
    parser.add_argument("--reports", default="", metavar="DIR")
    parser.add_argument("--dry-run", action="store_true", help="print the timeline as CSV; start nothing, send nothing")
    parser.add_argument("--json", action="store_true")


def execute(namespace: argparse.Namespace) -> int:
    project = load_project()
    registry = project_registry(project)
    check_all(  # what is wrong leaves no run folder
        lambda: _check_repeat(namespace.repeat),
        lambda: load_scenario(scenario_path(project, namespace.scenario), registry),
        lambda: check_surroundings(project, namespace),
    )
    checked = load_scenario(scenario_path(project, namespace.scenario), registry)
    check_services(project, checked, profile_of(project, namespace))
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


def _check_repeat(repeat: int) -> None:
    if not 1 <= repeat <= REPEAT_MAX:
        raise UsageError(f"--repeat {repeat}", remedy=f"give a number from 1 to {REPEAT_MAX}")


def check_services(project: Project, scenario: Scenario, profile: str) -> None:
    """``UsageError`` with the line of every service that the scenario names and the topology does not have."""
    table = project.configuration.topology
    if table is None:
        return
    try:
        known = [service.name for service in load_topology(project.folder / table.file, profile, project.folder).services]
    except TopologyError:
        return  # a missing capability, or said already
    tree = read_tree(scenario.text.encode(), scenario.file)
    errors = []
    for number, item in enumerate(tree.data.get("timeline", ())):
        name = (item.get("with") or {}).get("service")
        if isinstance(name, str) and name not in known:
            path = ("timeline", number, "with", "service")
            errors.append(
                tree.error(path, f"unknown service {name!r}", nearest=nearest_word(name, known), remedy=f"known: {listing(known)}")
            )
    raise_all(errors)


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
