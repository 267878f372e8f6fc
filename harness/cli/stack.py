"""``harness up | down | status | heal``: systems that a person keeps, and what dead runs left behind."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from harness.core.errors import Blocked, HarnessError, UsageError
from harness.core.units import Duration
from harness.plugin.session import vector_cache
from harness.run.project import find_project, load_project
from harness.topology.compose import load_topology
from harness.topology.errors import TopologyError
from harness.topology.folder import sweep
from harness.topology.stack import Stack


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--json", action="store_true")
    if name == "up":
        parser.add_argument("--profile", default="")
    elif name != "heal":
        parser.add_argument("stack", nargs="?", default=None, help="stack id (default: the newest)")


def execute(namespace: argparse.Namespace) -> int:
    try:
        return {"up": _up, "down": _down, "status": _status, "heal": _heal}[namespace.command](namespace)
    except TopologyError as error:
        raise HarnessError(str(error)) from None


def _up(namespace: argparse.Namespace) -> int:
    project = load_project()
    table = project.configuration.topology
    if table is None:
        raise Blocked("harness.toml has no [topology]: there is nothing to start")
    topology = load_topology(project.folder / table.file, namespace.profile or table.profile, project.folder)
    deadline_s = Duration.parse(table.start_deadline).seconds
    stack = Stack.start(topology, owner="user", model_cache_dir=vector_cache(), deadline_s=deadline_s)
    facts = _facts(stack, project.folder)
    print(json.dumps(facts, sort_keys=True) if namespace.json else "\n".join(f"{name:<8} {value}" for name, value in facts.items()))
    return 0


def _facts(stack: Stack, folder: Path | None) -> dict[str, str]:
    """Id, address of the service that the project in ``folder`` judges (empty without one), and where the secrets are: never a secret."""
    service = load_project(folder).configuration.target.service if folder is not None else ""
    known = service in stack.ports
    return {"stack": stack.stack_id, "url": stack.url(service) if known else "", "secrets": str(stack.info.secrets_dir)}


def _found(namespace: argparse.Namespace) -> Stack:
    stack = Stack.find(namespace.stack)
    if stack is None:
        which = f"no stack {namespace.stack!r}" if namespace.stack else "no stack"
        raise UsageError(f"{which} of yours is running", remedy="start one with `harness up`")
    return stack


def _down(namespace: argparse.Namespace) -> int:
    stack = _found(namespace)
    stack.stop()
    print(f"stopped {stack.stack_id}")
    return 0


def _status(namespace: argparse.Namespace) -> int:
    stack = _found(namespace)
    rows = [
        {"service": item.name, "state": str(item.state), "healthy": item.healthy, "pid": item.pid, "restarts": item.restarts}
        for item in stack.services()
    ]
    facts = _facts(stack, find_project(Path.cwd()))
    if namespace.json:
        print(json.dumps({**facts, "services": rows}, sort_keys=True))
    else:
        print("\n".join(f"{name:<8} {value}" for name, value in facts.items()))
        for row in rows:
            health = "healthy" if row["healthy"] else "NOT HEALTHY"
            print(f"{row['service']:<10} {row['state']:<9} {health:<12} pid {row['pid']} restarts {row['restarts']}")
    return 0 if all(row["healthy"] for row in rows) else 1


def _heal(namespace: argparse.Namespace) -> int:
    base = Path(tempfile.gettempdir())
    before = {path.name for path in base.glob("eh-*") if path.is_dir()}
    sweep(base)
    healed = sorted(before - {path.name for path in base.glob("eh-*")})
    print(json.dumps({"removed": healed}) if namespace.json else f"removed {len(healed)} left-over stack folder(s)")
    return 0
