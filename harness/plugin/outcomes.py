"""From pytest's reports to ``test.outcome`` events: what pytest counts as failed is failed here, whoever made the report.

The process that runs a test attaches what only it knows to each report (:func:`attach`): the exception's own verdict, title, requirements.
The process that counts, the same one or xdist's controller, folds the reports of a test as pytest counted them (:class:`Outcomes`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec
import pytest

from harness.core.errors import Blocked
from harness.core.text import outside, safe_str, type_name, visible
from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.plugin.session import NotPassed

ATTACHED: Final = "evidence_harness"  # attribute of a report; plain values only, for xdist sends reports as JSON
COLLECTION: Final = "collection"  # the layer of what could not be collected
SESSION: Final = "pytest session"  # what failed as a whole
NOT_CALLED: Final = "pytest set the test up and never called it"
DETAIL_LINES: Final = 6  # of a traceback, its last ones


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that ran a test says about it. ``verdict`` is the exception's; PASS without one."""

    name: str = ""
    layer: str = ""  # of the marker; empty: by the folder
    path: str = ""
    title: str = ""
    requirements: tuple[str, ...] = ()
    examined: int | None = None
    verdict: Verdict = Verdict.PASS
    detail: str = ""
    asked: bool = False  # whether a fixture has asked for a run by now


def attach(report: pytest.TestReport, told: Told) -> None:
    """Put ``told`` on the report in a form that travels between processes."""
    setattr(report, ATTACHED, msgspec.to_builtins(told))


def exception_verdict(error: BaseException, when: str) -> tuple[Verdict, str]:
    """What an exception means in that phase, and its text. Asks nothing of the exception that a hostile class could refuse."""
    kind, text = type(error), outside(safe_str(error))
    if issubclass(kind, NotPassed):
        return next((value for value in Verdict if value is vars(error).get("verdict")), Verdict.ERROR), text
    if issubclass(kind, Blocked | pytest.skip.Exception):
        return Verdict.BLOCKED, text
    if when == "call" and issubclass(kind, AssertionError | pytest.fail.Exception):
        return Verdict.FAIL, text or "assertion failed"
    return Verdict.ERROR, f"{type_name(error)}: {text}"


def unreportable(item: pytest.Item, call: pytest.CallInfo[Any], broken: BaseException) -> pytest.TestReport:
    """The report of an exception that pytest cannot make one of: failed, with the reason, and the session goes on."""
    kind = type_name(call.excinfo.value) if call.excinfo is not None else "result"
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords={},
        outcome="failed",
        longrepr=f"{kind} was raised in {call.when}, and pytest cannot show it: {type_name(broken)}: {outside(safe_str(broken))}",
        when=call.when if call.when != "collect" else "call",
        duration=call.duration,
        start=call.start,
        stop=call.stop,
    )


class Folded(msgspec.Struct, kw_only=True):
    """The reports of one test so far."""

    node: str
    told: Told = Told()
    verdict: Verdict = Verdict.PASS
    detail: str = ""
    duration_s: float = 0.0
    phases: set[str] = msgspec.field(default_factory=set)
    may_be_tried_again: bool = False  # by pytest-rerunfailures, which numbers the tries
    waiting: bool = False  # a try has ended; another may follow

    def add(self, report: pytest.TestReport, *, failed: bool) -> None:
        told = told_by(report)
        self.told = told or self.told
        self.duration_s += report.duration
        self.may_be_tried_again = hasattr(report, "rerun")
        if self.waiting:
            self.waiting = False
            self.phases.clear()
        if isinstance(report, pytest.SubtestReport) and not failed:
            return  # a subtest that was skipped or passed says nothing about the whole test
        self.phases.add(str(report.when))
        if failed:
            self._worse(*_failure(report, told))
        elif report.skipped:
            self._worse(Verdict.BLOCKED, _skip_reason(report, told))

    def _worse(self, verdict: Verdict, detail: str) -> None:
        if verdict.badness < self.verdict.badness:
            self.verdict, self.detail = verdict, detail

    def outcome(self, layer: str, trials: tuple[str, ...]) -> TestOutcome:
        verdict, detail = self.verdict, self.detail
        if verdict is Verdict.PASS and self.told.examined == 0:
            verdict, detail = Verdict.VACUOUS, "the test looked at nothing"
        elif verdict is Verdict.PASS and "call" not in self.phases:
            verdict, detail = Verdict.VACUOUS, NOT_CALLED
        return TestOutcome(
            node=visible(self.node),
            name=self.told.name,
            layer=layer,
            verdict=verdict,
            duration_s=round(self.duration_s, 6),
            detail=outside(detail),
            title=self.told.title,
            requirements=self.told.requirements,
            examined=self.told.examined,
            trials=trials,
        )


def told_by(report: pytest.TestReport | pytest.CollectReport) -> Told | None:
    attached = getattr(report, ATTACHED, None)
    return None if attached is None else msgspec.convert(attached, Told)


def _failure(report: pytest.TestReport, told: Told | None) -> tuple[Verdict, str]:
    """The verdict of a report that pytest counts as failed: never PASS or BLOCKED, whatever the exception was."""
    if told is not None and told.verdict not in (Verdict.PASS, Verdict.BLOCKED):
        return told.verdict, told.detail
    verdict = Verdict.FAIL if report.when == "call" else Verdict.ERROR
    return verdict, longrepr_text(report) or "pytest counts this report as failed; it has no text"


def _skip_reason(report: pytest.TestReport | pytest.CollectReport, told: Told | None) -> str:
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        return outside(f"expected to fail: {safe_str(expected)}")
    if told is not None and told.verdict is Verdict.BLOCKED:
        return told.detail
    if isinstance(report.longrepr, tuple):
        return outside(safe_str(report.longrepr[2]).removeprefix("Skipped: "))
    return longrepr_text(report)


def longrepr_text(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The last lines of what pytest says about a report."""
    return outside("\n".join(safe_str(report.longrepr or "").strip().splitlines()[-DETAIL_LINES:]))


class Asks(Protocol):
    """What the fold needs to know from its session."""

    def layer_at(self, path: Path) -> str: ...

    def trials(self) -> tuple[str, ...]:
        """The trials of the test that ends now."""
        ...

    def asked(self) -> None:
        """A test of some process has asked for a run."""
        ...


Listener = Callable[[TestOutcome], None]


class Outcomes:
    """A pytest plugin of the counting process: one ``TestOutcome`` a test, kept until somebody listens.

    So a run that is first asked for by the tenth test has the nine before it.
    """

    def __init__(self, session: pytest.Session, asks: Asks) -> None:
        self._session, self._asks = session, asks
        self._folds: dict[tuple[str, str], Folded] = {}
        self._kept: list[tuple[Path, str, Callable[[str], TestOutcome]]] = []
        self._listeners: list[Listener] = []
        self._failed = False

    def subscribe(self, listener: Listener) -> None:
        """Every outcome from now on; the first one to listen also hears what was kept."""
        self._listeners.append(listener)
        kept, self._kept = self._kept, []
        for path, layer, make in kept:
            self._give(path, layer, make)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> Generator[None, object, object]:
        before = self._session.testsfailed
        result = yield
        key = (_worker(report), report.nodeid)
        for other in [other for other, fold in self._folds.items() if fold.waiting and other[0] == key[0] and other != key]:
            self._end(other)
        fold = self._folds.setdefault(key, Folded(node=report.nodeid))
        counted = report.failed or self._session.testsfailed > before or self._called_failed(report)
        fold.add(report, failed=counted)  # pytest's last line, or its exit code
        if fold.told.asked:
            self._asks.asked()
        return result

    def _called_failed(self, report: pytest.TestReport) -> bool:
        """Whether a plugin gives the report a failed place in pytest's last line."""
        config = self._session.config
        said = config.hook.pytest_report_teststatus(report=report, config=config)
        return isinstance(said, tuple) and bool(said) and said[0] in {"failed", "error"}

    @pytest.hookimpl(wrapper=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> Generator[None, object, object]:
        """A suite that cannot be collected is an ERROR, one that is skipped as a whole BLOCKED; neither is an absence."""
        before = self._session.testsfailed
        result = yield
        if self._session.testsfailed > before:
            self._collected(report, COLLECTION, Verdict.ERROR, longrepr_text(report))
        elif report.skipped:
            self._collected(report, "", Verdict.BLOCKED, _skip_reason(report, None))
        return result

    def conclude(self) -> None:
        """A session that pytest calls failed though no test did: a plugin failed it, as one does that finds too little coverage."""
        if self._session.exitstatus == pytest.ExitCode.TESTS_FAILED and not self._failed and self._listeners:
            detail = "pytest ended with exit code 1 and no failed test: a plugin failed the session"
            outcome = TestOutcome(
                node=SESSION, layer=SESSION, verdict=Verdict.FAIL, duration_s=0.0, detail=detail, title=SESSION, optional=False
            )
            self._hear(outcome)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        for key in [key for key in self._folds if key[1] == nodeid]:
            if self._folds[key].may_be_tried_again:
                self._folds[key].waiting = True  # until this worker goes on to another test
            else:
                self._end(key)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Reports that no end followed: a worker that crashed, a plugin with a protocol of its own."""
        for key in list(self._folds):
            self._end(key)

    def _end(self, key: tuple[str, str]) -> None:
        fold, trials = self._folds.pop(key), self._asks.trials()
        told = fold.told
        path = Path(told.path) if told.path else self._file(fold.node)
        self._give(path, told.layer, lambda layer: fold.outcome(layer, trials))

    def _collected(self, report: pytest.CollectReport, layer: str, verdict: Verdict, detail: str) -> None:
        def make(layer: str) -> TestOutcome:
            optional = verdict is Verdict.BLOCKED
            return TestOutcome(
                node=visible(report.nodeid), layer=layer, verdict=verdict, duration_s=0.0, detail=outside(detail), optional=optional
            )

        self._give(self._file(report.nodeid), layer, make)

    def _file(self, node: str) -> Path:
        return self._session.config.rootpath / node.partition("::")[0]

    def _give(self, path: Path, layer: str, make: Callable[[str], TestOutcome]) -> None:
        if not self._listeners:
            self._kept.append((path, layer, make))
            return
        self._hear(make(layer or self._asks.layer_at(path)))

    def _hear(self, outcome: TestOutcome) -> None:
        self._failed = self._failed or outcome.verdict in {Verdict.FAIL, Verdict.ERROR}
        for listener in self._listeners:
            listener(outcome)


def _worker(report: Any) -> str:
    """The worker of xdist that sent the report; empty in one process."""
    node = getattr(report, "node", None)
    return getattr(getattr(node, "gateway", None), "id", "")
