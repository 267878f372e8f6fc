"""``requirements.json``: what became of each requirement in one run. Written by ``traceability``, shown by ``report``."""

from __future__ import annotations

import enum
from typing import Annotated

import msgspec

from harness.core import jsonio

MATRIX_FILE = "requirements.json"
MATRIX_VERSION = 1


class Status(enum.StrEnum):
    """Worst first. Only ``verified`` counts."""

    FAILING = "failing"
    VACUOUS = "vacuous"
    BLOCKED = "blocked"
    UNPROVEN = "unproven"
    VERIFIED = "verified"
    UNTESTED = "untested"


class RequirementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement and the rows of the run that carry it."""

    id: str
    group: str
    text: str
    threshold: str
    evidence: Annotated[str, msgspec.Meta(description="executed, scaled, static, document, not here")]
    status: Status
    note: Annotated[str, msgspec.Meta(description="why it is not verified; empty when it is")] = ""
    checks: tuple[str, ...] = ()
    defects: Annotated[tuple[str, ...], msgspec.Meta(description="seeded defects that turned one of its checks red")] = ()


class RequirementMatrix(msgspec.Struct, frozen=True, kw_only=True):
    """All requirements, in the order of the register."""

    rows: tuple[RequirementRow, ...]
    v: int = MATRIX_VERSION

    def encoded(self) -> bytes:
        """The bytes of requirements.json."""
        return jsonio.pretty(msgspec.to_builtins(self))


def decode_matrix(content: bytes) -> RequirementMatrix:
    """Read a stored matrix; raises msgspec's errors."""
    return msgspec.json.decode(content, type=RequirementMatrix)
