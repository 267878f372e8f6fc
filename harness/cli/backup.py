"""``harness backup DIR`` and ``harness restore DIR``: the platform's own commands, against a stack of the user's."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.cli.stack import chosen_stack, project_argument
from harness.core.errors import UsageError
from harness.run.commands import platform_command
from harness.run.project import load_project


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("folder", help="a new folder for the backup" if name == "backup" else "the folder of a backup")
    parser.add_argument("--stack", default=None, help="stack id (default: the newest of this project)")
    project_argument(parser)
    parser.add_argument("--key-file", default="", metavar="F", help="the key the backup is authenticated with (default: the stack's own)")
    if name == "restore":
        parser.add_argument("--adopt", action="store_true", help="take the backup of another platform")
        parser.add_argument("--newer-than", default="", metavar="TIME", help="refuse a backup older than this")
        parser.add_argument("--purges", default="", metavar="F", help="deletions to be replayed before anything is served")


def execute(namespace: argparse.Namespace) -> int:
    stack = chosen_stack(namespace.stack, namespace.project)
    project = load_project(stack.project)
    table = project.configuration.commands.get(namespace.command)
    if table is None:
        raise UsageError(f"harness.toml has no command {namespace.command!r}", remedy=f"add it under [commands.{namespace.command}]")
    command = platform_command(table, str(Path(namespace.folder).resolve()), *_options(namespace))
    result = command.run(stack.environment(table.service), project.folder, limit_s=900.0)
    print(result.text.rstrip())
    return 0 if result.exit_code == 0 else 1


def _options(namespace: argparse.Namespace) -> list[str]:
    """The options that were given, as the platform's own command takes them."""
    named = ((f"--{name.replace('_', '-')}", getattr(namespace, name, "")) for name in ("key_file", "newer_than", "purges"))
    options = [part for option, value in named if value for part in (option, value)]
    return [*options, *(["--adopt"] if getattr(namespace, "adopt", False) else [])]
