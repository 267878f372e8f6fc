"""``harness backup DIR`` and ``harness restore DIR``: the platform's own commands, against a stack of the user's."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.core.errors import UsageError
from harness.run.commands import platform_command
from harness.run.project import load_project
from harness.topology.stack import Stack


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("folder", help="a new folder for the backup" if name == "backup" else "the folder of a backup")
    parser.add_argument("--stack", default=None, help="stack id (default: the newest)")


def execute(namespace: argparse.Namespace) -> int:
    project = load_project()
    stack = Stack.find(namespace.stack)
    if stack is None:
        raise UsageError("no stack of yours is running", remedy="start one with `harness up`")
    table = project.configuration.commands.get(namespace.command)
    if table is None:
        raise UsageError(f"harness.toml has no command {namespace.command!r}", remedy=f"add it under [commands.{namespace.command}]")
    command = platform_command(table, str(Path(namespace.folder).resolve()))
    result = command.run(stack.environment(table.service), project.folder, limit_s=900.0)
    print(result.text.rstrip())
    return 0 if result.exit_code == 0 else 1
