"""What a driver or probe gets, and how a trial tells it to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from harness.core import jsonio
from harness.core.seeds import Seeds
from harness.journal.events import EvidenceCaptured
from harness.run.folder import TRIALS, safe_name
from harness.run.protocols import StepContext, Target

if TYPE_CHECKING:
    from harness.run.run import Run

NOWHERE = Target(base_url="", keys={})


class TrialClock:
    """When steps began and ended, and whether the trial is being ended. Shared by the threads of one trial."""

    def __init__(self) -> None:
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._started: dict[str, int] = {}
        self._ended: dict[str, int] = {}

    def start(self, step: str, at_ns: int) -> None:
        with self._lock:
            self._started[step] = at_ns

    def end(self, step: str, at_ns: int) -> None:
        with self._lock:
            self._ended[step] = at_ns

    def window(self, step: str) -> tuple[int, int] | None:
        """Start and end of a step, None before it has ended."""
        with self._lock:
            return (self._started[step], self._ended[step]) if step in self._ended else None

    def running(self) -> Iterable[str]:
        """Steps that began and have not ended, in order of their start."""
        with self._lock:
            return tuple(step for step in self._started if step not in self._ended)

    def stop(self) -> bool:
        return self.stopping.is_set()


def step_context(run: Run, trial: str, step: str, seed: int, clock: TrialClock) -> StepContext:
    """The context of one step: its seed is its own, derived from the trial's."""

    def wait(seconds: float) -> None:
        run.clock.wait(seconds, clock.stopping)

    return StepContext(
        trial=trial,
        step=step,
        target=run.target or NOWHERE,
        stack=run.stack,
        journal=run.journal,
        folder=run.folder / TRIALS / trial,
        run_folder=run.folder,
        project=run.project,
        data=run.data,
        seed=Seeds(seed).derive(step),
        now_ns=run.clock.monotonic_ns,
        wait=wait,
        stop=clock.stop,
        window=clock.window,
        running=clock.running,
        address=run.journal.address,
        configuration=run.configuration,
    )


def store_evidence(context: StepContext, probe: str, name: str, content: bytes) -> str:
    """Write ``evidence/<trial>/<name>`` (once) and journal its hash, synced; returns the path inside the run folder."""
    folder = context.run_folder / "evidence" / context.trial
    path = folder / safe_name(name)
    if path.exists():
        raise FileExistsError(f"evidence {name!r} of {context.trial} was captured before")
    jsonio.write_atomic(path, content)
    inside = path.relative_to(context.run_folder).as_posix()
    event = EvidenceCaptured(
        trial=context.trial, probe=probe, name=name, path=inside, sha256=jsonio.sha256_hex(content), size_bytes=len(content)
    )
    context.journal.emit(event, sync=True)
    return inside
