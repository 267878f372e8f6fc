"""What a scenario may refer to. The runner's registry implements it, so that a scenario knows no wing."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Protocol

import msgspec


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A driver, probe or checker by kind and name."""

    kind: str  # "driver", "probe", "checker"
    name: str


class Catalogue(Protocol):
    """Known names, the types of their parameters, and the judge of threshold expressions."""

    def names(self, kind: str) -> Collection[str]: ...
    def parameters(self, reference: Reference) -> type[msgspec.Struct]: ...
    def check_threshold(self, expression: str, drivers: Sequence[str], phases: Collection[str]) -> None:
        """Raise ``UsageError`` whose column counts from 1 within ``expression``."""

    def requirement_ids(self) -> Collection[str] | None:
        """None where nobody knows the ids: they are not checked then."""
