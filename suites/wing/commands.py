"""The driver ``reset_system``: empty stores, servers up; the platform's own command does it while its worker is held down."""

from __future__ import annotations

import signal
from typing import ClassVar

import msgspec

from harness.core.errors import Blocked, HarnessError
from harness.run.commands import platform_command
from harness.run.project import load_project
from harness.run.protocols import MetricSpec, StepContext

LIMIT_S = 60.0
HEALTHY_S = 30.0


class Reset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step without parameters."""


class ResetDriver:
    """Holds the worker down, resets, lets it come up again."""

    name: ClassVar[str] = "reset_system"
    parameters: ClassVar[type[msgspec.Struct]] = Reset
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: Reset) -> None:
        """Raises with the command's last words when it fails."""
        del parameters
        stack = context.stack
        if stack is None:
            raise Blocked("only a stack of this run may be reset")
        project = load_project(context.project)
        table = project.configuration.commands.get("reset")
        if table is None:
            raise Blocked("harness.toml has no [commands] reset")
        stack.hold("worker")
        stack.kill("worker", signal.SIGKILL)
        try:
            result = platform_command(table).run(stack.environment(table.service), project.folder, LIMIT_S)
        finally:
            stack.release("worker")
        if result.exit_code != 0:
            raise HarnessError(f"the reset failed with exit {result.exit_code}: {result.text[-600:]}")
        stack.wait_healthy("worker", HEALTHY_S)
