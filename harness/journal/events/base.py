"""What every event is made of: the base class, and the types of fields that say their unit."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

SCHEMA_VERSION = 1


def doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


Ns = Annotated[int, doc("CLOCK_MONOTONIC, ns")]
Seconds = Annotated[float, doc("s")]
TrialId = Annotated[str, doc("trial the event belongs to; empty outside trials")]
Sha256 = Annotated[str, doc("SHA-256, hex")]
RunPath = Annotated[str, doc("path inside the run folder, with /")]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events; ``NAME`` is what stands in the journal."""

    NAME: ClassVar[str]
