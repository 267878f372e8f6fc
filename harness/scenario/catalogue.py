"""What a scenario may refer to. The runner's registry implements it, so that a scenario knows no wing."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

import msgspec


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A driver, probe or checker by kind and name."""

    kind: str  # "driver", "probe", "checker"
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Need:
    """Why a check is implied: the steps whose drivers imply it, and the limits on times that it has to vouch for, in seconds."""

    steps: tuple[str, ...] = ()
    limits_s: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Implied:
    """Checks that a scenario brings with it whether it lists them or not, by checker; ``unvouched``: metrics nobody can vouch for."""

    checks: Mapping[str, Need]
    unvouched: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Stretch:
    """A step's driver and parameters, and the phases that are parts of it (seconds from its start)."""

    step: str
    driver: str
    parameters: msgspec.Struct
    phases: Mapping[str, tuple[float, float]] = dataclasses.field(default_factory=dict)


class Catalogue(Protocol):
    """Known names, the types of their parameters, and the judge of threshold expressions."""

    def names(self, kind: str) -> Collection[str]: ...
    def parameters(self, reference: Reference) -> type[msgspec.Struct]: ...
    def check_threshold(self, expression: str, drivers: Sequence[str], phases: Collection[str]) -> None:
        """Raise ``UsageError`` whose column counts from 1 within ``expression``."""

    def check_provable(self, expression: str, stretches: Sequence[Stretch]) -> None:
        """Raise ``UsageError`` for a limit that needs more samples than these steps can bring."""

    def implied(self, steps: Mapping[str, str], expressions: Sequence[str]) -> Implied:
        """What the drivers (``steps``: step -> driver) and the metrics of the thresholds imply."""

    def implied_parameters(self, checker: str, need: Need, written: Mapping[str, Any]) -> Mapping[str, Any]:
        """The parameters that fit the need; what is ``written`` may ask for more, never for less."""

    def requirement_ids(self) -> Collection[str] | None:
        """None where nobody knows the ids: they are not checked then."""
