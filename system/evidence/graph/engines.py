"""The engine port of the SHACL gate, and which engine stands first.

Two engines that share no code judge a batch: the Rust wheel ``shacl`` answers, pySHACL is the reference that confirms. Where the
wheel is not installed for the platform, pySHACL answers alone, and :class:`Engines` says so.
"""

from __future__ import annotations

import dataclasses
import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

import msgspec

from system.platform.errors import GateIssue
from system.platform.ports import GraphBatch, NodeRef

LOG = logging.getLogger("system.gate")
SHAPES_DIR: Final = Path(__file__).resolve().parent.parent / "shapes"
ENGINE_FAILED: Final = "EngineFailed"  # the shape of the one issue that stands for an engine that gave no report


class Issue(msgspec.Struct, frozen=True, order=True):
    """A :class:`GateIssue` that travels between processes and compares: the two engines' reports are equal or they differ."""

    focus_node: str
    path: str
    value: str
    shape: str
    message: str

    def told(self) -> GateIssue:
        """As callers of the gate get it."""
        return GateIssue(self.focus_node, self.path, self.value, self.shape, self.message)


class ShaclEngine(Protocol):
    """Judges batches by the shapes it was made with; an empty answer means the batch conforms.

    ``known`` are the nodes outside the batch that the graph has already. Names were checked before
    (:func:`system.stores.graph_schema.check_names`). The issues are sorted and each stands once, so that reports can be compared.
    One instance serves any number of threads.
    """

    @property
    def name(self) -> str:
        """Distribution and version, such as ``pyshacl 0.40.0``."""
        ...

    def validate(self, batch: GraphBatch, known: Sequence[NodeRef]) -> tuple[Issue, ...]: ...


@dataclasses.dataclass(frozen=True, slots=True)
class Engines:
    """Who answers, and who confirms; ``second`` is None where there is only the reference."""

    first: ShaclEngine
    second: ShaclEngine | None

    def told(self) -> str:
        """For /version and the log."""
        if self.second is None:
            return f"{self.first.name} alone: the wheel shacl is not installed, nothing confirms"
        return f"{self.first.name}, confirmed by {self.second.name}"


def engines(reference: ShaclEngine, shapes_dir: Path = SHAPES_DIR) -> Engines:
    """The Rust engine before the reference; the reference alone where the wheel cannot be imported."""
    try:
        rust = importlib.import_module("system.evidence.graph.engine_rust")
    except ImportError as error:
        LOG.warning("SHACL gate: %s answers alone, the Rust engine cannot be imported (%s)", reference.name, error)
        return Engines(reference, None)
    return Engines(rust.RustShacl(shapes_dir), reference)


def shape_files(shapes_dir: Path) -> list[Path]:
    """The Turtle files of a folder of shapes, by name."""
    return sorted(shapes_dir.glob("*.ttl"))
