"""One service under supervision: started when its dependencies are healthy, checked, restarted by its policy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.topology.events import EventLog
from harness.topology.lacking import absent_program, lack, oom_kills
from harness.topology.model import HealthCheck, Service, ServiceStatus, State
from harness.topology.probe import Silence, ask_command, ask_http, ask_port, last_words
from harness.topology.processes import (
    Children,
    cpu_seconds,
    exit_text,
    kill_group,
    kill_orphans,
    signal_tree,
    spawn,
    stands_still,
    start_time,
)

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.1, 5.0
_START_ATTEMPTS = 5
_ALIVE_IS_HEALTHY_AFTER_S = 0.5  # for a service without a health check
_STOPPED_S = 2.0  # how long a process may stand still that nobody stopped by asking for it
_PULSE_S, _SILENT_S = 1.5, 6.5  # a service that answered once and then leaves a question open for so long hangs
_BUSY_SHARE = 0.05  # of a processor: who works more than that is slow, and does not hang
_LINES = 12


class Managed:
    """The life of one service.

    ``failed(reason, lacking)`` is called when it cannot come up, or is down for good: only whoever starts the stack cares.
    ``cleaned`` takes secrets out of what is shown of its log.
    """

    def __init__(
        self,
        service: Service,
        *,
        port: int | None,
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        children: Children,
        events: EventLog,
        failed: Callable[[str, bool], None],
        cleaned: Callable[[str], str] = str,
    ) -> None:
        self.service = service
        self.log = log
        self.once_healthy = asyncio.Event()
        self.started_pids: set[int] = set()
        self._port, self._folder, self._environment, self._children, self._events, self._failed = (
            port,
            folder,
            environment,
            children,
            events,
            failed,
        )
        self._cleaned = cleaned
        self._attempts = 0
        self._last_code = 0
        self._lack = ""
        self._oom_before = oom_kills()
        self._paused = False  # by a signal that was asked for
        self._silent = False
        self._stopped_since: float | None = None
        self._pid: int | None = None
        self._start_time: float | None = None
        self._state: State = "waiting"
        self._healthy = False
        self._restarts = 0
        self._detail = ""
        self._held = False
        self._restart_now = False
        self._was_healthy = False
        self._exited: asyncio.Future[int] | None = None
        self._ending: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._spawned_ns = 0
        self._exited_ns = 0

    @property
    def pid(self) -> int | None:
        return self._pid

    def status(self) -> ServiceStatus:
        return ServiceStatus(
            name=self.service.name,
            pid=self._pid,
            start_time=self._start_time,
            state=self._state,
            restarts=self._restarts,
            healthy=self._healthy,
            detail=self._detail,
            done=self._state == "exited" and self._last_code == 0 and self.service.one_shot,
        )

    async def live(self, dependencies: list[Managed]) -> None:
        """Run until cancelled, or until the restart policy says that it stays down."""
        for dependency in dependencies:
            await dependency.once_healthy.wait()
        quick_deaths = 0
        while True:
            code = await self._one_life()
            quick_deaths = 0 if self._was_healthy else quick_deaths + 1
            restarts = self._policy_restarts(code, self._attempts)
            if not restarts and code == 0 and self.service.one_shot:
                self.once_healthy.set()  # it has done what it was there for
            elif not (self._held or self._restart_now) and (self._attempts >= _START_ATTEMPTS or not restarts or self._lack):
                how = str(code) if code >= 0 else f"{code} ({exit_text(code)})"
                reason = f"exited {self._attempts} × while starting, last with {how} {self._detail}".strip()
                if not self.once_healthy.is_set():
                    self._give_up(reason)
                    return
                self._say_failed(reason)
            await self._until_restart(min(_FIRST_BACKOFF_S * 2**quick_deaths, _LONGEST_BACKOFF_S), restarts=restarts)
            self._restarts += 1

    def look(self, patience_s: float = _STOPPED_S) -> None:
        """Whether its process has stood still for so long though nobody asked for that; called often."""
        pid, now = self._pid, time.monotonic()
        if pid is None or self._paused or not stands_still(pid):
            self._stopped_since = None
            if self._silent and pid is not None and not (self.service.health.http or self.service.health.command):
                self._now_healthy()  # nothing else would say so
            return
        self._stopped_since = self._stopped_since or now
        if now - self._stopped_since >= patience_s:
            self._hangs("its process is stopped (SIGSTOP)")

    def hold(self) -> None:
        """Suspend the restart policy: once down, it stays down."""
        self._held = True
        self._event("service_held")
        self._wake.set()

    def release(self) -> None:
        """Resume the restart policy; a service that is down starts at once."""
        self._held = False
        self._event("service_released")
        self._restart_now = self._pid is None
        self._wake.set()

    def restart(self) -> None:
        """Stop it and start it again at once, whatever the policy says."""
        self._restart_now = True
        self._event("service_asked_to_restart")
        self._wake.set()
        if self._pid is not None:
            self._ending = asyncio.create_task(self._end(self._pid, self._start_time))

    def send(self, number: signal.Signals) -> None:
        """Signal the main process; SIGSTOP and SIGCONT reach all its descendants, SIGKILL all of its group."""
        pid = self._pid
        if pid is None:
            return
        self._event("service_signalled", signal=number.name)  # before the signal: recovery is counted from here
        self._paused = number == signal.SIGSTOP or (self._paused and number != signal.SIGCONT)
        if number in {signal.SIGSTOP, signal.SIGCONT}:
            signal_tree(pid, number)
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        if number == signal.SIGKILL:
            kill_group(pid)

    async def end(self, limit_s: float) -> None:
        """Stop it for good: its stop signal, then SIGKILL after the grace (at most ``limit_s``)."""
        self._held = True
        if self._pid is not None:
            await self._end(self._pid, self._start_time, limit_s)

    def kill(self) -> None:
        if self._pid is not None:
            signal_tree(self._pid, signal.SIGKILL)
            kill_group(self._pid)

    async def _one_life(self) -> int:
        self._was_healthy = False
        self._attempts += 1
        try:
            exited = self._spawn()
        except OSError as error:
            self._lack = absent_program(self.service.command[0], self._folder, self._environment.get("PATH", ""))
            self._detail, self._restart_now, self._last_code = f"cannot be started: {error}", False, 127
            return 127
        watching = [asyncio.create_task(self._watch_health()), asyncio.create_task(self._watch_pulse())]
        try:
            code = await exited
        finally:
            for task in watching:
                task.cancel()
        self._exited_ns, self._last_code = time.monotonic_ns(), code
        self._say_exit(code)
        self._clear_after_exit()
        return code

    def _say_exit(self, code: int) -> None:
        words = self._cleaned(last_words(self.log, _LINES))
        final = not (self._held or self._restart_now or self._policy_restarts(code, self._attempts))
        expected = final and code == 0 and self.service.one_shot
        self._lack = "" if self._held or self._restart_now else lack(code, words, self._folder, self._oom_before)
        detail = "" if code in {0, -9, -15} else words.rpartition("\n")[2]
        self._event("service_exited", exit_code=code, detail=detail, last_lines=words, final=final, expected=expected)

    def _spawn(self) -> asyncio.Future[int]:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._pid = spawn(self.service.command, self._environment, self._folder, descriptor)
        finally:
            os.close(descriptor)
        self._spawned_ns = time.monotonic_ns()
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._exited = exited
        self._children.watch(self._pid, lambda code: None if exited.done() else exited.set_result(code))
        self.started_pids.add(self._pid)
        self._start_time = start_time(self._pid)
        self._state, self._detail, self._restart_now = "starting", "", False
        self._paused, self._silent, self._stopped_since = False, False, None
        self._event("service_started")
        return exited

    def _clear_after_exit(self) -> None:
        """A container's processes end with its first one; so do a service's, wherever they moved."""
        if self._pid is not None:
            kill_group(self._pid)
        kill_orphans(self._children.known())
        self._pid, self._start_time, self._healthy, self._state = None, None, False, "down"

    async def _until_restart(self, backoff_s: float, *, restarts: bool) -> None:
        """Wait out the backoff; held, or down for good by its policy, wait for ``release`` or ``restart``."""
        deadline = time.monotonic() + backoff_s
        while not self._restart_now:
            self._state = "held" if self._held else "down" if restarts else "exited"
            left_s = deadline - time.monotonic() if self._state == "down" else None
            if left_s is not None and left_s <= 0:
                return
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), left_s)

    def _policy_restarts(self, code: int, attempts: int) -> bool:
        policy = self.service.restart
        if policy.kind == "on-failure":
            return code != 0 and (policy.retries == 0 or attempts <= policy.retries)
        return policy.kind == "always"

    async def _watch_health(self) -> None:
        check, failures, born = self.service.health, 0, time.monotonic()
        if not check.http and not check.command:
            await asyncio.sleep(_ALIVE_IS_HEALTHY_AFTER_S)
            self._now_healthy()
            return
        while True:
            await asyncio.sleep(check.interval_s if self._healthy else min(check.start_interval_s, check.interval_s))
            problem = await self._ask(check)
            if not problem:
                failures = 0
                self._now_healthy()
                continue
            self._detail = self._cleaned(problem)
            starting = self._state == "starting" and time.monotonic() - born < check.start_period_s
            failures = 0 if starting else failures + 1
            if failures == check.retries:
                self._now_unhealthy(problem)

    async def _watch_pulse(self) -> None:
        """Ask often, once it has answered: its own interval may be long, and a hang must be seen within ten seconds."""
        check = self.service.health
        while check.http:
            await asyncio.sleep(_PULSE_S)
            pid = self._pid
            if not self._healthy or pid is None or self._silent or self._paused:
                continue
            asking = asyncio.create_task(ask_http(check.http, _SILENT_S))
            if (await asyncio.wait([asking], timeout=_PULSE_S))[0]:
                continue
            worked_s, since = cpu_seconds(pid), time.monotonic()
            problem = await asking
            idle = cpu_seconds(pid) - worked_s < _BUSY_SHARE * (time.monotonic() - since)
            if isinstance(problem, Silence) and idle and not self._paused and self._pid == pid:
                self._hangs(problem)

    def _hangs(self, problem: str) -> None:
        """Said once until it is well again."""
        if self._silent:
            return
        self._silent, self._healthy, self._detail = True, False, str(problem)
        self._event("service_silent", detail=self._detail, last_lines=self._cleaned(last_words(self.log, _LINES)))
        self._failed(f"hangs: {self._detail}", False)

    async def _ask(self, check: HealthCheck) -> str:
        if check.http:
            return await ask_http(check.http, check.timeout_s)
        if self._port is not None and not self._healthy and (closed := await ask_port(self._port, check.timeout_s)):
            return closed  # a command costs a process: not before somebody listens
        log = self.log.with_name(f"{self.service.name}.health.log")
        return await ask_command(check, {**self._environment, "EH_SERVICE_PID": str(self._pid)}, self._folder, log, self._children)

    def _now_healthy(self) -> None:
        if self._healthy:
            return
        first_of_this_life = self._state == "starting"
        self._healthy, self._was_healthy, self._state, self._detail, self._silent = True, True, "running", "", False
        serve_s = (time.monotonic_ns() - self._spawned_ns) / 1e9
        self._event("service_healthy", serve_delay_s=serve_s if first_of_this_life else None)
        if first_of_this_life and self._restarts:
            delay_s = (self._spawned_ns - self._exited_ns) / 1e9
            self._event("service_restarted", restart_delay_s=delay_s, serve_delay_s=serve_s)
        self.once_healthy.set()

    def _now_unhealthy(self, problem: str) -> None:
        self._healthy = False
        self._event("service_unhealthy", detail=self._cleaned(problem))
        if not self.once_healthy.is_set():
            self._give_up(f"is not healthy in time: {self._cleaned(problem)}")
        elif isinstance(problem, Silence) and not self._paused:
            self._hangs(problem)

    def _give_up(self, reason: str) -> None:
        self._state, self._detail = "failed", reason
        self._event("service_failed", detail=reason)
        self._say_failed(reason)

    def _say_failed(self, reason: str) -> None:
        self._failed(f"{reason}; {self._lack}" if self._lack else reason, bool(self._lack))

    async def _end(self, pid: int, born: float | None, limit_s: float = 60.0) -> None:
        """Stop signal, grace, SIGKILL; woken as soon as it is gone."""
        signal_tree(pid, signal.SIGCONT)  # a stopped process would not see the signal
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.Signals[self.service.stop_signal])
        exited = self._exited
        if exited is not None:
            await asyncio.wait([exited], timeout=min(self.service.stop_grace_s, limit_s))
        if start_time(pid) == born:
            signal_tree(pid, signal.SIGKILL)
            kill_group(pid)

    def _event(self, kind: str, **fields: object) -> None:
        self._events.append(kind, self.service.name, pid=self._pid, start_time=self._start_time, restarts=self._restarts, **fields)
