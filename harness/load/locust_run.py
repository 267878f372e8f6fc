"""One run of Locust for one step: its parameters, its processes, its rows on their way to the segments."""

from __future__ import annotations

import contextlib
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from harness.core.errors import HarnessError, UsageError
from harness.core.units import Duration, Rate
from harness.journal.events import LoadFinished, LoadPlanned, Measured, Note, Window
from harness.load.locust_figures import journal_figures, journal_table
from harness.load.locust_plan import KEY_VARIABLE, PLAN_VARIABLE, Asked, LocustPlan, refuse_unreachable
from harness.load.locust_rows import Tail
from harness.load.requests import RequestKind
from harness.load.scale import Scale
from harness.load.tool_busy import Busy
from harness.load.tool_process import CANARY_RATE_PER_S, await_end, canary_server, free_port, tool
from harness.load.tool_rows import CanaryRow, RequestRow, RowWriter
from harness.run.processes import Spawned
from harness.run.protocols import StepContext

START_S = 25.0
WORKERS_MAX = 16
WORKER_END_S = 5.0
SAMPLES_WITHIN_S = 30.0  # Locust has begun by then, also on a busy machine
PLANNED_FILE = "scenarios/locust/planned.py"


class Locust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``rate``: what all users together reach. ``file``: a locustfile of the project; ``users`` 0 means as many as the rate needs.

    ``reach_at``: answers may take this long and the users must still reach the rate. ``scaled``: where the rate is above half of
    the knee measured in this run (or ``knee``), users and rate are scaled to half the knee.
    """

    rate: Rate
    duration: Duration
    requests: str
    file: str = PLANNED_FILE
    users: int = 0
    rate_per_user: Rate = Rate.parse("1 /s")
    spawn_rate: Rate | None = None  # users a second; none: all at once
    warmup: Duration = Duration.parse("0 s")
    timeout: Duration = Duration.parse("10 s")
    reach_at: Duration = Duration.parse("0 s")
    workers: int = 0
    judged: bool = False
    scaled: bool = False
    knee: Rate | None = None
    seed_stream: str = "load"

    def __post_init__(self) -> None:
        if not 0 <= self.workers <= WORKERS_MAX:
            raise ValueError(f"workers must be 0 to {WORKERS_MAX}")
        if self.users < 0 or self.rate_per_user.per_second <= 0 or self.rate.per_second <= 0 or self.duration.seconds <= 0:
            raise ValueError("users must not be negative; rate, rate_per_user and duration must be above zero")
        try:
            refuse_unreachable(self.user_count(), self.rate_per_user.per_second, self.rate.per_second, self.reach_at.seconds)
        except UsageError as error:
            raise ValueError(str(error)) from None

    def user_count(self) -> int:
        """Users before scaling."""
        each = self.rate_per_user.per_second
        if self.reach_at.seconds > 0:
            each = min(each, 1 / self.reach_at.seconds)
        return self.users or math.ceil(self.rate.per_second / each - 1e-9)


class LocustRun:
    """One run of Locust for one step."""

    def __init__(self, context: StepContext, parameters: Locust, kind: RequestKind, scale: Scale) -> None:
        self._context, self._parameters, self._kind = context, parameters, kind
        self._prefix = context.folder / f"{context.step}.locust"
        self._rate = parameters.rate.per_second * scale.factor
        self._each = parameters.rate_per_user.per_second
        self._users = max(1, math.ceil(parameters.user_count() * scale.factor - 1e-9))
        self._environment = {KEY_VARIABLE: context.target.keys.get(kind.key, "")}

    def compared(self) -> None:
        """Any locustfile: its aggregate becomes a table."""
        parameters, context = self._parameters, self._context
        users = math.ceil(parameters.rate.per_second / self._each - 1e-9)
        self._emit_planned(round(self._rate * parameters.duration.seconds), 0.0, 0.0)
        self._environment |= {
            "EH_LOCUST_POOL": str(context.project / self._kind.pool),
            "EH_LOCUST_RATE_PER_USER": str(self._each),
        }
        options = ("--users", str(users), "--spawn-rate", str(users), "--run-time", f"{parameters.duration.seconds:g}s")
        began = context.now_ns()
        with self._started(options) as spawned:
            await_end(context, spawned, "Locust", parameters.duration.seconds + START_S + 10)
        _check_exit(spawned)
        tags = {"engine": "locust", "step": context.step}
        context.journal.emit(Window(trial=context.trial, kind="phase", name="locust", start_ns=began, end_ns=context.now_ns(), tags=tags))
        journal_figures(context, round(self._rate * parameters.duration.seconds), Path(f"{self._prefix}_stats.csv"))

    def judged(self) -> None:
        """A locustfile of ours: a row for each intended request, a canary, the phases of the plan."""
        context, parameters = self._context, self._parameters
        with canary_server(context) as canary:
            plan = self._plan(canary)
            path = context.folder / f"{context.step}.locust.json"
            path.write_bytes(msgspec.json.encode(plan))
            self._environment[PLAN_VARIABLE] = str(path)
            self._emit_planned(plan.requests(), parameters.warmup.seconds, CANARY_RATE_PER_S)
            reading = _Reading(context, Tail(Path(plan.samples)), self._parameters.file)
            with reading.writer:
                with self._started(()) as spawned:
                    limit_s = plan.duration_s + plan.timeout_s + START_S + 15
                    await_end(context, spawned, "Locust", limit_s, reading.more)
                reading.finish()
        _check_exit(spawned)
        self._emit_judged(reading, plan)
        try:
            journal_table(context, Path(f"{self._prefix}_stats.csv"))
        except HarnessError as error:  # nobody judges by it: Locust may end while it writes its last line
            context.journal.emit(Note(trial=context.trial, text=f"Locust's own figures are not shown: {error}", level="warning"))

    def _plan(self, canary: str) -> LocustPlan:
        parameters, kind, context = self._parameters, self._kind, self._context
        spawn_rate = parameters.spawn_rate.per_second if parameters.spawn_rate else float(self._users)
        pool = str((context.project / kind.pool).resolve()) if kind.pool else ""
        return LocustPlan(
            users=self._users,
            rate_per_user=self._each,
            spawn_rate=spawn_rate,
            duration_s=parameters.warmup.seconds + parameters.duration.seconds,
            rate_per_s=min(self._rate, self._users * self._each),
            timeout_s=parameters.timeout.seconds,
            seed=context.seed % 1_000_000,
            samples=str(self._prefix.resolve()) + ".samples",
            canary=canary,
            canary_rate_per_s=CANARY_RATE_PER_S,
            key_header=context.target.key_header,
            asked=Asked(kind.op, kind.path, kind.method, pool, kind.expect_status, kind.expect_nonempty),
        )

    @contextlib.contextmanager
    def _started(self, options: tuple[str, ...]) -> Iterator[Spawned]:
        """Locust, with its workers where there are any; the yielded process is the one that ends when the run is done."""
        parameters, context = self._parameters, self._context
        base = [sys.executable, "-m", "locust", "--locustfile", str(context.project / parameters.file), "--loglevel", "WARNING"]
        base += ["--host", context.target.base_url]
        head = [*base, "--headless", "--only-summary", *options, "--csv", str(self._prefix)]
        head += ["--stop-timeout", f"{math.ceil(parameters.timeout.seconds)}"]
        with contextlib.ExitStack() as stack:
            if not parameters.workers:
                yield stack.enter_context(tool(head, context, self._environment))
                return
            port = str(free_port())
            head += ["--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port]
            head += ["--expect-workers", str(parameters.workers), "--expect-workers-max-wait", str(math.ceil(START_S))]
            master = stack.enter_context(tool(head, context, self._environment))
            worker = [*base, "--worker", "--master-host", "127.0.0.1", "--master-port", port]
            workers = [stack.enter_context(tool(worker, context, self._environment)) for _ in range(parameters.workers)]
            yield master
            for spawned in workers:  # each writes its last rows when the master has told it to end
                with contextlib.suppress(subprocess.TimeoutExpired):
                    spawned.process.wait(WORKER_END_S)

    def _emit_planned(self, requests: int, warmup_s: float, canary_rate: float) -> None:
        self._context.journal.emit(
            LoadPlanned(
                trial=self._context.trial,
                step=self._context.step,
                engine="locust",
                rate_per_s=self._rate,
                warmup_s=warmup_s,
                duration_s=self._parameters.duration.seconds,
                requests=requests,
                canary_rate_per_s=canary_rate,
            )
        )

    def _emit_judged(self, reading: _Reading, plan: LocustPlan) -> None:
        context, writer, journal = self._context, reading.writer, self._context.journal
        if not reading.starts or not writer.rows:
            raise reading.no_samples()
        start_ns = min(reading.starts)
        warm_ns = start_ns + self._parameters.warmup.ns
        for name, begin, end in (("warmup", start_ns, warm_ns), ("steady", warm_ns, start_ns + round(plan.duration_s * 1e9))):
            if end > begin:
                tags = {"step": context.step, "engine": "locust"}
                journal.emit(Window(trial=context.trial, kind="phase", name=name, start_ns=begin, end_ns=end, tags=tags))
        for number, busy in enumerate(reading.busy):
            journal.emit(busy.event(context, number, writer.lag_p99_s()))
        planned, good = plan.requests(), writer.outcomes["ok"]
        tags = {"step": context.step}
        journal.emit(Measured(trial=context.trial, metric="achieved", unit="%", value=100 * good / max(1, planned), tags=tags))
        if writer.without_plan:
            text = (
                f"{writer.without_plan} requests have no intended start (Locust does not know when they were due): judged as never answered"
            )
            journal.emit(Note(trial=context.trial, text=text, level="warning"))
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(writer.outcomes.items()))
        journal.emit(
            LoadFinished(
                trial=context.trial,
                step=context.step,
                engine="locust",
                intended=writer.rows,
                sent=writer.sent,
                completed=writer.completed,
                cpu_share=sum(busy.cpu_share for busy in reading.busy),
                detail=f"{len(reading.starts)} processes, {self._users} users; {counts}",
            )
        )


class _Reading:
    """Moves rows from Locust's files to the segments while it runs."""

    def __init__(self, context: StepContext, tail: Tail, file: str) -> None:
        self._file, self._now_ns, self._began_ns = file, context.now_ns, context.now_ns()
        self.writer = RowWriter(context)
        self.starts: list[int] = []
        self.busy: list[Busy] = []
        self._tail = tail

    def more(self) -> None:
        self._take(self._tail.rows())
        if not self.starts and self._now_ns() - self._began_ns > SAMPLES_WITHIN_S * 1e9:
            raise self.no_samples()

    def no_samples(self) -> HarnessError:
        """The locustfile is none of ours."""
        return HarnessError(f"{self._file} wrote no samples: its users must be PlannedUsers (harness.load.locust_user)")

    def finish(self) -> None:
        """The rest; the files are not needed any more, their rows are in segments."""
        self._take(self._tail.finish())
        for path in self._tail.files():
            said = path.with_suffix(".json")
            try:
                self.busy.append(msgspec.json.decode(said.read_bytes(), type=Busy))
            except (OSError, msgspec.DecodeError) as error:
                raise HarnessError(f"{said.name}: a process of Locust ended before it had said how busy it was: {error}") from None
            path.unlink()
            said.unlink()

    def _take(self, rows: Iterator[int | RequestRow | CanaryRow]) -> None:
        for row in rows:
            if isinstance(row, RequestRow):
                self.writer.request(row)
            elif isinstance(row, CanaryRow):
                self.writer.canary(row)
            else:
                self.starts.append(row)


def _check_exit(spawned: Spawned) -> None:
    if spawned.process.returncode not in {0, 1}:  # 1: some requests failed; the figures say which
        raise HarnessError(f"Locust failed with exit {spawned.process.returncode}; its message is above")
