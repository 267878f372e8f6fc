"""What a validation found: shape by shape and violation by violation. Written by the validating process, read by everybody else."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MAX_VIOLATIONS = 1_000  # kept in full; all are counted
FailOn = Literal["info", "warning", "violation"]
SEVERITIES: Final = ("Info", "Warning", "Violation")  # rising; one of the project's own counts as Violation


class Violation(msgspec.Struct, frozen=True):
    """One result of SHACL. ``shape`` is the shape with the target, also where a nested one was broken: that one is ``source``."""

    focus_node: str
    path: str
    value: str
    shape: str
    message: str
    severity: str = "Violation"
    source: str = ""
    component: str = ""


class ShapeResult(msgspec.Struct, frozen=True):
    """A shape with a target: how many nodes it looked at, how many results it gave, and how many of each severity."""

    shape: str
    focus_nodes: int
    violations: int
    severities: tuple[tuple[str, int], ...] = ()


class IdleShape(msgspec.Struct, frozen=True):
    """What is written as a shape and judged nothing, and why."""

    shape: str
    reason: str


class ShaclReport(msgspec.Struct, frozen=True):
    """``violations`` holds the first 1,000 of ``violation_count``, sorted. ``validator`` names every library that judged, with its version.

    ``triples`` is None where nobody counted them. ``differences``: where the engines do not agree; then nothing is decided, and
    ``reference`` holds what the other one found.
    """

    validator: str
    triples: int | None
    conforms: bool
    shapes: tuple[ShapeResult, ...]
    violation_count: int
    violations: tuple[Violation, ...]
    idle: tuple[IdleShape, ...] = ()
    differences: tuple[str, ...] = ()
    reference: tuple[Violation, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[str, ...]:
        """Shapes that looked at nothing."""
        return tuple(shape.shape for shape in self.shapes if shape.focus_nodes == 0)

    def failing(self, fail_on: FailOn = "info") -> int:
        """Results at least as severe as that; by default all of them, as ``sh:conforms`` has it."""
        if not any(shape.severities for shape in self.shapes):
            return self.violation_count  # a report from before severities were kept
        least = [name.lower() for name in SEVERITIES].index(fail_on)
        below = set(SEVERITIES[:least])
        return sum(count for shape in self.shapes for severity, count in shape.severities if severity not in below)


def decode_report(content: bytes) -> ShaclReport:
    return msgspec.json.decode(content, type=ShaclReport)


def short(name: str) -> str:
    """The last part of an IRI, for tables; a name in words stays, with its IRIs shortened."""
    if " " in name:
        return " ".join(short(word) for word in name.split(" "))
    return name.rstrip("#/").replace("#", "/").rpartition("/")[2] or name
