"""Finds drivers, probes and checkers by name; nothing is imported before it is asked for.

Our own wings are packages of ``harness`` with a module ``wing.py`` that holds three tables of names::

    DRIVERS = {"open_loop": "harness.load.driver:OpenLoop"}
    PROBES = {}
    CHECKERS = {"certificate": "harness.load.checks:Certificate"}

Everybody else's come through the entry points ``harness.drivers``, ``harness.probes`` and ``harness.checkers``.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import pkgutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

import harness
from harness.core.errors import HarnessError, UsageError, listing, nearest_word
from harness.core.units import unit
from harness.run.protocols import Checker, Driver, MetricSpec, Probe
from harness.run.threshold_rows import is_latency
from harness.scenario.catalogue import Implied, Need, Reference, Stretch
from harness.thresholds.evaluate import check_dimension, needed_samples
from harness.thresholds.grammar import Threshold, parse_threshold

TAIL = 0.9  # from this percentile on a limit is one on the tail
KINDS = ("driver", "probe", "checker")
_NEEDED = {"driver": ("run", "metrics", "requires"), "probe": ("capture", "requires"), "checker": ("check",)}
BUILT_IN: Mapping[Reference, str] = {
    Reference("checker", "tests"): "harness.run.builtin:Tests",
    Reference("checker", "layers"): "harness.run.builtin:Layers",
    Reference("checker", "trial_completed"): "harness.run.builtin:TrialCompleted",
    Reference("checker", "exits"): "harness.run.exits:UnplannedExits",
}


class RegistryError(HarnessError):
    """A wing that cannot be loaded; names the distribution or module it comes from."""


@dataclasses.dataclass(frozen=True, slots=True)
class Origin:
    """Where a name leads: ``module:Class`` and who said so."""

    target: str
    provider: str


class Registry:
    """Implements ``scenario.Catalogue`` for the loader and gives the runner its wings."""

    def __init__(self, table: Mapping[Reference, Origin], requirements: Collection[str] | None = None) -> None:
        self._table = dict(table)
        self._requirements = None if requirements is None else frozenset(requirements)
        self._made: dict[Reference, Any] = {}

    @classmethod
    def discover(cls, requirements: Collection[str] | None = None) -> Registry:
        """The built-in table, our wings, and the entry points; two providers of one name are an error."""
        table: dict[Reference, Origin] = {}
        for reference, origin in (*_built_in(), *_own_wings(), *_entry_points()):
            other = table.setdefault(reference, origin)
            if other != origin:
                raise RegistryError(f"{reference.kind} {reference.name!r} is given by {other.provider} and by {origin.provider}")
        return cls(table, requirements)

    @classmethod
    def built_in(cls, requirements: Collection[str] | None = None) -> Registry:
        """Without any wing: what ``added`` starts from where only the caller's own wings are wanted."""
        return cls(dict(_built_in()), requirements)

    def added(self, wings: Mapping[Reference, type[Any]]) -> Registry:
        """A registry with these classes besides: for tests, and for programs that bring their own."""
        table = {**self._table, **{key: Origin(f"{kind.__module__}:{kind.__qualname__}", "caller") for key, kind in wings.items()}}
        registry = Registry(table, self._requirements)
        registry._made.update({reference: _checked(kind(), reference, "caller") for reference, kind in wings.items()})
        return registry

    def with_tables(self, tables: Mapping[str, Mapping[str, str]], folder: Path) -> Registry:
        """A registry with a project's own wings besides (kind -> name -> "module:Class"); their modules are found in ``folder``."""
        if any(tables.values()) and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        table = dict(self._table)
        for kind, names in tables.items():
            for name, target in names.items():
                reference = Reference(kind, name)
                if reference in table:
                    raise RegistryError(f"{kind} {name!r} is given by {table[reference].provider} and by the project's harness.toml")
                table[reference] = Origin(target, "harness.toml")
        return Registry(table, self._requirements)

    def names(self, kind: str) -> Collection[str]:
        return sorted(reference.name for reference in self._table if reference.kind == kind)

    def requirement_ids(self) -> Collection[str] | None:
        return self._requirements

    def parameters(self, reference: Reference) -> type[msgspec.Struct]:
        kind: type[msgspec.Struct] = self._get(reference).parameters
        return kind

    def driver(self, name: str) -> Driver:
        return cast("Driver", self._get(Reference("driver", name)))

    def probe(self, name: str) -> Probe:
        return cast("Probe", self._get(Reference("probe", name)))

    def checker(self, name: str) -> Checker:
        return cast("Checker", self._get(Reference("checker", name)))

    def metrics(self, drivers: Sequence[str]) -> Mapping[str, MetricSpec]:
        """The metrics these drivers declare, by name; the first declaration of a name counts."""
        specs: dict[str, MetricSpec] = {}
        for driver in drivers:
            for spec in self.driver(driver).metrics:
                specs.setdefault(spec.name, spec)
        return specs

    def check_threshold(self, expression: str, drivers: Sequence[str], phases: Collection[str]) -> None:
        """Raise ``UsageError`` for an unknown metric, tag, phase, unit or a limit of another dimension."""
        threshold = parse_threshold(expression)
        spec = self.spec(threshold, drivers)
        if unknown := [key for key, _ in threshold.tags if key not in spec.tags]:
            near = nearest_word(unknown[0], spec.tags)
            raise UsageError(f"{spec.name} has no tag {unknown[0]!r}", nearest=near, remedy=f"known: {listing(spec.tags)}")
        if threshold.phase is not None and threshold.phase not in phases:
            near = nearest_word(threshold.phase, phases)
            raise UsageError(f"unknown phase {threshold.phase!r}", nearest=near, remedy=f"known: {listing(phases)}")
        if spec.source == "measured" and (threshold.phase or threshold.window):
            raise UsageError(f"{spec.name} is a single figure", remedy="`in` and `every` are for metrics made from samples")
        check_dimension(threshold, spec.unit)

    def check_provable(self, expression: str, stretches: Sequence[Stretch]) -> None:
        """Only steps whose drivers tell their plans beforehand (``most``) are counted; with any other step nothing is refused."""
        threshold = parse_threshold(expression)
        spec = self.spec(threshold, [one.driver for one in stretches])
        needed = needed_samples(threshold, spec.unit)
        step = dict(threshold.tags).get("step")
        sources = [one for one in stretches if (step is None or one.step == step) and self._samples(one.driver, spec)]
        if not needed or spec.source == "measured" or not sources:
            return
        counts = [self._most(one, threshold) for one in sources]
        known = sum(count for count in counts if count is not None)
        if None not in counts and known < needed:
            where = f" every {threshold.window}" if threshold.window else f" in {threshold.phase}" if threshold.phase else ""
            raise UsageError(
                f"this can never be proven: it needs {needed} samples{where}, the plan brings at most {known}",
                remedy=f"{self._enough(sources, threshold, needed, known)}, or set a limit that fewer samples can show",
            )

    def _enough(self, sources: Sequence[Stretch], threshold: Threshold, needed: int, known: int) -> str:
        """A ready number where one step brings all the samples and its driver can say it."""
        told = getattr(self.driver(sources[0].driver), "enough", None) if len(sources) == 1 else None
        words = "" if told is None else cast("str", told(sources[0].parameters, needed, *_bounds(sources[0], threshold)))
        return f"`{words}` would do" if words else f"rate × time must be {needed / max(known, 1):.2g} times as much"

    def _samples(self, driver: str, spec: MetricSpec) -> bool:
        return any(one.name == spec.name and one.source == spec.source for one in self.driver(driver).metrics)

    def _most(self, stretch: Stretch, threshold: Threshold) -> int | None:
        most = getattr(self.driver(stretch.driver), "most", None)
        return None if most is None else cast("int | None", most(stretch.parameters, *_bounds(stretch, threshold)))

    def implied(self, steps: Mapping[str, str], expressions: Sequence[str]) -> Implied:
        """The checks that drivers declare (``implies``) and that metrics need (``vouched_by``)."""
        needs: dict[str, Need] = {}
        for step, driver in steps.items():
            for checker in getattr(self.driver(driver), "implies", ()):
                needs[checker] = Need(steps=(*needs.get(checker, Need()).steps, step))
        drivers, unvouched = list(steps.values()), []
        limits: dict[str, list[Threshold]] = {}
        for expression in expressions:
            threshold = parse_threshold(expression)
            spec = self.spec(threshold, drivers)
            if not is_latency(threshold, spec) or spec.vouched_by == "":
                continue
            if spec.vouched_by is None:
                unvouched.append(spec.name)
                continue
            limits.setdefault(spec.vouched_by, []).append(threshold)
        needs |= {name: Need(needs.get(name, Need()).steps, _limits_s(found)) for name, found in limits.items()}
        return Implied(needs, tuple(dict.fromkeys(unvouched)))

    def implied_parameters(self, checker: str, need: Need, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the checker itself says; one that has no ``implied`` takes what is written."""
        fitting = getattr(self.checker(checker), "implied", None)
        return written if fitting is None else cast("Mapping[str, Any]", fitting(need, written))

    def spec(self, threshold: Threshold, drivers: Sequence[str]) -> MetricSpec:
        """The declaration of a threshold's metric; ``UsageError`` with the nearest name for one that nobody declares."""
        specs = self.metrics(drivers)
        if threshold.metric not in specs:
            near = nearest_word(threshold.metric, specs)
            message = f"no driver of this timeline declares the metric {threshold.metric!r}"
            raise UsageError(message, nearest=near, remedy=f"declared: {listing(specs)}")
        return specs[threshold.metric]

    def _get(self, reference: Reference) -> Any:
        if reference not in self._made:
            self._made[reference] = self._make(reference)
        return self._made[reference]

    def _make(self, reference: Reference) -> Any:
        origin = self._table.get(reference)
        if origin is None:
            known = self.names(reference.kind)
            near = nearest_word(reference.name, known)
            raise UsageError(f"unknown {reference.kind} {reference.name!r}", nearest=near, remedy=f"known: {listing(known)}")
        module, _, attribute = origin.target.partition(":")
        try:
            kind = getattr(importlib.import_module(module), attribute)
            return _checked(kind(), reference, origin.provider)
        except RegistryError:
            raise
        except Exception as error:  # whatever a foreign module does when imported
            message = f"{reference.kind} {reference.name!r} of {origin.provider} ({origin.target}) cannot be loaded"
            raise RegistryError(f"{message}: {type(error).__name__}: {error}") from error


def _bounds(stretch: Stretch, threshold: Threshold) -> tuple[tuple[float, float] | None, float | None]:
    """The part of the step that the limit is about, and the length of its windows; s."""
    span_s = stretch.phases.get(threshold.phase) if threshold.phase else None
    return span_s, None if threshold.window is None else threshold.window.seconds


def _limits_s(thresholds: Sequence[Threshold]) -> tuple[float, ...]:
    """The limits to be vouched for: those of tails where there are any, for what bounds a tail bounds a median too."""
    tails = [one for one in thresholds if (one.aggregation.quantile or 1) >= TAIL and one.aggregation.name != "median"]
    return tuple(float(one.limit.base) for one in tails or thresholds)


def _checked(wing: Any, reference: Reference, provider: str) -> Any:
    needed = ("name", "parameters", *_NEEDED[reference.kind])
    if missing := [attribute for attribute in needed if not hasattr(wing, attribute)]:
        raise RegistryError(f"{reference.kind} {reference.name!r} of {provider} lacks {listing(missing)}")
    for spec in getattr(wing, "metrics", ()):
        try:
            unit(spec.unit)
        except UsageError as error:
            raise RegistryError(f"{reference.kind} {reference.name!r} of {provider}: metric {spec.name!r}: {error}") from None
    return wing


def _built_in() -> Iterator[tuple[Reference, Origin]]:
    for reference, target in BUILT_IN.items():
        yield reference, Origin(target, "harness.run")


def _own_wings() -> Iterator[tuple[Reference, Origin]]:
    for package in sorted(info.name for info in pkgutil.iter_modules(harness.__path__) if info.ispkg):
        if not any((Path(root) / package / "wing.py").is_file() for root in harness.__path__):
            continue
        module = importlib.import_module(f"harness.{package}.wing")
        for kind in KINDS:
            for name, target in getattr(module, f"{kind.upper()}S", {}).items():
                yield Reference(kind, name), Origin(target, module.__name__)


def _entry_points() -> Iterator[tuple[Reference, Origin]]:
    for kind in KINDS:
        for point in importlib.metadata.entry_points(group=f"harness.{kind}s"):
            distribution = point.dist.name if point.dist is not None else "an unknown distribution"
            yield Reference(kind, point.name), Origin(point.value, distribution)
