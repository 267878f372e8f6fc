"""What a validation found: shape by shape and violation by violation. Written by the validating process, read by everybody else."""

from __future__ import annotations

import msgspec

MAX_VIOLATIONS = 1_000  # kept in full; all are counted


class Violation(msgspec.Struct, frozen=True):
    """One result of SHACL. ``shape`` is the shape with the target, also where a nested one was broken."""

    focus_node: str
    path: str
    value: str
    shape: str
    message: str


class ShapeResult(msgspec.Struct, frozen=True):
    """A shape with a target: how many nodes it looked at and how many results it gave."""

    shape: str
    focus_nodes: int
    violations: int


class ShaclReport(msgspec.Struct, frozen=True):
    """``violations`` holds the first 1,000 of ``violation_count``, sorted. ``validator`` names the library with its version."""

    validator: str
    triples: int
    conforms: bool
    shapes: tuple[ShapeResult, ...]
    violation_count: int
    violations: tuple[Violation, ...]

    @property
    def unseen(self) -> tuple[str, ...]:
        """Shapes that looked at nothing."""
        return tuple(shape.shape for shape in self.shapes if shape.focus_nodes == 0)


def decode_report(content: bytes) -> ShaclReport:
    return msgspec.json.decode(content, type=ShaclReport)


def short(name: str) -> str:
    """The last part of an IRI, for tables."""
    return name.rstrip("#/").replace("#", "/").rpartition("/")[2] or name
