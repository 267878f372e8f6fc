"""The driver ``certify``: one engine against the reference server, everything kept that its judgement needs."""

from __future__ import annotations

import secrets
import subprocess
import sys
from typing import ClassVar

import msgspec

from harness.core.errors import Blocked, HarnessError, UsageError, listing, nearest_word
from harness.core.units import Duration, Rate, Share
from harness.load.certify import truth
from harness.load.certify.checks import LOG, PLAN, REPORTED, TRUTH, Result, result
from harness.load.certify.engines import Bench, Engine
from harness.load.certify.foreign import K6Engine, LocustEngine
from harness.load.certify.liar_engine import PREFIX, LiarEngine
from harness.load.certify.liars import KINDS
from harness.load.certify.ours import OurEngine
from harness.load.certify.processes import ReferenceProcess
from harness.load.certify.script import ServerScript, StallWindow
from harness.load.certify.table import certificate_table
from harness.run.context import store_evidence
from harness.run.protocols import MetricSpec, StepContext
from harness.run.view import FolderView

ENGINES: tuple[type[OurEngine | LocustEngine | K6Engine], ...] = (OurEngine, LocustEngine, K6Engine)
NAMES = tuple(engine.name for engine in ENGINES)
REQUESTS_MAX = 2_000_000
TRUTH_LIMIT_S = 120.0
STALL_AT_SHARE = 1 / 3  # of the time that is left beside the stall
TAIL_S = 0.5  # load goes on at least so long after the stall


class Certify(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``engine``: ours, locust, k6, or ``liar:<kind>`` from the gallery. Shares are of the requests."""

    engine: str
    rate: Rate = Rate.parse("1000 /s")
    duration: Duration = Duration.parse("30 s")
    stall: Duration = Duration.parse("2 s")
    timeout: Duration = Duration.parse("10 s")
    tails: Share = Share.parse("0 %")
    tail: Duration = Duration.parse("200 ms")
    resets: Share = Share.parse("0 %")
    limited: Share = Share.parse("0 %")


class CertifyDriver:
    """Runs one engine; judges nothing."""

    name: ClassVar[str] = "certify"
    parameters: ClassVar[type[msgspec.Struct]] = Certify
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: Certify) -> None:
        """Blocked where the engine is not here; ``UsageError`` for what cannot be certified, ``HarnessError`` when the engine failed."""
        engine = engine_named(parameters.engine)
        check_parameters(parameters)
        if reason := engine.missing():
            raise Blocked(reason)
        token = secrets.token_hex(16)
        with ReferenceProcess(context, script(parameters, context.seed), token) as server:
            bench = Bench(
                context=context,
                host="127.0.0.1",
                port=server.port,
                rate_per_s=parameters.rate.per_second,
                duration_s=parameters.duration.seconds,
                stall_s=parameters.stall.seconds,
                timeout_s=parameters.timeout.seconds,
                token=token,
            )
            ran = engine.run(bench)
            log = server.finish()
        plan = truth.TruthPlan(bench.rate_per_s, bench.duration_s, bench.timeout_s, ran.groups)
        store_evidence(context, self.name, PLAN, truth.write_plan(plan))
        store_evidence(context, self.name, LOG, log)
        store_evidence(context, self.name, REPORTED, msgspec.json.encode(ran.reported))
        store_evidence(context, self.name, TRUTH, independent_truth(context))
        found = result(FolderView(context.run_folder), context.trial)
        assert isinstance(found, Result)
        context.journal.emit(certificate_table(context.trial, found))


def engine_named(name: str) -> Engine:
    """The adapter of that name; an unknown one lists those there are."""
    for engine in ENGINES:
        if engine.name == name:
            return engine()
    known = [*NAMES, *(f"{PREFIX}{kind}" for kind in KINDS)]
    if name in known:
        return LiarEngine(name.removeprefix(PREFIX))
    raise UsageError(f"unknown engine {name!r}", nearest=nearest_word(name, known), remedy=f"known: {listing(NAMES)}")


def check_parameters(parameters: Certify) -> None:
    """Raise ``UsageError`` for a load that could not show anything."""
    rate, duration_s, stall_s = parameters.rate.per_second, parameters.duration.seconds, parameters.stall.seconds
    if not 1 <= rate * duration_s <= REQUESTS_MAX:
        raise UsageError(f"{rate * duration_s:.0f} requests", remedy=f"rate x duration must give 1 to {REQUESTS_MAX}")
    if stall_s and duration_s < stall_s + 2 * TAIL_S:
        raise UsageError(f"a stall of {stall_s:g} s does not fit into {duration_s:g} s", remedy=f"give at least {stall_s + 2 * TAIL_S:g} s")
    if parameters.timeout.seconds <= stall_s:
        raise UsageError("the time-out is not longer than the stall", remedy="a certificate compares finite response times")


def script(parameters: Certify, seed: int) -> ServerScript:
    """What the server will do: the stall begins after a third of the time beside it."""
    length_s = parameters.stall.seconds
    after_s = (parameters.duration.seconds - length_s) * STALL_AT_SHARE
    return ServerScript(
        seed=seed & 0xFFFFFFFF,
        stalls=(StallWindow(after_s, length_s),) if length_s else (),
        tail_share=parameters.tails.fraction,
        tail_ms=parameters.tail.seconds * 1000,
        reset_share=parameters.resets.fraction,
        limit_share=parameters.limited.fraction,
    )


def independent_truth(context: StepContext) -> bytes:
    """The truth by the stand-alone script, in a Python that cannot import ``harness``."""
    folder = context.run_folder / "evidence" / context.trial
    command = [sys.executable, "-I", "-S", truth.__file__, str(folder / PLAN), str(folder / LOG)]
    done = subprocess.run(command, capture_output=True, timeout=TRUTH_LIMIT_S, check=False)
    if done.returncode:
        raise HarnessError(f"the truth cannot be computed: {done.stderr.decode(errors='replace')[-400:]}")
    return done.stdout
