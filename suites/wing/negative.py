"""The driver ``backup_negative``: backups that must not be restored; each must be refused for its own reason, with nothing written."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from harness.chaos.guards import require_owned
from harness.core.errors import Blocked
from harness.journal.events import DrillStage
from harness.run.commands import platform_command
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StackControl, StepContext
from suites.wing.stores import store_counts

LIMIT_S = 60.0
Control = Literal["intact", "truncated", "altered", "partial", "foreign", "wrong_key", "stale", "path_trick"]


class BackupNegative(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``controls``: what is wrong with the backup. ``intact`` is the counter-check: only the filled target stands in its way."""

    controls: tuple[Control, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """A restore that must fail: further arguments, variables, and the word its refusal must have."""

    reason: str
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = dataclasses.field(default_factory=dict)


class BackupNegativeDriver:
    """Tries each on a copy; journals ``negative:<control>`` as refused only if exit, reason and untouched stores all say so."""

    name: ClassVar[str] = "backup_negative"
    parameters: ClassVar[type[msgspec.Struct]] = BackupNegative
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: BackupNegative) -> None:
        """Raises ``Blocked`` without a stack of this run or without a restore command."""
        from suites.wing.recovery import backup_folder

        stack = require_owned(context.stack)
        source = backup_folder(context, stack)
        for control in parameters.controls:
            if context.stop():
                return
            copy = source.with_name(f"{source.name}.{control}")
            shutil.copytree(source, copy)
            try:
                self._try(context, stack, control, copy)
            finally:
                shutil.rmtree(copy)

    def _try(self, context: StepContext, stack: StackControl, control: str, copy: Path) -> None:
        project = load_project(context.project)
        table = project.configuration.commands.get("restore")
        if table is None:
            raise Blocked("harness.toml has no [commands] restore")
        before, began = _stable(stack), context.now_ns()
        attempt = SPOILERS[control](copy)
        environment = {**stack.environment(table.service), **attempt.variables}
        result = platform_command(table, str(copy), *attempt.arguments).run(environment, project.folder, LIMIT_S)
        untouched = _stable(stack) == before
        refused = result.exit_code == 1 and attempt.reason in result.text and untouched
        said = result.text.strip().splitlines()[-1:] or [""]
        detail = f"exit {result.exit_code}, stores {'untouched' if untouched else 'CHANGED'}: {said[0]}"
        context.journal.emit(
            DrillStage(
                trial=context.trial,
                stage=f"negative:{control}",
                outcome="refused" if refused else "error",
                start_ns=began,
                end_ns=context.now_ns(),
                detail=detail,
            )
        )


def _stable(stack: StackControl) -> dict[str, int]:
    """Counts without the event log, whose leases come and go while the platform serves."""
    return {name: count for name, count in store_counts(stack).items() if name != "events"}


def _largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*.gz")), key=lambda path: path.stat().st_size)


def _truncated(copy: Path) -> Attempt:
    path = _largest(copy)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return Attempt("truncated")


def _altered(copy: Path) -> Attempt:
    path = _largest(copy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return Attempt("altered")


def _partial(copy: Path) -> Attempt:
    _largest(copy).unlink()
    return Attempt("partial")


def _foreign(_copy: Path) -> Attempt:
    return Attempt("foreign", variables={"EH_STACK_ID": "00000000"})


def _wrong_key(copy: Path) -> Attempt:
    path = copy.with_name(f"{copy.name}.key")
    path.touch(mode=0o600)
    path.write_text(secrets.token_hex(32))
    return Attempt("wrong key", ("--key-file", str(path)))


def _stale(_copy: Path) -> Attempt:
    return Attempt("stale", ("--newer-than", dt.datetime.now(dt.UTC).isoformat()))


def _path_trick(copy: Path) -> Attempt:
    """A name that leads out of the folder: without the key it is found as an altered manifest, before any path is followed."""
    path = copy / "manifest.json"
    manifest = json.loads(path.read_bytes())
    manifest["files"][0]["path"] = "../../outside"
    path.write_text(json.dumps(manifest))
    return Attempt("altered")


def _intact(_copy: Path) -> Attempt:
    return Attempt("not empty")


SPOILERS: Mapping[str, Callable[[Path], Attempt]] = {
    "intact": _intact,
    "truncated": _truncated,
    "altered": _altered,
    "partial": _partial,
    "foreign": _foreign,
    "wrong_key": _wrong_key,
    "stale": _stale,
    "path_trick": _path_trick,
}
