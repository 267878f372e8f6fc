"""``python -m harness.topology.supervisor``: the process that runs a stack. It counts as part of the system.

Its standard input brings one JSON line (``StartRequest``) and then stays open as long as the owner lives; its standard
output answers with one line (``StackInfo`` or an error). One thread only: the kernel ties the life of children to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from harness.topology import control, folder, processes, reaper
from harness.topology.control import Request
from harness.topology.errors import MachineLacks, TopologyError
from harness.topology.events import EVENTS_FILE, EventLog
from harness.topology.managed import Managed
from harness.topology.model import Service, StackInfo, StackStatus, StartRequest, Startup, unknown_word
from harness.topology.ports import PortLease
from harness.topology.probe import last_words
from harness.topology.variables import resolve, variables_in
from harness.topology.wire import decode, encode

_TICK_S = 0.25
_STOP_LIMIT_S, _TOTAL_STOP_LIMIT_S = 2.0, 4.0
_LARGEST_LOG_BYTES = 20 << 20
_KEPT_LINES = 200  # of the log of a service that did not come up, where the stack's folder goes
_LOOK_EVERY = 2  # ticks
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "VIRTUAL_ENV", "OMP_NUM_THREADS")


class Supervisor:
    """One stack from its folder's making to its removal."""

    def __init__(self, request: StartRequest) -> None:
        self._request = request
        self._startup: Startup = "starting"
        self._failure, self._lacking = "", False
        self._ending = asyncio.Event()
        self._kill_at_once = False
        self._creators: set[int] = set()  # whose shared memory is ours to remove
        self._children = processes.Children()
        self._lease = PortLease(request.stack_id)
        self._folder = folder.create_stack_folder(request.base_dir, request.stack_id)
        try:
            self._lock = folder.hold_lock(self._folder)
            self.info = self._prepare()
            self._events = EventLog(self.info.logs_dir / EVENTS_FILE)
        except BaseException:
            self._lease.release()
            folder.remove_folder(self._folder)
            raise
        self._services = {service.name: self._managed(service) for service in self._resolved}

    async def run(self, announce: Callable[[StackInfo], None]) -> None:
        """Serve until the owner dies, a stop is asked for, or SIGTERM arrives; then leave nothing behind."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._children.reap)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ending.set)
        tasks: list[asyncio.Task[None]] = []
        try:
            if self._request.owner == "run":
                loop.add_reader(sys.stdin.fileno(), self._owner_wrote)
            server = await control.serve(self.info.socket, self._handle)
            self._events.append("supervisor_started", pid=os.getpid(), start_time=self.info.supervisor_start)
            announce(self.info)
            tasks += [asyncio.create_task(self._live(managed)) for managed in self._services.values()]
            tasks.append(asyncio.create_task(self._watch()))
            folder.sweep(self._request.base_dir)
            await self._ending.wait()
            for managed in self._services.values():
                managed.look(patience_s=0.0)
            self._events.append("supervisor_stopping", detail="the owner is gone" if self._kill_at_once else "asked to stop")
            tasks.pop().cancel()
            await self._stop_services()
            server.close()
        finally:  # also after a defect of our own: nothing may be left
            for task in tasks:
                task.cancel()
            self._leave_nothing()

    def _prepare(self) -> StackInfo:
        request, topology = self._request, self._request.topology
        ports = self._lease.take(name for service in topology.services for name in service.ports)
        self._secrets = folder.write_secrets(self._folder / "secrets", topology.secrets)
        logs = request.logs_dir or self._folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        values = self._values(ports)
        self._resolved = [resolve(service, values, request.environment) for service in topology.services]
        info = StackInfo(
            stack_id=request.stack_id,
            owner=request.owner,
            profile=topology.profile,
            topology_file=topology.file,
            folder=self._folder,
            socket=folder.socket_path(self._folder, request.stack_id),
            secrets_dir=self._folder / "secrets",
            objects_dir=self._folder / "objects",
            logs_dir=logs,
            ports={service.name: ports[service.ports[0]] for service in topology.services if service.ports},
            port_variables=ports,
            environments={service.name: service.environment for service in self._resolved},
            supervisor_pid=os.getpid(),
            supervisor_start=processes.start_time(os.getpid()) or 0.0,
            keep=request.keep,
            project_root=topology.project_root,
        )
        folder.write_private(self._folder / folder.INFO_FILE, encode(info))
        return info

    def _values(self, ports: dict[str, int]) -> dict[str, str]:
        # a subset may name ports of services that it leaves out: their variables get a port that refuses
        absent = {
            name: "1" for service in self._request.topology.services for text in service.environment.values() for name in variables_in(text)
        }
        return {
            **absent,
            "PYTHON": self._request.python,
            "PROJECT_ROOT": str(self._request.topology.project_root),
            "STACK_DIR": str(self._folder),
            "STACK_ID": self._request.stack_id,
            "SECRETS_DIR": str(self._folder / "secrets"),
            "OBJECTS_DIR": str(self._folder / "objects"),
            "MODEL_CACHE_DIR": str(self._request.model_cache_dir),
            **{name: str(port) for name, port in ports.items()},
        }

    def _managed(self, service: Service) -> Managed:
        root = str(self._request.topology.project_root)
        environment = {
            **{name: text for name, text in os.environ.items() if name in _PASSED_ON or name.startswith("HARNESS_")},
            "PYTHONPATH": os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part),
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",  # every service reads and writes the same bytes, whatever the locale of whoever started it
            "TMPDIR": str(self._folder / "tmp"),
            **{name: os.environ[name] for name in service.inherited if name in os.environ and name not in service.environment},
            **service.environment,
            "EH_STACK_ID": self._request.stack_id,
            "EH_SERVICE": service.name,
            "EH_SUPERVISOR_PID": str(os.getpid()),
        }
        return Managed(
            service,
            port=self.info.ports.get(service.name),
            folder=self._request.topology.project_root,
            log=self.info.logs_dir / f"{service.name}.log",
            environment=environment,
            children=self._children,
            events=self._events,
            failed=lambda reason, lacking: self._service_failed(service.name, reason, lacking=lacking),
            cleaned=self._cleaned,
        )

    async def _live(self, managed: Managed) -> None:
        await managed.live([self._services[name] for name in managed.service.depends_on])

    def _service_failed(self, name: str, reason: str, *, lacking: bool) -> None:
        if self._startup != "starting":
            return
        self._startup, self._lacking = "failed", lacking
        log = self._services[name].log
        words, place = self._cleaned(last_words(log, 12)), log
        if self._request.logs_dir is None and not self._request.keep:  # the stack's folder will be gone when this is read
            place = self._request.base_dir / f"eh-failed-{self._request.stack_id}-{name}.log"
            with contextlib.suppress(OSError):
                folder.write_private(place, self._cleaned(last_words(log, _KEPT_LINES)).encode())
        self._failure = f"{name} {reason}\n--- last lines of {place} ---\n{words}"

    def _cleaned(self, text: str) -> str:
        """``text`` without a secret of this stack: logs are quoted in messages and reports."""
        for name, secret in self._secrets.items():
            text = text.replace(secret, f"[secret {name}]")
        return text

    async def _watch(self) -> None:
        """Startup, the owner's life, and the size of logs, four times a second."""
        ticks = 0
        while True:
            ticks += 1
            for managed in self._services.values() if ticks % _LOOK_EVERY == 0 else ():
                managed.look()
            if self._startup == "starting" and all(managed.once_healthy.is_set() for managed in self._services.values()):
                self._startup = "ready"
                self._events.append("stack_ready")
            owner = self._request
            if owner.owner == "run" and processes.start_time(owner.owner_pid) != owner.owner_start:
                self._owner_gone()
            for log in self.info.logs_dir.glob("*.log"):
                _bound_log(log)
            await asyncio.sleep(_TICK_S)

    def _owner_wrote(self) -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
            self._owner_gone()

    def _owner_gone(self) -> None:
        self._kill_at_once = True
        self._ending.set()

    async def _handle(self, request: Request) -> object:
        match request.op:
            case "status":
                return StackStatus(
                    startup=self._startup,
                    failure=self._failure,
                    lacking=self._lacking,
                    services=tuple(m.status() for m in self._services.values()),
                )
            case "events":
                return self._events.after(request.after)
            case "stop":
                asyncio.get_running_loop().call_soon(self._ending.set)
            case "kill":
                self._find(request.service).send(_signal(request.signal))
            case "hold":
                self._find(request.service).hold()
            case "release":
                self._find(request.service).release()
            case "restart":
                self._find(request.service).restart()
            case _:
                raise unknown_word(
                    request.op, "operation", ("status", "events", "stop", "kill", "hold", "release", "restart"), "control socket"
                )
        return None

    def _find(self, name: str) -> Managed:
        if name not in self._services:
            raise unknown_word(name, "service", self._services, f"stack {self._request.stack_id}")
        return self._services[name]

    async def _stop_services(self) -> None:
        """Who depends on others ends first; together they have four seconds, then SIGKILL."""
        self._creators |= {process.pid for process in processes.tree(os.getpid())}
        deadline = time.monotonic() + (0 if self._kill_at_once else _TOTAL_STOP_LIMIT_S)
        remaining = dict(self._services)
        while remaining:
            needed = {name for managed in remaining.values() for name in managed.service.depends_on}
            wave = [managed for name, managed in remaining.items() if name not in needed]
            limit_s = max(0.0, min(_STOP_LIMIT_S, deadline - time.monotonic()))
            for managed in wave if self._kill_at_once else ():
                managed.kill()
            await asyncio.gather(*(managed.end(limit_s) for managed in wave))
            remaining = {name: managed for name, managed in remaining.items() if managed not in wave}

    def _leave_nothing(self) -> None:
        for managed in self._services.values():
            managed.kill()
        processes.kill_marked(self._request.stack_id, {os.getpid(), self._request.owner_pid})
        self._children.reap_all(_STOP_LIMIT_S)  # memory they share can go only when nobody uses it
        processes.remove_shared_memory(self._creators.union(*(managed.started_pids for managed in self._services.values())))
        self._lease.release()
        self._events.append("supervisor_stopped")
        self._events.close()
        self.info.socket.unlink(missing_ok=True)
        if not self._request.keep:
            folder.remove_folder(self._folder)


def _signal(name: str) -> signal.Signals:
    try:
        return signal.Signals[name]
    except KeyError:
        raise unknown_word(name, "signal", [member.name for member in signal.Signals], "control socket") from None


def _bound_log(log: Path) -> None:
    """Keep the last part of a log that grew too large; its writer appends, so it goes on at the new end."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LARGEST_LOG_BYTES:
            shutil.copyfile(log, log.with_name(log.name + ".1"))
            os.truncate(log, 0)


def _announce(info: StackInfo) -> None:
    """Answer the starter, then let go of its terminal: what goes wrong later stands in supervisor.log."""
    log = os.open(info.logs_dir / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    with contextlib.suppress(BrokenPipeError):  # the starter died meanwhile: its life line says so too
        os.write(1, encode(info) + b"\n")
    os.dup2(log, 1)
    os.close(log)


def main() -> int:
    request = decode(_first_line(), StartRequest)
    reaper.start(request)  # before orphans become ours: it must outlive us
    processes.adopt_orphans()
    try:
        supervisor = Supervisor(request)
    except TopologyError as error:
        return _refused(error)
    except OSError as error:  # a full disk, say
        place = str(error.filename or request.base_dir)
        return _refused(MachineLacks(str(error.strerror or error), place, "free space there, or set TMPDIR"))
    asyncio.run(supervisor.run(_announce))
    return 0


def _refused(error: TopologyError) -> int:
    """Say in place of the announcement why there is no stack."""
    lacking = "yes" if isinstance(error, MachineLacks) else ""
    os.write(1, encode({"error": error.error, "place": error.place, "remedy": error.remedy, "lacking": lacking}) + b"\n")
    return 1


def _first_line() -> bytes:
    """Unbuffered: what follows the line (nothing, then the end) is the owner's life line."""
    received = bytearray()
    while not received.endswith(b"\n"):
        part = os.read(0, 65_536)
        if not part:
            raise SystemExit(1)  # the owner died before it could ask
        received += part
    return bytes(received)


if __name__ == "__main__":
    raise SystemExit(main())
