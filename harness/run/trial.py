"""One execution of one scenario: every step in a thread of its own, at its planned time, until done or told to stop."""

from __future__ import annotations

import dataclasses
import threading
import traceback
from collections.abc import Sequence

import msgspec

from harness.core import jsonio
from harness.core.clock import NS_PER_S
from harness.core.ending import ENDING
from harness.core.errors import Blocked
from harness.core.text import outside
from harness.journal.events import Event, StackLost, StepFinished, StepStarted, TrialBlocked, TrialFinished, TrialStarted, Window
from harness.run.context import TrialClock, step_context
from harness.run.monitors import Watch, online
from harness.run.protocols import Monitor
from harness.run.run import Run
from harness.scenario.catalogue import Reference
from harness.scenario.model import Plan, PlannedAct, Scenario
from harness.scenario.parameters import decode_parameters
from harness.scenario.plan import make_plan
from harness.thresholds.grammar import parse_threshold

GRACE_S = 1.5  # how long steps may take to return after they were told to stop
INTERRUPTED_GRACE_S = 0.8  # the same where somebody waits
TICK_S = 0.5  # bounds how late Ctrl-C is seen where a wait cannot be interrupted
TRACE_LINES = 4


@dataclasses.dataclass(frozen=True, slots=True)
class TrialResult:
    """How a trial ended; its checks are judged from the run folder."""

    trial: str
    outcome: str  # completed, blocked, stopped, interrupted, error
    detail: str
    plan: Plan


def run_trial(run: Run, scenario: Scenario, layer: str | None = None, *, monitors: Sequence[Monitor] = ()) -> TrialResult:
    """Execute ``scenario`` inside ``run``; never raises for what the system or a wing does. Ctrl-C ends the trial and goes on up."""
    ENDING.check()
    trial = run.trial_id(scenario.name)
    plan = _declared(run, make_plan(scenario, run.seeds.derive(f"trial/{trial}")))
    began = run.clock.monotonic_ns()
    _store(run, trial, scenario, plan, layer or scenario.layer)
    blocked = _missing_capability(run, trial, plan)
    if blocked is not None:
        run.journal.emit(blocked)
        outcome, detail = "blocked", blocked.reason
    else:
        execution = Execution(run, trial, plan, (*monitors, *online(plan.checks, run.registry, run.folder, trial)))
        outcome, detail = execution.execute()
    seconds = round((run.clock.monotonic_ns() - began) / NS_PER_S, 6)
    run.journal.emit(TrialFinished(trial=trial, outcome=outcome, duration_s=seconds, detail=outside(detail)), sync=True)
    if outcome == "interrupted":
        raise KeyboardInterrupt
    return TrialResult(trial, outcome, detail, plan)


def _declared(run: Run, plan: Plan) -> Plan:
    """The plan with the metric of each threshold as its driver declares it now."""
    thresholds = []
    for use in plan.thresholds:
        spec = run.registry.spec(parse_threshold(use.expression), plan.drivers())
        thresholds.append(msgspec.structs.replace(use, unit=spec.unit, source=spec.source))
    return msgspec.structs.replace(plan, thresholds=tuple(thresholds))


def _store(run: Run, trial: str, scenario: Scenario, plan: Plan, layer: str) -> None:
    folder = run.folder / "trials" / trial
    folder.mkdir(parents=True)
    encoded = plan.encoded()
    jsonio.write_atomic(folder / "scenario.yaml", scenario.text.encode())
    jsonio.write_atomic(folder / "plan.json", encoded)
    run.journal.emit(
        TrialStarted(
            trial=trial,
            scenario=scenario.name,
            layer=layer,
            seed=plan.seed,
            scenario_path=f"trials/{trial}/scenario.yaml",
            plan_path=f"trials/{trial}/plan.json",
            plan_sha256=jsonio.sha256_hex(encoded),
        ),
        sync=True,
    )


def _missing_capability(run: Run, trial: str, plan: Plan) -> TrialBlocked | None:
    """The scenario's own requirements first (they block the run), then those of its drivers and probes."""
    if plan.profile not in {"any", run.profile}:
        reason = f"written for the profile {plan.profile}, this run has {run.profile}"
        return TrialBlocked(trial=trial, capability=f"profile.{plan.profile}", required=False, reason=reason)
    for capability in plan.requires:
        if capability not in run.capabilities:
            return TrialBlocked(trial=trial, capability=capability, required=True, reason=f"{capability} is not available here")
    for act in plan.acts:
        needs = run.registry.driver(act.uses).requires if act.kind == "driver" else run.registry.probe(act.uses).requires
        if missing := sorted(needs - run.capabilities):
            reason = f"{act.kind} {act.uses} needs {missing[0]}, which is not available here"
            return TrialBlocked(trial=trial, capability=missing[0], required=False, reason=reason)
    return None


class Execution:
    """The threads of one trial. An error in one step tells all others to stop; the first cause is kept."""

    def __init__(self, run: Run, trial: str, plan: Plan, monitors: Sequence[Monitor]) -> None:
        self._run, self._trial, self._plan = run, trial, plan
        self._clock = TrialClock()
        self._watch = Watch(trial, monitors, run.journal, lambda reason: self._end("stopped", reason)) if monitors else None
        self._ended = {act.name: threading.Event() for act in plan.acts}
        self._lock = threading.Lock()
        self._outcome, self._detail = "completed", ""
        self._began_ns = 0
        self._said: set[str] = set()  # phases of which a driver said itself when they were

    def execute(self) -> tuple[str, str]:
        """Run all acts; returns outcome and detail. Returns at most ``GRACE_S`` after the deadline or Ctrl-C."""
        self._began_ns = self._run.clock.monotonic_ns()
        forget = self._run.journal.observe(self._see)
        threads = [threading.Thread(target=self._work, args=(act,), name=f"step-{act.name}", daemon=True) for act in self._plan.acts]
        try:
            for thread in threads:
                thread.start()
            self._join(threads)
        except KeyboardInterrupt:
            self._end("interrupted", "Ctrl-C")
            self._wait_for_stop(threads, min(GRACE_S, INTERRUPTED_GRACE_S))
        finally:
            forget()
        return self._outcome, self._detail

    def _see(self, event: Event) -> None:
        """Every event of the run, right after it was written."""
        if isinstance(event, Window) and (event.trial, event.kind) == (self._trial, "phase"):
            self._said.add(event.name)
        if isinstance(event, StackLost):
            self._end("stopped", event.cause)
        if self._watch is not None:
            self._watch(event)

    def _join(self, threads: Sequence[threading.Thread]) -> None:
        deadline_ns = self._began_ns + self._plan.deadline_ns
        while any(thread.is_alive() for thread in threads):
            if self._clock.stop():
                self._wait_for_stop(threads)
                return
            if self._run.clock.monotonic_ns() >= deadline_ns:
                seconds = self._plan.deadline_ns / NS_PER_S
                self._end("stopped", f"the deadline of {seconds:g} s passed; still at work: {', '.join(self._clock.running())}")
                continue
            alive = next(thread for thread in threads if thread.is_alive())
            alive.join(min(TICK_S, max(0.001, (deadline_ns - self._run.clock.monotonic_ns()) / NS_PER_S)))

    def _wait_for_stop(self, threads: Sequence[threading.Thread], grace_s: float | None = None) -> None:
        grace_s = GRACE_S if grace_s is None else grace_s
        until = self._run.clock.monotonic_ns() + round(grace_s * NS_PER_S)
        for thread in threads:
            thread.join(max(0.0, (until - self._run.clock.monotonic_ns()) / NS_PER_S))
        if left := [thread.name.removeprefix("step-") for thread in threads if thread.is_alive()]:
            with self._lock:
                self._detail += f"; did not stop within {grace_s:g} s: {', '.join(left)}"

    def _end(self, outcome: str, detail: str) -> None:
        with self._lock:
            if not self._clock.stop():
                self._outcome, self._detail = outcome, detail
                self._clock.stopping.set()
        for ended in self._ended.values():
            ended.set()  # nobody waits for a predecessor of a trial that is being ended

    def _work(self, act: PlannedAct) -> None:
        planned_ns = self._wait_for_turn(act)
        if self._clock.stop() or ENDING.requested:
            return
        at_ns = self._run.clock.monotonic_ns()
        self._clock.start(act.name, at_ns)
        try:
            self._run.journal.emit(StepStarted(trial=self._trial, step=act.name, driver=act.uses, planned_ns=planned_ns, at_ns=at_ns))
            outcome, detail = self._act(act)
            ended_ns = self._run.clock.monotonic_ns()
            self._clock.end(act.name, ended_ns)
            self._emit_phases(act, at_ns, ended_ns)
            self._run.journal.emit(StepFinished(trial=self._trial, step=act.name, outcome=outcome, at_ns=ended_ns, detail=outside(detail)))
        except Exception as error:  # noqa: BLE001 - the journal refused, or is closed: nothing more can be said there
            self._end("error", f"step {act.name}: {type(error).__name__}: {error}")
        self._ended[act.name].set()

    def _wait_for_turn(self, act: PlannedAct) -> int:
        """Wait for predecessors and the planned time; returns that time (ns)."""
        for name in act.after:
            self._ended[name].wait(self._plan.deadline_ns / NS_PER_S)
        ends = [window[1] for name in act.after if (window := self._clock.window(name)) is not None]
        planned_ns = max(ends, default=self._began_ns) + act.offset_ns
        delay_s = (planned_ns - self._run.clock.monotonic_ns()) / NS_PER_S
        if delay_s > 0:
            self._run.clock.wait(delay_s, self._clock.stopping)
        return planned_ns

    def _act(self, act: PlannedAct) -> tuple[str, str]:
        """Run the driver or probe; ``(outcome, detail)`` of the step. Whatever it raises ends the trial."""
        registry = self._run.registry
        context = step_context(self._run, self._trial, act.name, self._plan.seed, self._clock)
        try:
            parameters = decode_parameters(registry.parameters(Reference(act.kind, act.uses)), act.parameters)
            if act.kind == "driver":
                registry.driver(act.uses).run(context, parameters)
            else:
                registry.probe(act.uses).capture(context, parameters)
        except Blocked as error:
            self._block(act, error)
            return "stopped", error.reason
        except BaseException as error:  # noqa: BLE001 - a wing may raise anything, SystemExit too
            return self._fail(act, error)
        return ("stopped" if self._clock.stop() else "done"), ""

    def _block(self, act: PlannedAct, error: Blocked) -> None:
        event = TrialBlocked(trial=self._trial, capability="", required=False, reason=outside(error.reason))
        self._run.journal.emit(event)
        self._end("blocked", f"step {act.name}: {error.reason}")

    def _fail(self, act: PlannedAct, error: BaseException) -> tuple[str, str]:
        message = f"{type(error).__name__}: {error}"
        if self._clock.stop():
            return "stopped", message
        frames = traceback.extract_tb(error.__traceback__)[-TRACE_LINES:]
        where = " ← ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        self._end("error", f"step {act.name}: {message}")
        return "error", f"{message} ({where})"

    def _emit_phases(self, act: PlannedAct, at_ns: int, ended_ns: int) -> None:
        """The scenario's phases of this step as windows, unless the driver said better when they were."""
        for phase in self._plan.phases:
            if phase.step == act.name and phase.name not in self._said and at_ns + phase.from_ns < ended_ns:
                end_ns = min(at_ns + phase.to_ns, ended_ns)
                tags = {"step": act.name, "by": "plan"}
                self._run.journal.emit(
                    Window(trial=self._trial, kind="phase", name=phase.name, start_ns=at_ns + phase.from_ns, end_ns=end_ns, tags=tags)
                )
