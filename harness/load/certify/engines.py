"""What a load engine is to the certificate: something that is told a rate and a duration, and says what it measured.

The adapters run the engines as their users do; what they say is taken as it is, in the words of ``Reported``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol

import msgspec

from harness.load.certify.truth import Group
from harness.run.protocols import StepContext

GROUP = "certify"  # request ids are certify-<number>, where an engine lets us choose them


class Reported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an engine says of its run. Figures in ms; ``invalid`` is its own declaration that they are not to be trusted, with the cause."""

    engine: str
    figures: Mapping[str, float]  # p50, p90, p99, p99.9, max; those it gives
    answers: int  # how many answers the figures rest on
    unsent: int = 0  # intended and, as it says itself, never sent
    failed: int = 0  # resets, time-outs and other failures it counts
    rate_limited: int = 0
    lag_p99_ms: float | None = None
    cpu_share: float | None = None
    invalid: str = ""
    how: str = ""  # how it was run and what its figures are


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """Where and how an engine is asked to load; ``token`` is what the reference server answers at ``/reference``."""

    context: StepContext
    host: str
    port: int
    rate_per_s: float
    duration_s: float
    stall_s: float
    timeout_s: float
    token: str

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def count(self) -> int:
        """How many requests are intended."""
        return round(self.rate_per_s * self.duration_s)


@dataclasses.dataclass(frozen=True, slots=True)
class Ran:
    """What was intended, as the truth script needs it, and what the engine said."""

    groups: tuple[Group, ...]
    reported: Reported


class Engine(Protocol):
    """An adapter. ``missing`` says why the engine cannot run here, and how to get it; empty when it can."""

    @property
    def name(self) -> str: ...
    def missing(self) -> str: ...
    def run(self, bench: Bench) -> Ran: ...
