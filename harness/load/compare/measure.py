"""How one recording of one side is made: any command that writes a sample file, or our open-loop driver against an address."""

from __future__ import annotations

import dataclasses
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.errors import HarnessError, UsageError
from harness.core.seeds import Seeds
from harness.journal.hub import JournalHub
from harness.load.certificate import canary_errors_ms
from harness.load.compare.files import load
from harness.load.compare.recording import Recording, in_order
from harness.load.compare.two import merge
from harness.load.open_loop import OpenLoopDriver
from harness.run.folder import JOURNAL, LATEST, TRIALS
from harness.run.processes import spawn
from harness.run.protocols import StepContext, Target
from harness.run.view import FolderView
from harness.scenario.parameters import decode_parameters
from harness.thresholds.figures import values_of

OUTPUT_SHOWN = 600
BAND_SHARE = 0.05
BAND_MIN_MS = 1.0
PLACEHOLDERS = ("{out}", "{round}", "{python}")


@dataclasses.dataclass(frozen=True, slots=True)
class Commands:
    """One command a side; ``{out}`` is where it writes its samples (a file, or a folder such as ``--reports`` of `harness run`)."""

    a: str
    b: str
    folder: Path
    unit: str = ""
    tags: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __call__(self, side: str, slot: str, left_s: float) -> Recording:
        """Raises ``HarnessError`` when the command fails or is not done in the time that is left."""
        out = self.folder / slot
        self._run(command_line(self.a if side == "A" else self.b, out, slot), slot, left_s)
        return merge(load(str(_samples(out)), unit=self.unit, tags=self.tags))

    def _run(self, arguments: list[str], slot: str, left_s: float) -> None:
        log = self.folder / f"{slot}.log"
        with log.open("wb") as stream, spawn(arguments, stdout=stream, stderr=subprocess.STDOUT) as spawned:
            try:
                code = spawned.process.wait(max(left_s, 1.0))
            except subprocess.TimeoutExpired:
                raise HarnessError(f"{slot}: the command was not done in the {left_s:.0f} s that were left") from None
        if code:
            said = log.read_bytes()[-OUTPUT_SHOWN:].decode("utf-8", "replace").strip()
            raise HarnessError(f"{slot}: the command exited {code}: {said or 'it said nothing'}")


def command_line(text: str, out: Path, slot: str) -> list[str]:
    """The command's words with ``{out}``, ``{round}`` and ``{python}`` replaced; no shell. Raises ``UsageError``."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"the command {text!r} cannot be read: {error}", remedy="correct its quotes") from None
    if not words or "{out}" not in text:
        raise UsageError(f"the command {text!r} has no {{out}}", remedy="put {out} where it is told the file of its samples")
    given = {"{out}": str(out), "{round}": slot[1:3], "{python}": sys.executable}
    for name, value in given.items():
        words = [word.replace(name, value) for word in words]
    program = shutil.which(words[0])
    if program is None:
        raise UsageError(f"there is no program {words[0]!r}", remedy="give its path")
    return [program, *words[1:]]


def _samples(out: Path) -> Path:
    """What a command left: its file, the newest run below it, or its one file with an ending of its own."""
    if (out / LATEST / JOURNAL).is_file():
        return (out / LATEST).resolve()
    if out.exists():
        return out
    ended = sorted(out.parent.glob(f"{out.name}.*"))
    found = [path for path in ended if path.suffix != ".log"]
    if len(found) != 1:
        raise HarnessError(f"{out.name}: the command wrote no samples where {{out}} told it to")
    return found[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Addresses:
    """Our open-loop driver against two addresses. ``load``: its parameters as in a scenario (rate, duration, requests, …)."""

    a: str
    b: str
    folder: Path
    project: Path
    configuration: Mapping[str, Any]
    load: Mapping[str, Any]
    keys: Mapping[str, str]
    seed: int = 0

    def __call__(self, side: str, slot: str, left_s: float) -> Recording:
        """The same plan for both sides of a round: only the address differs. Raises what the driver raises."""
        run_folder = self.folder / slot
        for name in ("segments", "evidence", f"{TRIALS}/{slot}"):
            (run_folder / name).mkdir(parents=True)
        parameters = decode_parameters(OpenLoopDriver.parameters, self.load)
        with _journal(run_folder) as hub:
            stopping = threading.Event()
            timer = threading.Timer(max(left_s, 1.0), stopping.set)
            timer.daemon = True
            timer.start()
            try:
                OpenLoopDriver().run(self._context(side, slot, run_folder, hub, stopping), parameters)  # type: ignore[arg-type]
            finally:
                timer.cancel()
        return _recorded(run_folder, slot)

    def _context(self, side: str, slot: str, run_folder: Path, hub: JournalHub, stopping: threading.Event) -> StepContext:
        def wait(seconds: float) -> None:
            stopping.wait(seconds)

        return StepContext(
            trial=slot,
            step="load",
            target=Target(self.a if side == "A" else self.b, dict(self.keys)),
            stack=None,
            journal=hub,
            folder=run_folder / TRIALS / slot,
            run_folder=run_folder,
            project=self.project,
            data=None,
            seed=Seeds(self.seed).derive(f"gate {slot[:3]}"),
            now_ns=time.monotonic_ns,
            wait=wait,
            stop=stopping.is_set,
            window=lambda _step: None,
            running=lambda: (),
            address=hub.address,
            configuration=self.configuration,
        )


@contextmanager
def _journal(run_folder: Path) -> Iterator[JournalHub]:
    hub = JournalHub(run_folder / JOURNAL)
    try:
        yield hub
    finally:
        hub.close()


def _recorded(run_folder: Path, trial: str) -> Recording:
    """The steady phase's requests, and the canary's word on whether to believe them."""
    view = FolderView(run_folder)
    values = values_of("response_time", view.samples("requests", trial))
    phase = view.phase("steady", trial)
    steady = values.within(*phase) if phase else values
    recording = in_order("open loop", steady.values, steady.times_ns.astype(np.float64) / 1e9)
    errors = canary_errors_ms(view.samples("canary", trial))
    if not len(recording.values_s):
        raise HarnessError(f"{trial}: no request was made")
    band_ms = max(BAND_MIN_MS, BAND_SHARE * recording.quantile(0.99) * 1000)
    p95 = float(np.quantile(errors, 0.95, method="higher")) if len(errors) else np.inf
    doubt = f"the canary's p95 error is {p95:.2f} ms, its band {band_ms:.2f} ms" if p95 > band_ms else ""
    return dataclasses.replace(recording, doubt=doubt)


@contextmanager
def work_folder(kept: str) -> Iterator[Path]:
    """Where recordings lie while the gate works: ``kept`` (new, stays) or a temporary folder that goes."""
    if kept:
        folder = Path(kept)
        try:
            folder.mkdir(parents=True, exist_ok=False)
        except OSError as error:
            raise UsageError(f"cannot be made: {error.strerror}", file=kept, remedy="give a new folder with --keep") from None
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="harness-gate-") as name:
        yield Path(name)
