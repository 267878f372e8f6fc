"""The hooks: fixtures ``harness_session``, ``target``, ``stack``, ``scenario``, ``journal``, ``examined``; outcomes become events.

Registered by the entry point ``pytest11``. Under ``harness verify`` the session is brought along; in plain pytest it is made when a
fixture first asks, and ends with pytest's session.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.errors import Blocked, HarnessError
from harness.core.text import outside
from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.plugin.session import NotPassed, Session, Trial, project_publishers, project_requirements
from harness.run.project import find_project, load_project
from harness.run.registry import Registry
from harness.run.run import Run
from harness.traceability.registry import check_marker_ids

if TYPE_CHECKING:
    from harness.run.owned import OwnedStack
    from harness.run.protocols import Emitter, Target

SESSION = pytest.StashKey[Session]()
STATE = pytest.StashKey["ItemState"]()
LAYERS = pytest.StashKey["LayerFrame"]()
ENDED = pytest.StashKey[str]()
REASONS = {pytest.ExitCode.INTERRUPTED: "interrupted", pytest.ExitCode.INTERNAL_ERROR: "error"}


class ItemState:
    """What one test tells about itself: how many things it looked at, its worst phase, its trials."""

    def __init__(self) -> None:
        self.examined: int | None = None
        self.verdict = Verdict.PASS
        self.detail = ""
        self.duration_s = 0.0

    def worse(self, verdict: Verdict, detail: str) -> None:
        if verdict.badness < self.verdict.badness:
            self.verdict, self.detail = verdict, detail


class LayerFrame:
    """Keeps one layer open in the journal while its tests run."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: contextlib.ExitStack | None = None
        self.name = ""
        self.seen: set[str] = set()

    def enter(self, name: str) -> None:
        if name == self.name:
            return
        self.leave()
        table = self._session.project.configuration.layers.get(name)
        self._open = contextlib.ExitStack()
        self._open.enter_context(self._session.run.layer(name, required=bool(table and table.required)))
        self.name = name
        self.seen.add(name)

    def leave(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open, self.name = None, ""


class Brought:
    """Registered by ``harness verify``: hands its own session to the hooks."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.frame = LayerFrame(session)
        session.brought = True

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[SESSION] = self.session
        config.stash[LAYERS] = self.frame

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A suite that cannot be collected is an ERROR of the run, not an absence."""
        if report.failed:
            lines = str(report.longrepr).strip().splitlines()
            detail = outside("\n".join(lines[-6:]))
            event = TestOutcome(
                node=report.nodeid, layer="collection", verdict=Verdict.ERROR, duration_s=0.0, detail=detail, optional=False
            )
            self.session.run.journal.emit(event)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "evidence harness")
    group.addoption("--harness-seed", type=int, default=None, help="seed of the run (default: a fresh one, printed)")
    group.addoption("--harness-profile", default="", help="deployment profile (default: the one of harness.toml)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): links a test to requirements by id")
    config.addinivalue_line("markers", "layer(name): the layer a test belongs to (default: by its folder)")
    config.addinivalue_line("markers", "isolated: loads or breaks a stack; refuses pytest-xdist")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "browser: needs Chromium; BLOCKED where there is none")


def make_session(config: pytest.Config) -> Session:
    """The session of this pytest session, made on first use."""
    if SESSION not in config.stash:
        if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):  # a worker of xdist does not see the option
            raise pytest.UsageError("tests that load or break a system cannot share it: run them without -n")
        project = load_project(config.rootpath)
        profile = config.getoption("--harness-profile") or (
            project.configuration.topology.profile if project.configuration.topology else "none"
        )
        run = Run(
            project.reports,
            registry=Registry.discover(project_requirements(project)).with_tables(project.wing_tables(), project.folder),
            project=project.folder,
            profile=profile,
            mode="pytest",
            command=("pytest",),
            seed=config.getoption("--harness-seed"),
            data=project.data_dir(),
        )
        for publisher in project_publishers(project):
            run.publish(publisher)
        config.stash[SESSION] = Session(project, run, lambda _text: None)
        config.stash[LAYERS] = LayerFrame(config.stash[SESSION])
    return config.stash[SESSION]


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Ctrl-C and a broken pytest must not look like a run that was completed."""
    session.config.stash[ENDED] = next((reason for code, reason in REASONS.items() if code == exitstatus), "completed")


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(SESSION, None)
    if session is None or session.brought:
        return
    config.stash[LAYERS].leave()
    reason = config.stash.get(ENDED, "error")
    finished = session.close(reason)
    print(f"\nharness: {finished.summary.verdict}  {finished.folder}/report.html  manifest {finished.manifest_sha256}")
    if finished.interrupted and reason != "interrupted":
        raise SystemExit(int(pytest.ExitCode.INTERRUPTED))  # pytest has its own exit code at hand already


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """An unknown requirement id on a test is an error of usage, named with the nearest known one."""
    if not any(item.get_closest_marker("requirement") for item in items):
        return
    session = config.stash.get(SESSION, None)
    if session is None and find_project(config.rootpath) is None:
        return  # tests outside any project: nobody registers ids there
    try:
        ids = project_requirements(session.project if session is not None else load_project(config.rootpath))
        if ids is not None:
            check_marker_ids(items, ids)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None


def layer_of(item: pytest.Item) -> str:
    """The layer of a test: its marker, else the layer of ``harness.toml`` whose suite folder holds it, else its folder's name."""
    marker = item.get_closest_marker("layer")
    if marker is not None and marker.args:
        return str(marker.args[0])
    session = item.config.stash.get(SESSION, None)
    if session is not None:
        for name, table in session.project.configuration.layers.items():
            if not table.suite.startswith("package:") and item.path.is_relative_to(session.project.folder / table.suite):
                return name
    return item.path.parent.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    item.stash[STATE] = ItemState()
    frame = item.config.stash.get(LAYERS, None)
    session = item.config.stash.get(SESSION, None)
    if frame is not None and session is not None:
        session.trials_of_test.clear()
        frame.enter(layer_of(item))
    began = time.monotonic()
    result = yield
    session = item.config.stash.get(SESSION, None)
    if session is not None:
        item.stash[STATE].duration_s = round(time.monotonic() - began, 6)
        session.run.journal.emit(_outcome(item, session))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    state = item.stash.get(STATE, None)
    if state is None or call.excinfo is None:
        return report
    error = call.excinfo.value
    if isinstance(error, Blocked):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: BLOCKED: {error.reason}")
        state.worse(Verdict.BLOCKED, error.reason)
    elif isinstance(error, NotPassed):
        state.worse(error.verdict, str(error))
    elif report.outcome == "skipped":
        state.worse(Verdict.BLOCKED, str(error))
    elif isinstance(error, AssertionError | pytest.fail.Exception) and call.when == "call":
        state.worse(Verdict.FAIL, outside(f"{error}") or "assertion failed")
    else:
        state.worse(Verdict.ERROR, outside(f"{type(error).__name__}: {error}"))
    return report


def _outcome(item: pytest.Item, session: Session) -> TestOutcome:
    state = item.stash[STATE]
    verdict, detail = state.verdict, state.detail
    if state.examined == 0 and verdict is Verdict.PASS:
        verdict, detail = Verdict.VACUOUS, "the test looked at nothing"
    function = getattr(item, "function", None)
    requirements = tuple(str(name) for marker in item.iter_markers("requirement") for name in marker.args)
    return TestOutcome(
        node=item.nodeid,
        layer=layer_of(item),
        verdict=verdict,
        duration_s=state.duration_s,
        detail=outside(detail),
        title=((function.__doc__ or "").strip().splitlines() or [""])[0] if function is not None else "",
        requirements=requirements,
        examined=state.examined,
        trials=tuple(session.trials_of_test),
    )


@pytest.fixture(scope="session")
def harness_session(request: pytest.FixtureRequest) -> Session:
    """The run of this session: folder, seed, journal, project."""
    return make_session(request.config)


@pytest.fixture(scope="session")
def target(harness_session: Session) -> Target:
    """The judged system's address and keys; starts it on first use."""
    return harness_session.target()


@pytest.fixture(scope="session")
def stack(harness_session: Session) -> OwnedStack:
    """The run's own stack."""
    return harness_session.stack()


@pytest.fixture(scope="session")
def journal(harness_session: Session) -> Emitter:
    """Where a test may leave events."""
    return harness_session.run.journal


@pytest.fixture
def scenario(harness_session: Session, request: pytest.FixtureRequest) -> Any:
    """``scenario("name")`` runs a scenario as a trial and returns it judged; ``.require_pass()`` takes over its verdict."""

    def run(path: str | Path) -> Trial:
        return harness_session.scenario(path, layer_of(request.node))

    return run


@pytest.fixture
def examined(request: pytest.FixtureRequest) -> Any:
    """``examined(n)``: the test looked at n more things; a test that says 0 in all is VACUOUS."""

    def add(count: int) -> None:
        state = request.node.stash[STATE]
        state.examined = (state.examined or 0) + int(count)

    return add
