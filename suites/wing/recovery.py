"""The driver ``backup_drill``: back up under writes, lose every store for real, restore into empty ones, verify, serve.

Media loss: the engines are killed and their folders deleted; they come up empty through their own launchers. Recovery time counts
from the first kill until an independent read of the serving platform has found the newest write that was to be found.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec

from harness.chaos.guards import require_loopback, require_owned
from harness.consistency.acknowledged import latest
from harness.core.errors import Blocked, HarnessError
from harness.core.units import Duration
from harness.journal.events import DrillStage, FaultApplied, FaultIntended, FaultProof, FaultUndone, Measured, Window
from harness.run.commands import platform_command
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StackControl, StepContext
from harness.run.view import FolderView
from suites.wing.api import Api
from suites.wing.negative import BackupNegativeDriver
from suites.wing.stores import disagreements, objects_folder, store_counts

__all__ = ["BackupDrillDriver", "BackupNegativeDriver"]

NS = 1_000_000_000
ENGINES = ("records", "search", "graph", "cache", "events")
CLIENTS = ("worker", "gateway")  # held down until the stores are reconciled
COMMAND_LIMIT_S = 240.0
ENGINE_LIMIT_S = 60.0
POLL_S = 0.05
_STAGE = re.compile(r"^stage (\w+) ([0-9.]+) s$", re.MULTILINE)


class BackupDrill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The backup begins ``backup_at`` after the step's start, and not before ``minimum_before_backup`` writes are acknowledged (a slow
    machine takes longer); destruction when the step ``destroy_after`` has ended. Fewer acknowledged writes than
    ``minimum_after_backup`` between the two leave nothing at risk (the checker says so)."""

    backup_at: Duration
    destroy_after: str
    minimum_before_backup: int = 30
    minimum_after_backup: int = 100


class BackupDrillDriver:
    """Journals every stage with its times, the loss as a fault with its proof, and ``rto`` and ``rpo``."""

    name: ClassVar[str] = "backup_drill"
    parameters: ClassVar[type[msgspec.Struct]] = BackupDrill
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("rto", "s", "measured"),
        MetricSpec("rpo", "s", "measured"),
        MetricSpec("backup_time", "s", "measured"),
        MetricSpec("acknowledged_after_backup", "1", "measured"),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned", "target"})
    implies: ClassVar[tuple[str, ...]] = ("proof_of_effect", "no_residue")

    def run(self, context: StepContext, parameters: BackupDrill) -> None:
        """Raises ``Blocked`` on a stack that is not ours, ``HarnessError`` naming the stage that failed."""
        stack = require_owned(context.stack)
        require_loopback(context.target.base_url)
        drill = Drill(context, stack)
        context.wait(parameters.backup_at.seconds)
        while len(drill.acknowledged()) < parameters.minimum_before_backup and context.window(parameters.destroy_after) is None:
            if context.stop():
                return
            context.wait(POLL_S * 5)
        backed_up_ns = drill.backup()
        while context.window(parameters.destroy_after) is None:
            if context.stop():
                return
            context.wait(POLL_S)
        after = sum(row["acked_ns"] > backed_up_ns for row in drill.acknowledged())
        drill.measure("acknowledged_after_backup", "1", after)
        try:
            drill.destroy()
            drill.restore()
            drill.verify()
            drill.serve()
        finally:
            drill.release_all()


class Drill:
    """One drill: the stages in order, each of which journals itself."""

    def __init__(self, context: StepContext, stack: StackControl) -> None:
        self._context, self._stack = context, stack
        self._destroyed_ns = 0

    def backup(self) -> int:
        """When the backup had ended (monotonic ns)."""
        began = self._context.now_ns()
        with self.stage("backup"):
            backup_folder(self._context, self._stack, fresh=True)
        ended = self._context.now_ns()
        self.measure("backup_time", "s", (ended - began) / NS)
        return ended

    def destroy(self) -> None:
        """Kill everything that holds or serves data, delete the data, and show that what comes up is empty."""
        before, held = store_counts(self._stack), {status.name: status for status in self._stack.services()}
        fault = {"trial": self._context.trial, "fault": self._context.step}
        undo = "every store is restored and reconciled, every service released"
        self._emit(FaultIntended(**fault, kind="media loss", target=", ".join(ENGINES), undo=undo, at_ns=self._context.now_ns()), sync=True)
        self._destroyed_ns = self._context.now_ns()
        with self.stage("destroy") as say:
            for name in (*CLIENTS, *ENGINES):
                self._stack.hold(name)
                self._stack.kill(name, signal.SIGKILL)
            self._await(lambda: all(status.state == "held" for status in self._of(*CLIENTS, *ENGINES)), "the services do not end")
            self._emit(FaultApplied(**fault, at_ns=self._destroyed_ns, detail=f"SIGKILL and data deleted: {', '.join(ENGINES)}, objects"))
            for folder in (*(self._stack.folder / "data" / name for name in ENGINES), objects_folder(self._stack)):
                shutil.rmtree(folder, ignore_errors=True)
            for name in ENGINES:
                self._stack.release(name)
            for name in ENGINES:
                now = self._stack.wait_healthy(name, ENGINE_LIMIT_S)
                pids = f"{name} {held[name].pid}", f"{name} {now.pid}"
                self._emit(FaultProof(**fault, proof="pid_changed", before=pids[0], after=pids[1], at_ns=self._context.now_ns()))
            after = store_counts(self._stack)
            say(f"{_shown(before)} → {_shown(after)}")
            proof = {"before": str(sum(before.values())), "after": str(sum(after.values()))}
            self._emit(FaultProof(**fault, proof="stores_emptied", **proof, at_ns=self._context.now_ns()))
            if any(after.values()):
                raise HarnessError(f"the stores were not empty before the restore: {_shown(after)}")

    def restore(self) -> None:
        """The platform's restore, which reconciles; it says how long each part took."""
        began = self._context.now_ns()
        text = run_command(self._context, self._stack, "restore", str(backup_folder(self._context, self._stack)))
        ended = self._context.now_ns()
        took = {name: round(float(seconds) * NS) for name, seconds in _STAGE.findall(text)}
        if not {"restore", "reconcile"} <= took.keys():
            raise HarnessError(f"restore did not say what it did: {text[-400:]}")
        turn = max(began, ended - took["reconcile"])
        self._stage("restore", began, turn, _line(text, "records"))
        self._stage("reconcile", turn, ended, f"{_line(text, 'before')}; {_line(text, 'after')}")

    def verify(self) -> None:
        """Independently, before anything is served: the projections hold what the records say."""
        with self.stage("verify") as say:
            wrong = disagreements(self._stack)
            if wrong:
                raise HarnessError(f"restored and not consistent: {'; '.join(wrong)}")
            say(_shown(store_counts(self._stack)))

    def serve(self) -> None:
        """Let clients in, wait until the platform says it is ready, and read the newest recovered write from it."""
        with self.stage("serve") as say:
            for name in reversed(CLIENTS):
                self._stack.release(name)
            for name in CLIENTS:
                self._stack.wait_healthy(name, ENGINE_LIMIT_S)
            self._await(self._ready, "the platform is not ready")
            found = self._found()
            acknowledged = sorted((row["acked_ns"], row["write_id"] in found) for row in self.acknowledged())
            recovered = [at for at, here in acknowledged if here]
            say(f"{len(recovered)} of {len(acknowledged)} acknowledged writes are served")
        now = self._context.now_ns()
        self._emit(FaultUndone(trial=self._context.trial, fault=self._context.step, at_ns=now, detail="restored"), sync=True)
        window = Window(
            trial=self._context.trial,
            kind="fault",
            name=self._context.step,
            start_ns=self._destroyed_ns,
            end_ns=now,
            tags={"kind": "media loss"},
        )
        self._emit(window)
        self.measure("rto", "s", (now - self._destroyed_ns) / NS)
        if recovered:
            self.measure("rpo", "s", (acknowledged[-1][0] - recovered[-1]) / NS)

    def acknowledged(self) -> list[dict[str, Any]]:
        """Writes answered 2xx so far."""
        rows = latest(FolderView(self._context.run_folder).samples("writes", self._context.trial))
        return [row for row in rows if row["acked_ns"] is not None]

    def release_all(self) -> None:
        """Whatever happened: nothing of the stack stays held."""
        for status in self._stack.services():
            if status.state == "held":
                self._stack.release(status.name)

    def measure(self, metric: str, unit: str, value: float) -> None:
        self._emit(Measured(trial=self._context.trial, metric=metric, unit=unit, value=float(value)))

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[Callable[[str], None]]:
        """Journals a stage when it has ended; the yielded function sets its detail."""
        began, details = self._context.now_ns(), [""]
        try:
            yield details.append
        except Exception as error:
            self._stage(name, began, self._context.now_ns(), str(error), "error")
            raise
        self._stage(name, began, self._context.now_ns(), details[-1])

    def _stage(self, name: str, start_ns: int, end_ns: int, detail: str, outcome: str = "done") -> None:
        self._emit(
            DrillStage(trial=self._context.trial, stage=name, outcome=outcome, start_ns=start_ns, end_ns=end_ns, detail=detail), sync=True
        )

    def _emit(self, event: Any, *, sync: bool = False) -> None:
        self._context.journal.emit(event, sync=sync)

    def _of(self, *names: str) -> list[Any]:
        return [status for status in self._stack.services() if status.name in names]

    def _await(self, condition: Callable[[], bool], otherwise: str) -> None:
        deadline = self._context.now_ns() + round(ENGINE_LIMIT_S * NS)
        while not condition():
            if self._context.now_ns() > deadline or self._context.stop():
                raise HarnessError(f"{otherwise} within {ENGINE_LIMIT_S:g} s")
            self._context.wait(POLL_S)

    def _ready(self) -> bool:
        try:
            return bool(httpx.get(f"{self._context.target.base_url}/ready", timeout=3.0).json()["status"] == "ready")
        except (httpx.TransportError, ValueError, KeyError):
            return False

    def _found(self) -> set[str]:
        with Api(self._context.target, "reader") as api:
            return {str(node["key"]) for node in api.graph()[0] if node["label"] == "EligibilityConstraint"}


def backup_folder(context: StepContext, stack: StackControl, *, fresh: bool = False) -> Path:
    """The trial's backup, beside the data folders of the stack (it goes with the stack); made when absent."""
    folder = stack.folder / "backups" / context.trial
    if fresh or not folder.exists():
        folder.parent.mkdir(mode=0o700, exist_ok=True)
        run_command(context, stack, "backup", str(folder))
    return folder


def run_command(context: StepContext, stack: StackControl, name: str, *more: str) -> str:
    """A command of the platform by its name in harness.toml; raises with its last words when it fails."""
    project = load_project(context.project)
    table = project.configuration.commands.get(name)
    if table is None:
        raise Blocked(f"harness.toml has no [commands] {name}")
    result = platform_command(table, *more).run(stack.environment(table.service), project.folder, COMMAND_LIMIT_S)
    if result.exit_code != 0:
        raise HarnessError(f"{name} failed with exit {result.exit_code}: {result.text[-600:]}")
    return result.text


def _shown(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.items())


def _line(text: str, word: str) -> str:
    """The last line of an output that starts with this word."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.startswith(word)), "")
