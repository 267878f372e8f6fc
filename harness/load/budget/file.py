"""The budget file as types: limits by phase and endpoint, objectives with burn rates; and which limit holds where.

Which limits hold is decided by *group*, from the most specific place that says anything about it: phase's endpoint, endpoint,
phase, defaults.

* Latency (p50, p95, p99) is one group: who says one of them says all, a percentile left out there is not judged. (The checker this
  replaces took each percentile from the defaults on its own: an endpoint with P95 100 ms was granted P99 1,500 ms, and one with
  P95 2,000 ms was held to a P50 of 350 ms.)
* ``errors`` is a group of its own.
* ``rate`` (completed requests a second, at least) belongs to the place that says it and is never inherited: what all endpoints
  reach together says nothing about one of them.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated

import msgspec

from harness.core.units import Duration, Quantity, Rate, Share

ALL = "all"  # the row over every endpoint of a phase
PERCENTILES: Mapping[str, Fraction] = {"p50": Fraction(1, 2), "p95": Fraction(95, 100), "p99": Fraction(99, 100)}
MAX_ENTRIES = 200
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
# What a tool calls a request: Locust's default is the path, others write "GET /a?b=1".
EndpointName = Annotated[str, msgspec.Meta(pattern=r"^[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]{0,198}[^\s\x00-\x1f\x7f])?$")]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Upper limits of response time and errors, a lower one of throughput."""

    p50: Duration | None = None
    p95: Duration | None = None
    p99: Duration | None = None
    errors: Share | None = None
    rate: Rate | None = None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.p50, self.p95, self.p99) if limit is not None]
        if any(lower.base > upper.base for lower, upper in itertools.pairwise(given)):
            raise ValueError("a lower percentile has a higher limit than the one above it")
        if any(limit.base <= 0 for limit in (*given, *self._others())):
            raise ValueError("a limit of 0 can never be shown: give a value above 0")
        if self.errors is not None and self.errors.base >= 1:
            raise ValueError(f"errors {self.errors} allows everything to fail: give less than 100 %")

    def _others(self) -> list[Quantity]:
        return [limit for limit in (self.errors, self.rate) if limit is not None]

    def latencies(self) -> dict[str, Duration]:
        """The percentiles that are limited here."""
        return {name: limit for name in PERCENTILES if (limit := getattr(self, name)) is not None}


class Endpoint(Limits, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of one endpoint (``op`` of the samples); ``by_key`` holds each value of the sample column ``key`` (an intent) to them too."""

    by_key: bool = False


class Phase(Limits, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Limits of all requests of a phase together; ``endpoints`` that have limits of their own in it."""

    endpoints: Mapping[EndpointName, Endpoint] = msgspec.field(default_factory=dict)


class Objective(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``share`` of the requests to ``endpoint`` (all when empty) succeed, ``within`` that time where one is given, over ``window``."""

    name: Name
    share: Share
    endpoint: str = ""
    within: Duration | None = None
    window: Duration = Duration.parse("30 d")

    def __post_init__(self) -> None:
        if not 0 < self.share.base < 1:
            raise ValueError(f"an objective of {self.share} leaves no budget to burn: give more than 0 % and less than 100 %")
        if self.within is not None and self.within.base <= 0:
            raise ValueError("`within` must be above 0")
        if self.window.base <= 0:
            raise ValueError("`window` must be above 0")

    @property
    def allowed(self) -> Fraction:
        """The share that may be bad: the error budget."""
        return 1 - self.share.base


class BurnRate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Alarm when the budget burns more than ``rate`` times as fast as the window allows, over ``long`` and still over ``short``."""

    rate: Annotated[float, msgspec.Meta(gt=0, le=10_000)]
    long: Duration
    short: Duration

    def __post_init__(self) -> None:
        if not 0 < self.short.base < self.long.base:
            raise ValueError(f"the short window {self.short} must be above 0 and shorter than the long one {self.long}")


def _workbook() -> tuple[BurnRate, ...]:
    rows = ((14.4, "1 h", "5 min"), (6.0, "6 h", "30 min"), (3.0, "1 d", "2 h"), (1.0, "3 d", "6 h"))
    return tuple(BurnRate(rate=rate, long=Duration.parse(long), short=Duration.parse(short)) for rate, long, short in rows)


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the system may use while it is loaded: mean CPU over all cores, growth of its memory over the run."""

    cpu: Share | None = None
    memory_growth: Share | None = None


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole file. ``burn_rates``: multi-window pairs of the SRE workbook, chapter 5, where none are given."""

    name: Name
    title: str = ""
    defaults: Limits = Limits()
    phases: Mapping[Name, Phase] = msgspec.field(default_factory=dict)
    endpoints: Mapping[EndpointName, Endpoint] = msgspec.field(default_factory=dict)
    objectives: Annotated[tuple[Objective, ...], msgspec.Meta(max_length=MAX_ENTRIES)] = ()
    burn_rates: Annotated[tuple[BurnRate, ...], msgspec.Meta(min_length=1, max_length=20)] = msgspec.field(default_factory=_workbook)
    resources: Resources | None = None

    def __post_init__(self) -> None:
        names = [objective.name for objective in self.objectives]
        if len(set(names)) < len(names):
            raise ValueError("two objectives have one name")


@dataclasses.dataclass(frozen=True, slots=True)
class Limit:
    """One limit that holds: ``metric`` is p50, p95, p99, errors or rate; ``source`` the place of the file that says it."""

    metric: str
    quantity: Quantity
    source: str


def limits_for(budget: Budget, phase: str, endpoint: str = ALL) -> tuple[Limit, ...]:
    """The limits of an endpoint (or of ``all`` together) in a phase, one row a metric, with where each comes from."""
    places = tuple(_places(budget, phase, endpoint))
    found: list[Limit] = []
    for source, limits in places:
        if latencies := limits.latencies():
            found += [Limit(name, limit, source) for name, limit in latencies.items()]
            break
    found += next(([Limit("errors", one.errors, source)] for source, one in places if one.errors is not None), [])
    own = _own(budget, phase, endpoint)
    found += next(([Limit("rate", one.rate, source)] for source, one in own if one.rate is not None), [])
    return tuple(found)


def _own(budget: Budget, phase: str, endpoint: str) -> Iterator[tuple[str, Limits]]:
    """The places that speak of this row itself, most specific first."""
    if endpoint == ALL:
        if phase in budget.phases:
            yield f"phases.{phase}", budget.phases[phase]
        return
    if phase in budget.phases and endpoint in budget.phases[phase].endpoints:
        yield f"phases.{phase}.endpoints.{endpoint}", budget.phases[phase].endpoints[endpoint]
    if endpoint in budget.endpoints:
        yield f"endpoints.{endpoint}", budget.endpoints[endpoint]


def _places(budget: Budget, phase: str, endpoint: str) -> Iterator[tuple[str, Limits]]:
    """Everything that may speak, most specific first: phase's endpoint, endpoint, phase, defaults."""
    yield from _own(budget, phase, endpoint)
    if endpoint != ALL and phase in budget.phases:
        yield f"phases.{phase}", budget.phases[phase]
    yield "defaults", budget.defaults


def declared(budget: Budget, phase: str) -> tuple[str, ...]:
    """The endpoints that the budget limits by name in a phase: a limit that no request met has judged nothing."""
    own = budget.phases[phase].endpoints if phase in budget.phases else {}
    return tuple(dict.fromkeys([*own, *budget.endpoints]))


def by_key(budget: Budget, phase: str, endpoint: str) -> bool:
    """Whether each ``key`` of an endpoint is held to its limits."""
    return any(isinstance(one, Endpoint) and one.by_key for _, one in _own(budget, phase, endpoint))
