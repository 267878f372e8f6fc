"""``harness verify``: one pytest session over the layered suites, one run, one journal, one report."""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness
from harness.cli.closing import concluded
from harness.cli.console import Console
from harness.cli.parser import seed_number
from harness.cli.summary_table import print_summary
from harness.core.errors import HarnessError, UsageError, listing, nearest_word
from harness.load.publish import live
from harness.plugin.hooks import Brought
from harness.plugin.progress import Progress
from harness.plugin.session import Session, project_publishers, project_requirements
from harness.run.configuration import Places, raise_all
from harness.run.project import FILE, Project, load_project
from harness.run.registry import Registry
from harness.run.run import Run
from harness.topology.compose import load_topology
from harness.topology.errors import ProfileUnavailable, TopologyError

PROFILES = ("embedded", "local", "compose", "k8s")
NEUTRAL_INI = Path(harness.__file__).parent / "suites" / "pytest.ini"  # a project's own options are for its own `pytest`


def arguments(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--profile", default="", help="which server answers for each service (default: the one of harness.toml)")
    parser.add_argument("--full", action="store_true", help="whole data sets instead of the default selection")
    parser.add_argument("--only", action="append", default=[], metavar="LAYER", help="run only this layer; may be repeated")
    parser.add_argument("--seed", type=seed_number, default=None, help="seed of the run (default: a fresh one, printed)")
    parser.add_argument("--reports", default="", metavar="DIR", help="where the run folder is made (default: reports/)")
    parser.add_argument("--json", action="store_true", help="print summary.json at the end instead of the table")


def execute(namespace: argparse.Namespace) -> int:
    project = load_project()
    check_all(
        *(functools.partial(project.suite_path, project.configuration.layers[name].suite) for name in layers_of(project, namespace)),
        lambda: chosen_layers(project, namespace.only, full=namespace.full),
        lambda: check_surroundings(project, namespace),
    )
    layers = layers_of(project, namespace)
    console = Console(quiet=namespace.json)
    run = make_run(project, namespace, tuple(name for name in layers if project.configuration.layers[name].required))
    session = Session(project, run, console.say, full=namespace.full)
    console.say(f"run {run.id}  seed {run.seeds.root}  profile {run.profile}")
    return concluded(
        session.close,
        lambda: run_layers(session, layers, console),
        lambda finished: print_summary(finished, console, as_json=namespace.json),
    )


def make_run(project: Project, namespace: argparse.Namespace, required: tuple[str, ...]) -> Run:
    """The run of a command, with the publishers of the reports. What is wrong with the configuration leaves no run folder."""
    check_surroundings(project, namespace)
    profile = profile_of(project, namespace)
    mode = "verify --full" if getattr(namespace, "full", False) else namespace.command
    return Run(
        Path(namespace.reports) if namespace.reports else project.reports,
        registry=project_registry(project),
        project=project.folder,
        profile=profile,
        mode=mode,
        command=("harness", *sys.argv[1:]),
        seed=namespace.seed,
        data=project.data_dir(),
        required=required,
        publishers=project_publishers(project),
    )


def profile_of(project: Project, namespace: argparse.Namespace) -> str:
    topology = project.configuration.topology
    return str(namespace.profile) or (topology.profile if topology else "none")


def check_surroundings(project: Project, namespace: argparse.Namespace) -> None:
    """All that is wrong with profile, topology, references into it, and publishing."""
    check_all(lambda: check_topology(project, profile_of(project, namespace)), lambda: live.check(project.tables))


def check_all(*checks: Callable[[], object]) -> None:
    """Do every check; raise what they found, together."""
    found: list[UsageError] = []
    for check in checks:
        try:
            check()
        except UsageError as error:
            found.append(error)
    raise_all(found)


def project_registry(project: Project) -> Registry:
    """The wings of the installed packages and of the project, with its requirement ids."""
    return Registry.discover(project_requirements(project)).with_tables(project.wing_tables(), project.folder)


def check_topology(project: Project, profile: str) -> None:
    """``UsageError`` for a topology that cannot be read, or a profile that nothing is called."""
    table = project.configuration.topology
    if table is None:
        return
    if profile not in PROFILES:
        near = nearest_word(profile, PROFILES)
        raise UsageError(f"unknown profile {profile!r}", nearest=near, remedy=f"known: {listing(PROFILES)}")
    if not (project.folder / table.file).is_file():
        near = nearest_word(table.file, [item.name for item in project.folder.glob("*.y*ml")])
        raise places_of(project).error(("topology", "file"), f"{table.file!r} is not there", nearest=near, remedy="name a compose file")
    try:
        topology = load_topology(project.folder / table.file, profile, project.folder)
        raise_all(unknown_services(project, [service.name for service in topology.services]))
    except ProfileUnavailable:
        return  # a missing capability: BLOCKED, with the reason in the report
    except TopologyError as error:
        raise UsageError(error.error, file=error.place, remedy=error.remedy) from None


def places_of(project: Project) -> Places:
    """Where in its harness.toml something stands."""
    return Places(str(project.folder / FILE), (project.folder / FILE).read_text(encoding="utf-8"))


def unknown_services(project: Project, known: list[str]) -> Iterator[UsageError]:
    """Every service that harness.toml names and the topology does not have."""
    configuration = project.configuration
    places = places_of(project)
    named: list[tuple[tuple[str, ...], object]] = [(("target", "service"), configuration.target.service)]
    named += [(("commands", name, "service"), table.service) for name, table in configuration.commands.items()]
    named.append((("kill", "service"), configuration.kill.get("service", "")))
    for path, name in named:
        if name and name not in known:
            yield places.error(path, f"unknown service {name!r}", nearest=nearest_word(str(name), known), remedy=f"known: {listing(known)}")


def layers_of(project: Project, namespace: argparse.Namespace) -> list[str]:
    """The chosen layers that there are."""
    known = project.configuration.layers
    return chosen_layers(project, [name for name in namespace.only if name in known], full=namespace.full)


def chosen_layers(project: Project, only: list[str], *, full: bool = False) -> list[str]:
    """The layers to run, in the order of harness.toml; unknown names list the known ones."""
    known = list(project.configuration.layers)
    unknown = [name for name in only if name not in known]
    raise_all(
        UsageError(f"unknown layer {name!r}", nearest=nearest_word(name, known), remedy=f"known: {listing(known)}") for name in unknown
    )
    tables = project.configuration.layers
    wanted = {"always", "full"} if full else {"always"}
    return [name for name in known if (name in only if only else tables[name].when in wanted)]


def run_layers(session: Session, layers: list[str], console: Console) -> bool:
    """Run the suites of the layers as one pytest session; True when a person interrupted it."""
    tables = session.project.configuration.layers
    paths = [_unread(session.project.suite_path(tables[name].suite), session.project.folder) for name in layers]
    progress = Progress(layers, console)
    brought = Brought(session)
    options = [
        "-p",
        "no:terminal",
        "-p",
        "no:locust",
        "-p",
        "no:cacheprovider",
        "--import-mode=importlib",
        "-c",
        str(NEUTRAL_INI),
    ]
    # The command has imported itself before pytest could rewrite its assertions: they are not judged by pytest.
    options += ["-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning"]
    options += [f"--rootdir={_unread(session.project.folder, session.project.folder)}", "--timeout=0"]
    options += ["--continue-on-collection-errors"]  # a suite that cannot be collected is an ERROR row and hides no other
    code: int = pytest.ExitCode.OK
    try:
        code = pytest.main([*options, *paths], plugins=[brought, progress])
    except KeyboardInterrupt:
        brought.interrupted = True
    finally:
        brought.frame.leave()
        progress.close()
    if not brought.interrupted:
        _check_pytest(code)
    return brought.interrupted


def _unread(path: str | Path, project: Path) -> str:
    """A path of the project that pytest takes literally: in a whole one it expands ``$`` and takes ``[`` for a test's id."""
    return os.path.relpath(path) if Path(path).is_relative_to(project) and Path.cwd().is_relative_to(project) else str(path)


def _check_pytest(code: int) -> None:
    """Tests that failed are rows; a pytest that could not begin or broke inside must not look like a run without findings."""
    if code == pytest.ExitCode.USAGE_ERROR:
        raise UsageError("the suites cannot be run", remedy="correct what pytest says above")
    if code == pytest.ExitCode.INTERNAL_ERROR:
        raise HarnessError("pytest broke inside: its message is above; what was not run is not judged")
