"""One pytest session = one run: brings the system up when it is first asked for, runs scenarios, ends everything."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from harness.core import jsonio
from harness.core.ending import ENDING
from harness.core.errors import Blocked, HarnessError, UsageError
from harness.core.text import clean, outside
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.journal.events import DataSet, EvidenceCaptured, Measured, Note, TestOutcome
from harness.load.publish import live
from harness.plugin.interruption import Interruption
from harness.report.publish import publishers
from harness.run.judge import judge_trial
from harness.run.owned import OwnedStack
from harness.run.processes import end_all
from harness.run.project import Project, cache_folder
from harness.run.protocols import CheckRow, RecordedEvent, Target
from harness.run.run import FinishedRun, Publisher, Run
from harness.run.trial import TrialResult, run_trial
from harness.run.view import FolderView
from harness.scenario.loader import load_scenario
from harness.scenario.model import Scenario
from harness.topology.compose import load_topology
from harness.topology.errors import MachineLacks, ProfileUnavailable, StackGone, StartFailed, TopologyError
from harness.topology.stack import Stack
from harness.traceability.publish import matrix_publisher
from harness.traceability.registry import requirement_ids

Announce = Callable[[str], None]
SYSTEM_UP = "the system comes up"


class NotPassed(Exception):
    """A trial whose verdict is not PASS; the test that asked for it takes over the verdict."""

    def __init__(self, verdict: Verdict, detail: str) -> None:
        super().__init__(f"{verdict}: {detail}")
        self.verdict = verdict


class SystemGone(NotPassed):
    """The judged system did not come up, or was lost: whatever needs it has FAILED, and is not tried again."""

    def __init__(self, detail: str) -> None:
        super().__init__(Verdict.FAIL, detail)


class Trial(msgspec.Struct, frozen=True):
    """A finished trial with its rows, as judged from the run folder."""

    result: TrialResult
    rows: tuple[CheckRow, ...]
    verdict: Verdict

    def explain(self) -> str:
        """Why it is not PASS, in one text."""
        return explain(self.rows) or self.result.detail

    def require_pass(self) -> None:
        """Raise :class:`NotPassed` with every row that is not PASS."""
        if self.verdict is not Verdict.PASS:
            raise NotPassed(self.verdict, self.explain())


def explain(rows: tuple[CheckRow, ...]) -> str:
    """The rows that are not PASS, a line each."""
    return "\n".join(
        f"{row.check}: {row.verdict} {row.value} ({row.reason or row.limit})" for row in rows if row.verdict is not Verdict.PASS
    )


class Session:
    """Everything fixtures need. ``announce`` tells people what goes on."""

    def __init__(self, project: Project, run: Run, announce: Announce, *, full: bool = False) -> None:
        self.brought = False  # handed over by a command that closes it itself
        self.full = full  # whole data sets instead of the default selection
        self.project = project
        self.run = run
        self.trials_of_test: list[str] = []
        self._announce = announce
        self._owned: OwnedStack | None = None
        self._failed: HarnessError | NotPassed | None = None
        self._main = Interruption()
        self.down = ""  # why it did not come up, with the last lines of the log
        self.lost = ""  # why the system that had come up is gone
        run.configuration = project.tables
        live.listen(run, project.tables)

    def target(self) -> Target:
        """The judged system's address; starts it on first use.

        ``Blocked`` where this machine lacks something, ``SystemGone`` where it did not come up or was lost: also the second time.
        """
        if self._failed is not None:
            raise self._failed
        if self.run.target is None:
            try:
                self._bring_up()
            except (ProfileUnavailable, MachineLacks, Blocked) as error:
                self._say_that_nothing_was_judged(Verdict.BLOCKED, str(error))
                self._failed = Blocked(str(error))
                raise self._failed from None
            except (StartFailed, StackGone) as error:
                self._say_that_nothing_was_judged(Verdict.FAIL, str(error))
                self.down = str(error)
                self._failed = SystemGone(f"the system did not come up: {self.down.splitlines()[0]}")
                raise self._failed from None
            except TopologyError as error:
                self._failed = UsageError(error.error, file=error.place, remedy=error.remedy)
                self._say_that_nothing_was_judged(Verdict.ERROR, str(self._failed))
                raise self._failed from None
        assert self.run.target is not None
        return self.run.target

    def _say_that_nothing_was_judged(self, verdict: Verdict, reason: str) -> None:
        """Without the system a run cannot PASS on the few tests that need none: this row is never taken out before merging."""
        self.run.journal.emit(
            TestOutcome(
                node=SYSTEM_UP, layer="system", verdict=verdict, duration_s=0.0, detail=outside(reason), title=SYSTEM_UP, optional=False
            )
        )
        self._announce(clean(f"{verdict}: {SYSTEM_UP}: {reason}"))

    def _lose(self, cause: str) -> None:
        """In the thread that watches the stack: nothing waits any longer. A trial ends by the event itself."""
        self.lost = cause
        self._failed = SystemGone(f"the system is gone: {cause}")
        self._announce(clean(f"FAIL: the system is gone: {cause}"))
        self._main.interrupt(f"the system is gone: {cause}")

    def interruptible(self) -> contextlib.AbstractContextManager[None]:
        """The work inside, in the main thread, ends with a failure when the system is lost; a trial in it ends in its own way."""
        return self._main.allowed()

    def stack(self) -> OwnedStack:
        """The run's own stack; ``Blocked`` when the target is somebody else's."""
        self.target()
        if self._owned is None:
            raise Blocked("the target was not started by this run")
        return self._owned

    def _bring_up(self) -> None:
        ENDING.check()
        table = self.project.configuration.target
        if table.base_url and self.project.configuration.topology is None:
            keys = {role: os.environ.get(variable, "") for role, variable in table.key_variables.items()}
            self.run.attach(Target(table.base_url.rstrip("/"), keys, table.key_header))
            return
        topology_table = self.project.configuration.topology
        if topology_table is None:
            raise Blocked("harness.toml has no [topology] and no base_url: there is nothing to judge")
        began = time.monotonic()
        self._announce(f"starting the system ({self.run.profile})")
        topology = load_topology(self.project.folder / topology_table.file, self.run.profile, self.project.folder)
        stack = Stack.start(
            topology,
            owner="run",
            logs_dir=self.run.folder / "logs",
            environment=self._extra_environment(),
            model_cache_dir=vector_cache(),
            deadline_s=Duration.parse(topology_table.start_deadline).seconds,
        )
        self._owned = OwnedStack(stack, self.run.journal, self._lose)
        self.run.journal.observe(self._owned.see)
        keys = {role: self._owned.secret(name) for role, name in table.keys.items()}
        base_url = table.base_url.rstrip("/") or self._owned.url(table.service)
        self.run.attach(Target(base_url, keys, table.key_header), self._owned, self._capabilities())
        self._announce(f"the system is up after {time.monotonic() - began:.1f} s")

    def _extra_environment(self) -> Mapping[str, str]:
        return {}

    def _capabilities(self) -> tuple[str, ...]:
        found = [f"service.{status.name}" for status in self._owned.services()] if self._owned else []
        if "backup" in self.project.configuration.commands:
            found.append("backup")
        return tuple(found)

    def load(self, path: Path | str) -> Scenario:
        """A scenario file of the project (name, or path)."""
        return load_scenario(scenario_path(self.project, path), self.run.registry)

    def scenario(self, path: Path | str, layer: str | None = None) -> Trial:
        """Run a scenario as a trial and judge it from the run folder."""
        scenario = self.load(path)
        self.target()
        with self._main.suspended():
            self.prepare(scenario)
            result = run_trial(self.run, scenario, layer)
        self.trials_of_test.append(result.trial)
        rows, verdict = judge_trial(self.run.folder, self.run.registry, result.trial)
        return Trial(result, rows, verdict)

    def prepare(self, scenario: Scenario) -> None:
        """Capture the references that the scenario's checks compare with, once a run: ``<reference>_reference`` is a scenario."""
        for use in scenario.checks:
            name = use.parameters.get("reference")
            if not isinstance(name, str) or (self.run.folder / "evidence" / f"reference.{name}").exists():
                continue
            undisturbed = self.load(f"{name}_reference")
            self.target()
            result = run_trial(self.run, undisturbed, scenario.layer)
            if result.outcome != "completed":
                raise HarnessError(f"the undisturbed reference {name!r} was not completed: {result.outcome}: {result.detail}")
            self.reference(name, str(use.parameters["evidence"]), result.trial)

    def reference(self, name: str, source: str, trial: str) -> None:
        """Store a captured evidence file of ``trial`` as the reference ``name`` of this run."""
        folder = self.run.folder / "evidence"
        content = (folder / trial / source).read_bytes()
        self.evidence(f"reference.{name}", content)

    def evidence(self, name: str, content: bytes, probe: str = "session") -> None:
        """Store a file of the run that belongs to no trial; once."""
        path = self.run.folder / "evidence" / name
        if path.exists():
            raise FileExistsError(f"evidence {name!r} was captured before")
        jsonio.write_atomic(path, content)
        event = EvidenceCaptured(
            trial="", probe=probe, name=name, path=f"evidence/{name}", sha256=jsonio.sha256_hex(content), size_bytes=len(content)
        )
        self.run.journal.emit(event, sync=True)

    def measured(self, metric: str) -> list[RecordedEvent]:
        """What this run measured under that name so far, in order."""
        view = FolderView(self.run.folder)
        return [item for item in view.events(Measured.NAME) if isinstance(item.event, Measured) and item.event.metric == metric]

    def use_data(self, data: DataSet) -> None:
        self.run.use_data(data)

    def note(self, text: str) -> None:
        """A sentence for people, in the journal and on the terminal."""
        self.run.journal.emit(Note(trial="", text=text))
        self._announce(text)

    def close(self, reason: str = "completed", detail: str = "") -> FinishedRun:
        """Stop the system, end the journal, judge, write the reports."""
        try:
            self._stop(at_once=reason == "interrupted")
        except KeyboardInterrupt:
            ENDING.notice()
            reason = "interrupted"
            self._stop(at_once=True)  # nothing may write into the folder while it is judged
        return self.run.finish(reason, detail)

    def _stop(self, *, at_once: bool) -> None:
        if at_once:
            end_all()
        if self._owned is not None:
            with contextlib.suppress(TopologyError):
                self._owned.close(at_once=at_once)
            self._owned = None


def project_requirements(project: Project) -> frozenset[str] | None:
    """The requirement ids of a project; None where it registers none."""
    return None if project.requirements_file is None else requirement_ids(project.requirements_file)


def project_publishers(project: Project) -> tuple[Publisher, ...]:
    """The reports of a run: page, JUnit, Allure, and the requirement matrix where the project has one."""
    if project.requirements_file is None:
        return publishers()
    return (matrix_publisher(project.requirements_file, project.folder / "docs" / "detections.json"), *publishers())


def scenario_path(project: Project, path: Path | str) -> Path:
    """The file that a name or path means; the path as given where there is none."""
    given = Path(path)
    candidates = (given, project.folder / given, project.folder / "scenarios" / f"{given}.yaml")
    return next((candidate for candidate in candidates if candidate.is_file()), given)


def vector_cache() -> Path:
    """Where vectors are kept between runs: the user's cache, or a folder in the temp dir where that cannot be written."""
    folder, fallback = vector_caches()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        pass
    fallback.mkdir(mode=0o700, exist_ok=True)
    return fallback


def vector_caches() -> tuple[Path, Path]:
    """The folders that ``vector_cache`` chooses from, the better one first; makes neither."""
    return cache_folder() / "vectors", Path(tempfile.gettempdir()) / f"evidence-harness-vectors-{os.getuid()}"
