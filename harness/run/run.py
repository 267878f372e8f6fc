"""A run: one journal, one folder, one verdict. Trials, tests and layers happen inside it."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.core import jsonio
from harness.core.clock import NS_PER_S, Clock, SystemClock
from harness.core.ending import ENDING
from harness.core.errors import Blocked, HarnessError, UsageError
from harness.core.seeds import Seeds, fresh_seed
from harness.core.text import one_line, outside
from harness.journal import verify_run
from harness.journal.events import DataSet, DataUsed, Event, LayerFinished, LayerStarted, RunFinished, RunStarted
from harness.journal.hub import JournalHub
from harness.journal.manifest import write_manifest
from harness.journal.summary import Summary
from harness.journal.writer import JournalWriter
from harness.run.environment import environment_facts
from harness.run.folder import JOURNAL, SUMMARY, VERIFIER, create_run_folder, point_latest
from harness.run.judge import NOT_JUDGED, Judged, judge_trials, summarise
from harness.run.limits import OutOfTime, within
from harness.run.protocols import Listener, StackControl, Target
from harness.run.registry import Registry
from harness.run.view import FolderView

Publisher = Callable[[Path, Summary], None]
INTERRUPTED_LIMIT_S = 2.5  # of the reports of a run that was interrupted; whoever pressed Ctrl-C waits
JUDGING_SHARE = 0.4  # of that limit; a run that takes longer to judge says that it was not
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}


@dataclasses.dataclass(frozen=True, slots=True)
class FinishedRun:
    """What is left of a run: its folder, its summary, and the hash to be printed."""

    folder: Path
    summary: Summary
    manifest_sha256: str
    problems: tuple[str, ...]  # publishers that failed; the verdict does not depend on them

    @property
    def interrupted(self) -> bool:
        """Whether a person ended it, in the trials or after them."""
        return self.summary.finished == "interrupted"


class Run:
    """Opens a run folder and owns its journal until ``finish``. A context manager: leaving it finishes the run.

    ``target``, ``stack`` and ``capabilities`` are set by whoever brings the system up (``attach``).
    """

    def __init__(
        self,
        reports: Path,
        *,
        registry: Registry,
        project: Path,
        profile: str = "embedded",
        mode: str = "run",
        command: Sequence[str] = (),
        seed: int | None = None,
        data: Path | None = None,
        required: Sequence[str] = (),
        publishers: Sequence[Publisher] = (),
        clock: Clock | None = None,
    ) -> None:
        """``required``: layers or capabilities without which the run is BLOCKED."""
        self.registry, self.project, self.data, self.profile = registry, project, data, profile
        self.clock: Clock = clock or SystemClock()
        self.seeds = Seeds(fresh_seed() if seed is None else seed)
        self.target: Target | None = None
        self.stack: StackControl | None = None
        self.finished: FinishedRun | None = None
        self.configuration: Mapping[str, Any] = {}
        self._capabilities: set[str] = set()
        self._publishers = list(publishers)
        self._listeners: list[Listener] = []
        self._trials: set[str] = set()
        self._judged: Judged | None = None
        self._unpublished: frozenset[Path] = frozenset()  # what is in the folder before the reports are written
        self._ended = False  # the journal has its last event
        self._lock = threading.Lock()
        self._began_ns = self.clock.monotonic_ns()
        self.folder = create_run_folder(reports, self.clock.wall())
        self.id = self.folder.name
        self.journal = JournalHub(self.folder / JOURNAL, self.clock)
        self.journal.emit(
            RunStarted(
                run=self.id,
                command=tuple(command),
                seed=self.seeds.root,
                profile=profile,
                mode=mode,
                environment=environment_facts(),
                required=tuple(required),
            ),
            sync=True,
        )

    def attach(self, target: Target | None, stack: StackControl | None = None, capabilities: Sequence[str] = ()) -> None:
        """Tell the run which system it judges. ``target`` and ``stack.owned`` become capabilities by themselves."""
        self.target, self.stack = target, stack
        self._capabilities = set(capabilities)

    @property
    def capabilities(self) -> frozenset[str]:
        """What scenarios and drivers may require here."""
        own = {"target"} if self.target is not None else set()
        owned = {"stack.owned"} if self.stack is not None else set()
        data = {"data"} if self.data is not None else set()
        return frozenset(self._capabilities | own | owned | data)

    def publish(self, publisher: Publisher) -> None:
        """Let ``publisher`` write files (report, JUnit) after the summary and before the manifest."""
        self._publishers.append(publisher)

    def listen(self, listener: Listener) -> None:
        """Let ``listener`` see every event from now on; it is closed before the journal, so that what came of it is journaled."""
        self._listeners.append(listener)

        def see(event: Event) -> None:
            with contextlib.suppress(Exception):  # it runs in the thread of whoever emitted the event
                listener.see(event)

        self.journal.observe(see)

    def use_data(self, data: DataSet) -> None:
        """Journal which data was read."""
        self.journal.emit(DataUsed(data=data))

    def trial_id(self, scenario: str) -> str:
        """A trial id not used in this run: the scenario's name, then ``name-2`` …"""
        with self._lock:
            name, number = scenario, 1
            while name in self._trials:
                number += 1
                name = f"{scenario}-{number}"
            self._trials.add(name)
        return name

    @contextlib.contextmanager
    def layer(self, layer: str, *, required: bool = False) -> Iterator[None]:
        """Frame a layer; a ``Blocked`` raised inside is journaled as the layer's reason and goes no further."""
        began = self.clock.monotonic_ns()
        self.journal.emit(LayerStarted(layer=layer, required=required))
        blocked = ""
        try:
            yield
        except Blocked as error:
            blocked = outside(error.reason) or "blocked"
        # A layer that ended by another exception has no end in the journal: it is ABORTED.
        self.journal.emit(LayerFinished(layer=layer, duration_s=self._seconds_since(began), blocked=blocked))

    def _seconds_since(self, began_ns: int) -> float:
        return round((self.clock.monotonic_ns() - began_ns) / NS_PER_S, 6)

    def finish(self, reason: str = "completed", detail: str = "") -> FinishedRun:
        """End the journal, judge, write summary, reports and manifest, move ``latest``. A second call gives the same.

        Ctrl-C meanwhile is answered here: the run ends as ``interrupted`` within seconds, with what was judged so far.
        """
        if self.finished is not None:
            return self.finished
        try:
            return self._finish(reason, detail)
        except OSError as error:
            raise HarnessError(
                f"{error.filename or self.folder}: the end of the run cannot be written: {error.strerror or error}; free space there, then "
                f"`harness report {self.folder} --to DIR`"
            ) from None

    def _finish(self, reason: str, detail: str) -> FinishedRun:
        try:
            if self._ended:  # the main thread is stuck behind it, this is another one
                return self._conclude_interrupted()
            self._end_journal(reason, detail)
            return self._conclude(ENDING.left_s())
        except (KeyboardInterrupt, OutOfTime):
            ENDING.notice()
            return self.finished or self._conclude_interrupted()

    def _end_journal(self, reason: str, detail: str) -> None:
        for listener in self._listeners:
            with contextlib.suppress(Exception):  # whoever follows the run must not cost its verdict
                listener.close()
        self.journal.emit(RunFinished(reason=reason, duration_s=self._seconds_since(self._began_ns), detail=outside(detail)), sync=True)
        self._ended = True
        self.journal.close()

    def _conclude_interrupted(self) -> FinishedRun:
        """A second end behind the first says what happened, also to ``recheck``; then as ever, but with bounded reports."""
        self.journal.close()
        journal = JournalWriter(self.folder / JOURNAL, self.clock, resume=True)
        detail = NOT_JUDGED if self._judged is None else "while the reports were written"
        journal.append(RunFinished(reason="interrupted", duration_s=self._seconds_since(self._began_ns), detail=detail), sync=True)
        journal.close()
        for path in self._files() - self._unpublished if self._unpublished else ():
            path.unlink()  # a report of a run that was completed
        return self._conclude(min(INTERRUPTED_LIMIT_S, ENDING.left_s() or INTERRUPTED_LIMIT_S))

    def _conclude(self, limit_s: float | None = None) -> FinishedRun:
        """``limit_s``: of judging and all publishers together; ``OutOfTime`` where the judging alone takes too much of it."""
        until_ns = None if limit_s is None else self.clock.monotonic_ns() + round(limit_s * NS_PER_S)
        view = FolderView(self.folder)
        if self._judged is None:
            share_s = None if limit_s is None else limit_s * JUDGING_SHARE
            self._judged = within(share_s, lambda: judge_trials(view, self.registry))
        ENDING.stand_aside()
        summary = summarise(view, self.registry, self._judged)
        jsonio.write_atomic(self.folder / SUMMARY, summary.encoded())
        jsonio.write_atomic(self.folder / VERIFIER, Path(verify_run.__file__).read_bytes())
        self._unpublished = self._files()
        problems = tuple(filter(None, [self._published(publisher, summary, until_ns) for publisher in self._publishers]))
        manifest = write_manifest(self.folder)
        try:
            point_latest(self.folder)
        except UsageError as error:
            problems = (*problems, str(error))
        self.finished = FinishedRun(self.folder, summary, manifest, problems)
        return self.finished

    def _files(self) -> frozenset[Path]:
        return frozenset(path for path in self.folder.rglob("*") if path.is_file())

    def _published(self, publisher: Publisher, summary: Summary, until_ns: int | None) -> str:
        ENDING.stand_aside()
        left_s = None if until_ns is None else (until_ns - self.clock.monotonic_ns()) / NS_PER_S
        try:
            within(left_s, lambda: publisher(self.folder, summary))
        except OSError as error:
            if error.errno in FULL:
                raise
            return one_line(f"{getattr(publisher, '__qualname__', publisher)}: {type(error).__name__}: {error}")
        except (Exception, OutOfTime) as error:  # noqa: BLE001 - a report that cannot be drawn must not cost the verdict
            return one_line(f"{getattr(publisher, '__qualname__', publisher)}: {type(error).__name__}: {error}")
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error is None:
            if self.finished is None and self.finish().interrupted:
                raise KeyboardInterrupt  # while it was finished; the caller must hear of it
        elif isinstance(error, KeyboardInterrupt):
            self.finish("interrupted")
        else:
            self.finish("error", f"{type(error).__name__}: {error}")
