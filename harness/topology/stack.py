"""A running stack, seen from outside: start or find one, ask it, disturb it, stop it."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

import msgspec

import harness
from harness.topology import control, registry
from harness.topology.control import Request
from harness.topology.errors import MachineLacks, StackGone, StartFailed, TopologyError
from harness.topology.events import EVENTS_FILE, read_events
from harness.topology.folder import end_remains, read_info
from harness.topology.model import Owner, ServiceStatus, StackInfo, StackStatus, StartRequest, SupervisorEvent, Topology
from harness.topology.processes import stands_still, start_time
from harness.topology.wire import decode, encode

_START_LIMIT_S = 300.0
_STOP_LIMIT_S = 10.0
_STOP_AT_ONCE_LIMIT_S = 2.0
_ANSWER_LIMIT_S = 6.0  # a supervisor does nothing that takes long: one that is silent for so long stands still
_LAUNCH_LIMIT_S = 60.0
_STANDING_S = 2.0
_DYING_S = 1.0
_POLL_S = 0.03


class Stack:
    """Handle of one stack. As a context manager it stops the stack at the end."""

    def __init__(self, info: StackInfo, supervisor: subprocess.Popen[bytes] | None = None) -> None:
        self.info = info
        self._supervisor = supervisor
        self._last_events: list[SupervisorEvent] = []
        self._standing_since: float | None = None

    @classmethod
    def start(
        cls,
        topology: Topology,
        owner: Owner = "run",
        base_dir: Path | None = None,
        *,
        keep: bool = False,
        only: Iterable[str] | None = None,
        logs_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        model_cache_dir: Path | None = None,
        deadline_s: float = _START_LIMIT_S,
    ) -> Stack:
        """Start the services (``only`` those named and what they depend on) and return when all are healthy.

        ``owner="run"``: the stack ends with this process, however it ends. ``environment`` is added to that of every service.
        Raises ``StartFailed`` with the last words of the service that did not come up, ``MachineLacks`` where the machine is to blame;
        nothing is left running then.
        """
        request = StartRequest(
            topology=topology.subset(only),
            stack_id=secrets.token_hex(4),
            owner=owner,
            owner_pid=os.getpid(),
            owner_start=start_time(os.getpid()) or 0.0,
            base_dir=(base_dir or Path(tempfile.gettempdir())).absolute(),
            model_cache_dir=model_cache_dir or registry.user_folder("cache"),
            python=sys.executable,
            keep=keep,
            logs_dir=logs_dir.absolute() if logs_dir else None,
            environment=dict(environment or {}),
        )
        stack = cls(*_launch(request))
        try:
            if owner == "user":  # before it is ready: it is to be found also where its starter is killed now
                registry.record(stack.info)
            stack._wait_ready(deadline_s)
        except BaseException as error:
            stack.stop(at_once=not isinstance(error, Exception))
            raise
        return stack

    @classmethod
    def attach(cls, stack_dir: Path) -> Stack:
        """The stack whose folder this is; raises ``StackGone`` where its supervisor does not answer."""
        stack = cls(read_info(stack_dir))
        stack.status()
        return stack

    @classmethod
    def recorded(cls, project: Path | None = None) -> list[Stack]:
        """The user's stacks that live, newest first; those of the project folder ``project`` before all others."""
        infos = registry.recorded()
        mine = [info for info in infos if project is not None and info.project == project.resolve()]
        return [cls(info) for info in (*mine, *(info for info in infos if info not in mine))]

    @property
    def stack_id(self) -> str:
        return self.info.stack_id

    @property
    def folder(self) -> Path:
        return self.info.folder

    @property
    def project(self) -> Path:
        """The folder of the project whose stack this is."""
        return self.info.project

    @property
    def ports(self) -> dict[str, int]:
        """The first port of each service that has one."""
        return dict(self.info.ports)

    def url(self, service: str) -> str:
        """The address of ``service``: what the system's environment calls ``EH_<SERVICE>_URL``, else its HTTP port on loopback."""
        name = f"EH_{service.upper()}_URL"
        for environment in self.info.environments.values():
            if name in environment:
                return environment[name]
        if service not in self.info.ports:
            raise TopologyError(f"service {service!r} has no port", f"stack {self.stack_id}", f"name one of {', '.join(self.info.ports)}")
        return f"http://127.0.0.1:{self.info.ports[service]}"

    def environment(self, service: str) -> dict[str, str]:
        """The variables the topology gives to ``service`` in this stack (no secret is among them)."""
        return dict(self.info.environments[service])

    def secret(self, name: str) -> str:
        try:
            return (self.info.secrets_dir / name).read_text(encoding="utf-8")
        except OSError as error:
            raise TopologyError(f"there is no secret {name!r}", str(self.info.secrets_dir), "declare it under 'secrets:'") from error

    def status(self) -> StackStatus:
        return decode(self._ask(Request("status")), StackStatus)

    def services(self) -> tuple[ServiceStatus, ...]:
        return self.status().services

    def service(self, name: str) -> ServiceStatus:
        for status in self.services():
            if status.name == name:
                return status
        raise TopologyError(f"no service {name!r}", f"stack {self.stack_id}", "name a service of the topology")

    def events(self, after_sequence: int = 0) -> list[SupervisorEvent]:
        """Events with a larger sequence number; after ``stop``, those known then."""
        try:
            return decode(self._ask(Request("events", after=after_sequence)), list[SupervisorEvent])
        except StackGone:
            return [event for event in self._last_events if event.sequence > after_sequence]

    def kill(self, service: str, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; the event ``service_signalled`` carries the moment just before it."""
        self._ask(Request("kill", service, signal.Signals(number).name))

    def pause(self, service: str) -> None:
        """SIGSTOP for the service and everything it started."""
        self.kill(service, signal.SIGSTOP)

    def resume(self, service: str) -> None:
        self.kill(service, signal.SIGCONT)

    def hold(self, service: str) -> None:
        """Suspend its restart policy: once it is down, it stays down until ``release``."""
        self._ask(Request("hold", service))

    def release(self, service: str) -> None:
        self._ask(Request("release", service))

    def restart(self, service: str) -> None:
        self._ask(Request("restart", service))

    def wait_healthy(self, service: str, deadline_s: float = 30.0) -> ServiceStatus:
        """Wait until ``service`` is healthy; raises ``TopologyError`` with its state at the deadline."""
        return self.wait_for(service, lambda status: status.healthy, deadline_s)

    def wait_for(self, service: str, condition: Callable[[ServiceStatus], bool], deadline_s: float = 30.0) -> ServiceStatus:
        """Wait until ``condition(status)`` holds for ``service``."""
        deadline = time.monotonic() + deadline_s
        while not condition(status := self.service(service)):
            if time.monotonic() > deadline:
                problem = f"{service} is {status.state} after {deadline_s:g} s: {status.detail or 'no health answer yet'}"
                raise TopologyError(problem, f"stack {self.stack_id}", f"read {self.info.logs_dir / (service + '.log')}")
            time.sleep(_POLL_S)
        return status

    @property
    def standing(self) -> bool:
        """Whether the supervisor stood still when ``problem`` last looked."""
        return self._standing_since is not None

    def problem(self) -> str:
        """Why the supervisor cannot do its work: it died, or stands still (for two seconds of asking). Empty while all is well."""
        who = f"the supervisor (pid {self.info.supervisor_pid})"
        if start_time(self.info.supervisor_pid) != self.info.supervisor_start:
            self._standing_since = None
            return f"{who} died"
        if not stands_still(self.info.supervisor_pid):
            self._standing_since = None
            return ""
        self._standing_since = self._standing_since or time.monotonic()
        return f"{who} is stopped (SIGSTOP)" if time.monotonic() - self._standing_since >= _STANDING_S else ""

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the stack; returns when supervisor, processes and folder are gone. Harmless when it has ended already.

        ``at_once``: the services get SIGKILL, as when the owner dies, and a supervisor that stands still is not waited for.
        """
        at_once = at_once and self._let_go()
        deadline = time.monotonic() + (_STOP_AT_ONCE_LIMIT_S if at_once else self._ask_to_stop())
        while start_time(self.info.supervisor_pid) == self.info.supervisor_start:
            if self.problem() or (at_once and self.standing) or time.monotonic() > deadline:
                os.kill(self.info.supervisor_pid, signal.SIGKILL)  # the kernel ends its children with it
                break
            time.sleep(_POLL_S)
        if self._supervisor is not None:
            self._supervisor.wait(timeout=_STOP_LIMIT_S)
            for stream in (self._supervisor.stdin, self._supervisor.stdout):
                if stream is not None:
                    stream.close()
        with contextlib.suppress(OSError):  # where the log outlives the stack, it tells the last moments too
            self._last_events = read_events(self.info.logs_dir / EVENTS_FILE)
        if self.folder.exists():
            end_remains(self.stack_id, self.folder, self.info.socket, keep=self.info.keep)
        if self.info.owner == "user":
            registry.forget(self.stack_id)

    def _let_go(self) -> bool:
        """Close the owner's life line, which a user's stack does not listen to; False where this did not start the stack."""
        if self._supervisor is None or self._supervisor.stdin is None:
            return False
        self._supervisor.stdin.close()
        if self.info.owner == "user":
            self._supervisor.terminate()
        return True

    def _ask_to_stop(self) -> float:
        """How long a supervisor that was asked may take: no time where it died or stands still, and could not be asked."""
        while not (problem := self.problem()) and self.standing:
            time.sleep(_POLL_S)
        if problem:
            return 0.0
        with contextlib.suppress(TopologyError):
            self._last_events = decode(self._ask(Request("events")), list[SupervisorEvent])
            self._ask(Request("stop"))
            return _STOP_LIMIT_S
        return 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _wait_ready(self, deadline_s: float) -> None:
        deadline = time.monotonic() + deadline_s
        while True:
            if problem := self.problem():
                raise StackGone(problem, f"stack {self.stack_id}", "start it again")
            status = None if self.standing else self.status()
            if status is not None and status.startup != "starting":
                break
            if time.monotonic() > deadline:
                waiting = [f"{s.name} ({s.state}: {s.detail})" for s in (status.services if status else ()) if not s.well]
                raise StartFailed(
                    f"not healthy after {deadline_s:g} s: {', '.join(waiting)}", str(self.info.topology_file), f"read {self.info.logs_dir}"
                )
            time.sleep(_POLL_S)
        if status.startup == "failed":
            place = str(self.info.topology_file)
            raise (MachineLacks if status.lacking else StartFailed)(status.failure, place, "correct what the log says")

    def _ask(self, request: Request) -> bytes:
        try:
            return control.ask(self.info.socket, request, _ANSWER_LIMIT_S)
        except StackGone as error:
            problem = self._cause()
            raise StackGone(problem, f"stack {self.stack_id}", "start a new stack") from error

    def _cause(self) -> str:
        """Why it gave no answer; a process that is being ended closes its socket a moment before it is gone."""
        who, deadline = f"the supervisor (pid {self.info.supervisor_pid})", time.monotonic() + _DYING_S
        while start_time(self.info.supervisor_pid) == self.info.supervisor_start:
            if stands_still(self.info.supervisor_pid):
                return f"{who} does not answer: it is stopped (SIGSTOP)"
            if time.monotonic() > deadline:
                return f"{who} does not answer"
            time.sleep(_POLL_S)
        return f"{who} died"


def _launch(request: StartRequest) -> tuple[StackInfo, subprocess.Popen[bytes]]:
    """Start the supervisor, which makes everything of the stack itself: were we killed now, nothing would be left of us."""
    package_root = str(Path(harness.__file__).resolve().parent.parent)
    path = os.pathsep.join(part for part in (package_root, os.environ.get("PYTHONPATH", "")) if part)
    supervisor = subprocess.Popen(
        [sys.executable, "-m", "harness.topology.supervisor"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    assert supervisor.stdin is not None
    assert supervisor.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it could not start: its own words follow on stderr
            supervisor.stdin.write(encode(request) + b"\n")
            supervisor.stdin.flush()
        line = _announced(supervisor)
    except BaseException:  # Ctrl-C at this very moment: the supervisor leaves nothing when it is told to end
        supervisor.terminate()
        try:
            supervisor.communicate(timeout=_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:  # it stands still: its reaper removes what it made
            supervisor.kill()
            supervisor.communicate(timeout=_STOP_LIMIT_S)
        raise
    try:
        return decode(line, StackInfo), supervisor
    except msgspec.MsgspecError:
        supervisor.stdin.close()
        supervisor.stdout.close()
        supervisor.wait(timeout=_STOP_LIMIT_S)
        said = decode(line or b"{}", dict[str, str])
        problem = said.get("error", f"the supervisor exited with {supervisor.returncode}")
        kind = MachineLacks if said.get("lacking") else StartFailed
        raise kind(problem, said.get("place", "supervisor"), said.get("remedy", "read its message above")) from None


def _announced(supervisor: subprocess.Popen[bytes]) -> bytes:
    """The supervisor's first line, empty where it ended without one; ``StartFailed`` where it stands still instead."""
    assert supervisor.stdout is not None
    deadline, standing_since = time.monotonic() + _LAUNCH_LIMIT_S, None
    while not select.select([supervisor.stdout], [], [], 0.1)[0]:
        now = time.monotonic()
        standing_since = (standing_since or now) if stands_still(supervisor.pid) else None
        stopped = standing_since is not None and now - standing_since >= _STANDING_S
        if stopped or now > deadline:
            why = "is stopped (SIGSTOP)" if stopped else f"said nothing within {_LAUNCH_LIMIT_S:g} s"
            supervisor.kill()
            raise StartFailed(f"the supervisor (pid {supervisor.pid}) {why}", "supervisor", "start it again")
    return supervisor.stdout.readline()
