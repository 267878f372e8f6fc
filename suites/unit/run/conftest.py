"""A wing as somebody else would write it: a driver, a probe and two checkers, seen by the runner only through the registry."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from harness.core.units import Duration, Rate
from harness.core.verdict import Verdict
from harness.journal.events import Event, Measured, Note, Window
from harness.journal.segments import REQUESTS, SegmentWriter
from harness.run.context import store_evidence
from harness.run.errors import Blocked
from harness.run.protocols import CheckRow, MetricSpec, RunView, StepContext, Target
from harness.run.registry import Registry
from harness.run.run import Run
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario
from harness.scenario.model import Scenario

MS = 1_000_000


class ShopParameters(msgspec.Struct, frozen=True):
    rate: Rate
    customers: int = 300
    every_nth_fails: int = 0
    phase: str = ""
    latency: Duration = Duration.of_seconds(0.01)


class Shop:
    """Pretends that customers came: writes samples with known latencies."""

    name: ClassVar[str] = "shop"
    parameters: ClassVar[type[msgspec.Struct]] = ShopParameters
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("response_time", "s", "samples:requests", ("op", "outcome", "step"), vouched_by="certificate"),
        MetricSpec("errors", "%", "samples:requests", ("op", "step")),
        MetricSpec("till", "s", "measured", ("desk",)),
    )
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: ShopParameters) -> None:
        start = context.now_ns()
        gap = round(1e9 / parameters.rate.per_second)
        with SegmentWriter("requests", REQUESTS, context.run_folder, context.journal, trial=context.trial) as samples:
            for number in range(parameters.customers):
                intended = start + number * gap
                failed = parameters.every_nth_fails and number % parameters.every_nth_fails == 0
                samples.append(
                    op="buy",
                    step=context.step,
                    intended_ns=intended,
                    sent_ns=intended + MS,
                    done_ns=None if failed else intended + parameters.latency.ns,
                    status=0 if failed else 200,
                    outcome="timeout" if failed else "ok",
                )
        if parameters.phase:
            context.journal.emit(Window(trial=context.trial, kind="phase", name=parameters.phase, start_ns=5, end_ns=6))
        context.journal.emit(Measured(trial=context.trial, metric="till", unit="ms", value=250.0, tags={"desk": "one"}))


class TroubleParameters(msgspec.Struct, frozen=True):
    kind: str = "error"


class Trouble:
    """Raises, blocks, or works until it is told to stop."""

    name: ClassVar[str] = "trouble"
    parameters: ClassVar[type[msgspec.Struct]] = TroubleParameters
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: TroubleParameters) -> None:
        if parameters.kind == "block":
            raise Blocked("no cgroups here")
        if parameters.kind == "work":
            while not context.stop():
                context.wait(5.0)
            return
        if parameters.kind == "deaf":
            threading.Event().wait(2.0)
            return
        if parameters.kind == "talk":
            context.journal.emit(Note(trial=context.trial, text="smoke"))
            while not context.stop():
                context.wait(5.0)
            return
        raise RuntimeError("the till \x1b[31mburned\x1b[0m \x00down")


class Nothing(msgspec.Struct, frozen=True):
    pass


class Camera:
    name: ClassVar[str] = "camera"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing
    requires: ClassVar[frozenset[str]] = frozenset()

    def capture(self, context: StepContext, parameters: Nothing) -> None:
        store_evidence(context, self.name, "picture", b"three customers")


class Picture:
    name: ClassVar[str] = "picture"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing

    def check(self, view: RunView, trial: str, layer: str, parameters: Nothing) -> Sequence[CheckRow]:
        seen = view.evidence("picture", trial)
        verdict = Verdict.PASS if seen == b"three customers" else Verdict.FAIL
        return [CheckRow(check=self.name, layer=layer, verdict=verdict, value=str(seen))]


class CertificateParameters(msgspec.Struct, frozen=True):
    verdict: Verdict = Verdict.PASS


class Certificate:
    name: ClassVar[str] = "certificate"
    parameters: ClassVar[type[msgspec.Struct]] = CertificateParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: CertificateParameters) -> Sequence[CheckRow]:
        return [CheckRow(check=self.name, layer=layer, verdict=parameters.verdict, reason="canary late", voids="latency")]


class Broken:
    name: ClassVar[str] = "broken"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing

    def check(self, view: RunView, trial: str, layer: str, parameters: Nothing) -> Sequence[CheckRow]:
        raise ZeroDivisionError("1/0")


class SmokeDetector:
    name: ClassVar[str] = "smoke"

    def see(self, event: Event) -> tuple[str, str] | None:
        return ("guard_tripped", "there is smoke") if isinstance(event, Note) and event.text == "smoke" else None


WINGS: dict[Reference, type[Any]] = {
    Reference("driver", "shop"): Shop,
    Reference("driver", "trouble"): Trouble,
    Reference("probe", "camera"): Camera,
    Reference("checker", "picture"): Picture,
    Reference("checker", "certificate"): Certificate,
    Reference("checker", "broken"): Broken,
}

SHOP = """
name: shop
title: A shop under load
layer: load
requirements: [SHOP-1]
timeline:
  - step: buy
    driver: shop
    with: {rate: 100 /s, customers: 320}
    at: uniform(1 ms, 3 ms)
probes:
  - probe: camera
phases:
  steady: {step: buy, from: 0 s, to: 2 s}
thresholds:
  - {id: p95, expr: "response_time{op=buy}: p(95) < 800 ms"}
  - {id: errs, expr: "errors: rate < 1 %"}
  - {id: till, expr: "till{desk=one}: max < 1 s"}
checks:
  - checker: picture
  - checker: certificate
"""


@pytest.fixture
def registry() -> Registry:
    return Registry.built_in().added(WINGS)


@pytest.fixture
def smoke() -> SmokeDetector:
    return SmokeDetector()


@pytest.fixture
def make_run(tmp_path: Path, registry: Registry) -> Callable[..., Run]:
    def make(**options: Any) -> Run:
        run = Run(tmp_path / "reports", project=tmp_path, **{"registry": registry, "seed": 7, **options})
        run.attach(Target("http://127.0.0.1:1", {}))
        return run

    return make


@pytest.fixture
def scenario(registry: Registry) -> Callable[..., Scenario]:
    """Parses a scenario text; pairs of (old, new) are replaced in it first."""

    def parse(text: str = SHOP, *changes: tuple[str, str]) -> Scenario:
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        return parse_scenario(text.encode(), "shop.yaml", registry)

    return parse


@pytest.fixture
def shop_text() -> str:
    return SHOP
