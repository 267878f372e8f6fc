"""``harness up | down | status | heal``: systems that a person keeps, and what dead runs left behind."""

from __future__ import annotations

import argparse
import contextlib
import json
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import Blocked, HarnessError, UsageError, nearest_word
from harness.core.text import clean
from harness.core.units import Duration
from harness.core.verdict import Verdict
from harness.plugin.session import vector_cache
from harness.run.project import find_project, load_project
from harness.topology.compose import load_topology
from harness.topology.errors import MachineLacks, ProfileUnavailable, StackGone, StartFailed, TopologyError
from harness.topology.folder import sweep
from harness.topology.stack import Stack


def arguments(parser: argparse.ArgumentParser, name: str) -> None:
    parser.add_argument("--json", action="store_true")
    if name == "up":
        parser.add_argument("--profile", default="")
    elif name != "heal":
        parser.add_argument("stack", nargs="?", default=None, help="stack id (default: the newest of this project)")
    if name == "down":
        project_argument(parser)


def project_argument(parser: argparse.ArgumentParser) -> None:
    """How a stack of another project is named: by its id and its folder."""
    parser.add_argument("--project", default="", metavar="DIR", help="the project folder whose stack it is (default: this one)")


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
    profile = namespace.profile or table.profile
    try:
        topology = load_topology(project.folder / table.file, profile, project.folder)
        deadline_s = Duration.parse(table.start_deadline).seconds
        stack = Stack.start(topology, owner="user", model_cache_dir=vector_cache(), deadline_s=deadline_s)
    except (ProfileUnavailable, MachineLacks) as error:
        raise Blocked(str(error)) from None
    except (StartFailed, StackGone) as error:
        print(clean(f"harness: FAIL: the system did not come up: {error}"), file=sys.stderr)
        return Verdict.FAIL.exit_code
    except TopologyError as error:
        raise UsageError(error.error, file=error.place, remedy=error.remedy) from None
    facts = _facts(stack)
    print(json.dumps(facts, sort_keys=True) if namespace.json else _shown(facts))
    return 0


def chosen_stack(stack_id: str | None, project: str) -> Stack:
    """The stack that a command acts on: this project's newest, or one by its id; another project's only where its folder is named too."""
    here = find_project(Path.cwd())
    wanted = Path(project).resolve() if project else here
    stacks = Stack.recorded(wanted)
    mine = [stack for stack in stacks if wanted is not None and stack.project == wanted.resolve()]
    if stack_id is None:
        if project and (here is None or wanted != here.resolve()):
            raise UsageError("the stack of another project is named by its id too", remedy=_others(stacks))
        if not mine:
            raise UsageError("no stack of this project is running", remedy=_others(stacks) or "start one with `harness up`")
        return mine[0]
    found = next((stack for stack in stacks if stack.stack_id == stack_id), None)
    if found is None:
        near = nearest_word(stack_id, [stack.stack_id for stack in stacks])
        raise UsageError(
            f"no stack {stack_id!r} of yours is running", nearest=near, remedy=_others(stacks) or "start one with `harness up`"
        )
    if found not in mine:
        whose = "this project" if not project else str(wanted)
        remedy = f"if that one is meant, add --project {shlex.quote(str(found.project))}"
        raise UsageError(f"the stack {stack_id} belongs to {found.project}, not to {whose}", remedy=remedy)
    return found


def _others(stacks: Sequence[Stack]) -> str:
    named = ", ".join(f"{stack.stack_id} of {stack.project}" for stack in stacks)
    return f"running: {named}" if named else ""


def _facts(stack: Stack) -> dict[str, str]:
    """Id, project, address of the service that the project judges (empty where it says none), place of the secrets: never a secret."""
    service = ""
    with contextlib.suppress(HarnessError):
        service = load_project(stack.project).configuration.target.service
    url = stack.url(service) if service in stack.ports else ""
    return {"stack": stack.stack_id, "project": str(stack.project), "url": url, "secrets": str(stack.info.secrets_dir)}


def _shown(facts: Mapping[str, str]) -> str:
    return "\n".join(f"{name:<8} {value}" for name, value in facts.items())


def _down(namespace: argparse.Namespace) -> int:
    stack = chosen_stack(namespace.stack, namespace.project)
    stack.stop()
    print(json.dumps({"stopped": stack.stack_id}) if namespace.json else f"stopped {stack.stack_id}")
    return 0


def _status(namespace: argparse.Namespace) -> int:
    """Every stack of the user's, this project's first; 1 where a service of one that was asked for is not well."""
    here = find_project(Path.cwd())
    stacks = [stack for stack in Stack.recorded(here) if namespace.stack in {None, stack.stack_id}]
    if not stacks:
        which = f"no stack {namespace.stack!r}" if namespace.stack else "no stack"
        raise UsageError(f"{which} of yours is running", remedy="start one with `harness up`")
    described = [_described(stack) for stack in stacks]
    mine = [entry for stack, entry in zip(stacks, described, strict=True) if here is not None and stack.project == here.resolve()]
    if namespace.json:
        print(json.dumps({**(mine or [{}])[0], "stacks": described}, sort_keys=True))
    else:
        print("\n\n".join(_page(entry) for entry in described))
    asked = described if namespace.stack else mine
    return 0 if asked and all(entry["well"] for entry in asked) else 1


def _described(stack: Stack) -> dict[str, Any]:
    try:
        services, problem = stack.services(), ""
    except TopologyError as error:
        services, problem = (), error.error
    rows = [
        {
            "service": item.name,
            "state": "done" if item.done else str(item.state),
            "healthy": item.healthy,
            "pid": item.pid,
            "restarts": item.restarts,
        }
        for item in services
    ]
    well = not problem and all(item.well for item in services)
    return {**_facts(stack), "services": rows, "problem": problem, "well": well}


def _page(entry: Mapping[str, Any]) -> str:
    lines = [_shown({name: entry[name] for name in ("stack", "project", "url", "secrets", *(["problem"] if entry["problem"] else []))})]
    for row in entry["services"]:
        health = "healthy" if row["healthy"] else "" if row["state"] == "done" else "NOT HEALTHY"
        lines.append(f"{row['service']:<10} {row['state']:<9} {health:<12} pid {row['pid']} restarts {row['restarts']}")
    return "\n".join(lines)


def _heal(namespace: argparse.Namespace) -> int:
    healed = sorted(sweep(Path(tempfile.gettempdir())))
    Stack.recorded()  # drops the records of dead stacks
    print(json.dumps({"removed": healed}) if namespace.json else f"removed {len(healed)} left-over stack folder(s)")
    return 0
