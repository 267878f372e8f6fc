"""The hooks: fixtures ``harness_session``, ``target``, ``stack``, ``scenario``, ``journal``, ``examined``; outcomes become events.

Registered by the entry point ``pytest11``. Under ``harness verify`` the session is brought along; in plain pytest it is made when a
fixture first asks, and ends with pytest's session.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.core.ending import ENDING
from harness.core.errors import Blocked, HarnessError
from harness.core.text import outside, visible
from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.journal.writer import JournalError
from harness.plugin.outcomes import Outcomes, Told, attach, exception_verdict, unreportable
from harness.plugin.session import Session, Trial, project_publishers, project_requirements
from harness.run.project import find_project, load_project
from harness.run.registry import Registry
from harness.run.run import Run
from harness.traceability.registry import check_marker_ids

if TYPE_CHECKING:
    from harness.run.owned import OwnedStack
    from harness.run.protocols import Emitter, Target

pytest_plugins = ("harness.plugin.losses",)

SESSION = pytest.StashKey[Session]()
STATE = pytest.StashKey["ItemState"]()
LAYERS = pytest.StashKey["LayerFrame"]()
ENDED = pytest.StashKey[str]()
SIGNALS = pytest.StashKey[contextlib.ExitStack]()
OUTCOMES = pytest.StashKey[Outcomes]()
ASKED = pytest.StashKey[bool]()
REASONS = {pytest.ExitCode.INTERRUPTED: "interrupted", pytest.ExitCode.INTERNAL_ERROR: "error"}


class ItemState:
    """What one try of one test tells about itself: how many things it looked at."""

    def __init__(self) -> None:
        self.examined: int | None = None


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
        self.interrupted = False
        session.brought = True

    def pytest_configure(self, config: pytest.Config) -> None:
        config.stash[SESSION] = self.session
        config.stash[LAYERS] = self.frame

    def pytest_keyboard_interrupt(self) -> None:
        """Ctrl-C, and a test that calls ``pytest.exit``: what comes after it was not run."""
        self.interrupted = True


def recorder(run: Run) -> Callable[[TestOutcome], None]:
    """Journals outcomes; a journal that cannot be written, on a full disk say, ends the session: what follows could not be judged."""

    def emit(outcome: TestOutcome) -> None:
        try:
            run.journal.emit(outcome)
        except JournalError as error:
            pytest.exit(str(error), pytest.ExitCode.INTERNAL_ERROR)

    return emit


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("harness", "evidence harness")
    group.addoption("--harness-seed", type=int, default=None, help="seed of the run (default: a fresh one, printed)")
    group.addoption("--harness-run", action="store_true", help="record this session as a run, also when no test asks for a fixture of ours")
    group.addoption("--harness-profile", default="", help="deployment profile (default: the one of harness.toml)")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "requirement(*ids): links a test to requirements by id")
    config.addinivalue_line("markers", "layer(name): the layer a test belongs to (default: by its folder)")
    config.addinivalue_line("markers", "isolated: loads or breaks a stack; refuses pytest-xdist")
    config.addinivalue_line("markers", "slow: takes more than ten seconds")
    config.addinivalue_line("markers", "browser: needs Chromium; BLOCKED where there is none")


def make_session(config: pytest.Config) -> Session:
    """The session of this pytest session, made on first use."""
    config.stash[ASKED] = True  # a worker of xdist tells its controller with the next report
    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):  # a worker does not see the option
        raise pytest.UsageError("tests that load or break a system cannot share it: run them without -n")
    record(config)
    return config.stash[SESSION]


def record(config: pytest.Config) -> None:
    """Make this process's run, and hand it the outcomes so far."""
    if SESSION in config.stash:
        return
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
    config.stash[SIGNALS] = contextlib.ExitStack()
    by_force = functools.partial(config.stash[SESSION].close, "interrupted", "the tests did not stop by themselves")
    config.stash[SIGNALS].enter_context(ENDING.listening(by_force, int(pytest.ExitCode.INTERRUPTED)))
    config.stash[OUTCOMES].subscribe(recorder(run))


class Answers:
    """What the fold of outcomes asks of this pytest session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def layer_at(self, path: Path) -> str:
        return layer_at(path, self._config)

    def trials(self) -> tuple[str, ...]:
        session = self._config.stash.get(SESSION, None)
        return () if session is None else tuple(session.trials_of_test)

    def asked(self) -> None:
        with contextlib.suppress(HarnessError):  # no project here: the test that asked has said so
            record(self._config)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Outcomes are folded where pytest counts them: not in the workers of xdist."""
    config = session.config
    if hasattr(config, "workerinput"):
        return
    outcomes = config.stash[OUTCOMES] = Outcomes(session, Answers(config))
    config.pluginmanager.register(outcomes, "evidence_harness_outcomes")
    if SESSION in config.stash:
        outcomes.subscribe(recorder(config.stash[SESSION].run))
    elif config.getoption("--harness-run"):
        try:
            record(config)
        except HarnessError as error:
            raise pytest.UsageError(str(error)) from None


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Ctrl-C and a broken pytest must not look like a run that was completed."""
    session.config.stash[ENDED] = next((reason for code, reason in REASONS.items() if code == exitstatus), "completed")


def pytest_unconfigure(config: pytest.Config) -> None:
    if OUTCOMES in config.stash:
        config.stash[OUTCOMES].conclude()
    session = config.stash.get(SESSION, None)
    if session is None or session.brought:
        return
    config.stash[LAYERS].leave()
    reason = config.stash.get(ENDED, "error")
    if ENDING.requested:
        ENDING.notice()
    with config.stash[SIGNALS]:
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
    """The layer of a test: its marker, else by its place."""
    return marked_layer(item) or layer_at(item.path, item.config)


def marked_layer(item: pytest.Item) -> str:
    marker = item.get_closest_marker("layer")
    return str(marker.args[0]) if marker is not None and marker.args else ""


def layer_at(path: Path, config: pytest.Config) -> str:
    """The layer of ``harness.toml`` whose suite folder holds the file, else its folder's name."""
    session = config.stash.get(SESSION, None)
    if session is not None:
        for name, table in session.project.configuration.layers.items():
            if not table.suite.startswith("package:") and path.is_relative_to(session.project.folder / table.suite):
                return name
    return path.parent.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    ENDING.check()  # a test that caught KeyboardInterrupt is the last one
    item.stash[STATE] = ItemState()
    frame = item.config.stash.get(LAYERS, None)
    session = item.config.stash.get(SESSION, None)
    if frame is not None and session is not None:
        session.trials_of_test.clear()
        frame.enter(layer_of(item))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    try:
        report = yield
    except (Exception, SystemExit) as broken:  # noqa: BLE001 - pytest asks the exception for its notes and text, which may raise anything
        report = unreportable(item, call, broken)
    verdict, detail = Verdict.PASS, ""
    if call.excinfo is not None:
        verdict, detail = exception_verdict(call.excinfo.value, str(call.when))
        if issubclass(call.excinfo.type, Blocked):
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, f"Skipped: BLOCKED: {detail}")
    attach(report, _told(item, verdict, detail))
    if call.when == "teardown":
        item.stash[STATE] = ItemState()  # another try of the same test counts anew
    return report


def _told(item: pytest.Item, verdict: Verdict, detail: str) -> Told:
    function = getattr(item, "function", None)
    parent = f"{item.parent.nodeid}::" if item.parent is not None else ""
    return Told(
        name=visible(item.nodeid.removeprefix(parent)),
        layer=marked_layer(item),
        path=str(item.path),
        title=title_of(function),
        requirements=tuple(str(name) for marker in item.iter_markers("requirement") for name in marker.args),
        examined=item.stash[STATE].examined if STATE in item.stash else None,
        verdict=verdict,
        detail=detail,
        asked=item.config.stash.get(ASKED, False),
    )


def title_of(function: object) -> str:
    """The first line of a test's docstring."""
    text = getattr(function, "__doc__", None)
    return outside((text.strip().splitlines() or [""])[0]) if isinstance(text, str) else ""


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
