"""The types of this package: what a topology says, what a supervisor reports. All frozen; all cross process borders as JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from harness.topology.errors import TopologyError

Owner = Literal["run", "user"]
RestartKind = Literal["always", "on-failure", "no"]
State = Literal["waiting", "starting", "running", "down", "held", "exited", "failed"]
Startup = Literal["starting", "ready", "failed"]


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Either ``command`` (exit 0 = healthy) or ``http`` (a 2xx answer = healthy); neither: healthy while it lives. Times in seconds."""

    command: tuple[str, ...] = ()
    http: str = ""
    interval_s: float = 30.0
    timeout_s: float = 30.0
    retries: int = 3
    start_period_s: float = 0.0
    start_interval_s: float = 5.0


class RestartPolicy(msgspec.Struct, frozen=True):
    """``retries`` bounds ``on-failure`` only; 0 means no bound."""

    kind: RestartKind = "no"
    retries: int = 0


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the system in one profile. ``ports`` are names of variables; the first is the service's own port.

    ``inherited`` are variables without a value: set as where the stack is started, unset where they are not set there.
    """

    name: str
    command: tuple[str, ...]
    environment: dict[str, str]
    health: HealthCheck
    inherited: tuple[str, ...] = ()
    restart: RestartPolicy = RestartPolicy()
    depends_on: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    stop_signal: str = "SIGTERM"
    stop_grace_s: float = 10.0

    @property
    def one_shot(self) -> bool:
        """Whether it may end by itself with 0: nobody asks it anything, and its policy leaves it down then."""
        asked = self.health.command or self.health.http or self.ports
        return not asked and self.restart.kind != "always"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    """The services of one profile, dependencies first; ``secrets`` are the names of all secret files."""

    file: Path
    profile: str
    project_root: Path
    services: tuple[Service, ...]
    secrets: tuple[str, ...] = ()

    def service(self, name: str) -> Service:
        """The service ``name``; raises ``TopologyError`` naming the nearest one there is."""
        for service in self.services:
            if service.name == name:
                return service
        raise unknown_word(name, "service", [service.name for service in self.services], str(self.file))

    def subset(self, only: Iterable[str] | None) -> Topology:
        """The services named and everything they depend on; all of them for ``None``."""
        if only is None:
            return self
        wanted: set[str] = set()
        pending = list(only)
        while pending:
            name = pending.pop()
            if name not in wanted:
                wanted.add(name)
                pending.extend(self.service(name).depends_on)
        return msgspec.structs.replace(self, services=tuple(service for service in self.services if service.name in wanted))


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the supervisor knows of a service now; ``start_time`` is seconds since the epoch, with ``pid`` it names one process for ever."""

    name: str
    pid: int | None
    start_time: float | None
    state: State
    restarts: int
    healthy: bool
    detail: str = ""
    done: bool = False  # a one-shot service that has ended with 0

    @property
    def well(self) -> bool:
        return self.healthy or self.done


class SupervisorEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of supervisor.jsonl. ``monotonic_ns`` is CLOCK_MONOTONIC, comparable between processes; ``wall_s`` is Unix time.

    ``restart_delay_s`` is from the exit seen to the new process, ``serve_delay_s`` from the new process to its first healthy answer.
    Of an exit: ``last_lines`` of the log without secrets; ``final`` where nothing starts it again, ``expected`` where it may end so.
    """

    sequence: int
    kind: str
    service: str
    monotonic_ns: int
    wall_s: float
    pid: int | None = None
    start_time: float | None = None
    restarts: int = 0
    exit_code: int | None = None
    signal: str = ""
    restart_delay_s: float | None = None
    serve_delay_s: float | None = None
    detail: str = ""
    last_lines: str = ""
    final: bool = False
    expected: bool = False


class StartRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a supervisor needs, sent to it as one JSON line."""

    topology: Topology
    stack_id: str
    owner: Owner
    owner_pid: int
    owner_start: float
    base_dir: Path
    model_cache_dir: Path
    python: str
    keep: bool = False
    logs_dir: Path | None = None
    environment: dict[str, str] = {}


class StackInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Where a stack is: its folders, control socket, ports by variable and by service, and its supervisor's identity."""

    stack_id: str
    owner: Owner
    profile: str
    topology_file: Path
    folder: Path
    socket: Path
    secrets_dir: Path
    objects_dir: Path
    logs_dir: Path
    ports: dict[str, int]
    port_variables: dict[str, int]
    environments: dict[str, dict[str, str]]
    supervisor_pid: int
    supervisor_start: float
    keep: bool = False
    project_root: Path | None = None  # None: written by an older supervisor

    @property
    def project(self) -> Path:
        """The folder of the project whose stack this is."""
        return (self.project_root or self.topology_file.parent).resolve()

    @property
    def data_dir(self) -> Path:
        """The folder that holds the data folder of each service."""
        return self.folder / "data"


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The whole stack now; ``failure`` says why ``startup`` failed, ``lacking`` that it is the machine which lacks something."""

    startup: Startup
    services: tuple[ServiceStatus, ...]
    failure: str = ""
    lacking: bool = False


def unknown_word(word: str, kind: str, known: Iterable[str], place: str) -> TopologyError:
    """The error for a word that is not known, naming the nearest one."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.4)
    remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(words) or 'none'}"
    return TopologyError(f"unknown {kind} {word!r}", place, remedy)
