"""A catalogue as small as a scenario needs, made of classes that the runner would call wings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import HealthCheck, settings

from harness.core.units import Duration, Rate
from harness.run.protocols import CheckRow, MetricSpec, RunView, StepContext
from harness.run.registry import Registry
from harness.scenario.catalogue import Reference

settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


class ShopParameters(msgspec.Struct, frozen=True):
    rate: Rate
    customers: int = 300
    latency: Duration = Duration.of_seconds(0.01)


class Nothing(msgspec.Struct, frozen=True):
    pass


class Shop:
    name: ClassVar[str] = "shop"
    parameters: ClassVar[type[msgspec.Struct]] = ShopParameters
    metrics: ClassVar[tuple[MetricSpec, ...]] = (
        MetricSpec("response_time", "s", "samples:requests", ("op", "outcome")),
        MetricSpec("errors", "%", "samples:requests", ("op",)),
        MetricSpec("till", "s", "measured"),
    )
    requires: ClassVar[frozenset[str]] = frozenset()

    def run(self, context: StepContext, parameters: ShopParameters) -> None:
        raise NotImplementedError


class Trouble(Shop):
    name: ClassVar[str] = "trouble"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()


class Picture:
    name: ClassVar[str] = "picture"
    parameters: ClassVar[type[msgspec.Struct]] = Nothing

    def check(self, view: RunView, trial: str, layer: str, parameters: Nothing) -> Sequence[CheckRow]:
        return []


@pytest.fixture(scope="session")
def catalogue() -> Registry:
    wings: dict[Reference, type[Any]] = {
        Reference("driver", "shop"): Shop,
        Reference("driver", "trouble"): Trouble,
        Reference("checker", "picture"): Picture,
    }
    return Registry.built_in({"SHOP-1", "SHOP-2"}).added(wings)
