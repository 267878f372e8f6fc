"""The driver ``plant``: causes of slow requests, planted where the checks have to find them by measuring.

No fault is journaled, only a window of kind ``planted``, which no check reads: it is the truth that the bar ``attribution`` compares with.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Annotated, ClassVar, Literal

import msgspec

from harness.core.errors import Blocked
from harness.core.units import Duration
from harness.defects.driver import FILE, arm
from harness.journal.events import Window
from harness.run.processes import spawn
from harness.run.protocols import MetricSpec, StackControl, StepContext

PLANTED = "planted"
_BURN = "import sys, time\nuntil = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < until: pass"
HOGS_A_CPU = 3


class Plant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``what``: stop ``service`` (SIGSTOP, SIGCONT), a hog of every processor, or ``defect``, a seeded one; ``times``, ``every`` so often.

    Each lasts ``each``: a hog ends by itself, whatever becomes of the run.
    """

    what: Literal["stop", "hog", "defect"]
    each: Duration
    every: Duration = Duration.parse("5 s")
    times: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    service: str = ""
    defect: str = ""


class PlantDriver:
    """Undone when it ends, however it ends."""

    name: ClassVar[str] = "plant"
    parameters: ClassVar[type[msgspec.Struct]] = Plant
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"stack.owned"})

    def run(self, context: StepContext, parameters: Plant) -> None:
        if context.stack is None:
            raise Blocked("only a stack of this run may be disturbed")
        begun_ns = context.now_ns()
        for number in range(parameters.times):
            context.wait(max(0.0, (begun_ns + number * parameters.every.ns - context.now_ns()) / 1e9))
            if context.stop():
                return
            start_ns = context.now_ns()
            with _planted(context, context.stack, parameters):
                context.wait(parameters.each.seconds)
            end_ns = context.now_ns()
            context.journal.emit(Window(trial=context.trial, kind=PLANTED, name=context.step, start_ns=start_ns, end_ns=end_ns))


@contextlib.contextmanager
def _planted(context: StepContext, stack: StackControl, parameters: Plant) -> Iterator[None]:
    with contextlib.ExitStack() as undo:
        _ACTS[parameters.what](context, stack, parameters, undo)
        yield


def _stop(_context: StepContext, stack: StackControl, parameters: Plant, undo: contextlib.ExitStack) -> None:
    undo.callback(stack.kill, parameters.service, signal.SIGCONT)
    stack.kill(parameters.service, signal.SIGSTOP)


def _hog(_context: StepContext, _stack: StackControl, parameters: Plant, undo: contextlib.ExitStack) -> None:
    for _ in range(HOGS_A_CPU * (os.cpu_count() or 1)):
        undo.enter_context(spawn([sys.executable, "-c", _BURN, str(parameters.each.seconds)]))


def _defect(context: StepContext, _stack: StackControl, parameters: Plant, undo: contextlib.ExitStack) -> None:
    file = context.run_folder / FILE
    if not file.is_file():
        raise Blocked("this system watches no defect file")
    undo.callback(arm, file, "")
    arm(file, parameters.defect)


_ACTS: dict[str, Callable[[StepContext, StackControl, Plant, contextlib.ExitStack], None]] = {
    "stop": _stop,
    "hog": _hog,
    "defect": _defect,
}
