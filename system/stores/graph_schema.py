"""Names and keys of the property graph: labels, edge types, deterministic keys. No client library here.

An element's identity is a pure function of what it says, so that MERGE by key makes every write idempotent.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from system.platform.errors import BadInput
from system.platform.ports import GraphBatch, GraphEdge, NodeRef, PropertyValue

LABELS: tuple[str, ...] = (
    "Document",
    "Chunk",
    "Study",
    "Arm",
    "Intervention",
    "Condition",
    "Outcome",
    "Evidence",
    "AdverseEvent",
    "EligibilityConstraint",
    "Dose",
    "EvidenceVariable",
    "ExtractionActivity",
)
EDGE_TYPES: tuple[str, ...] = (
    "HAS_CHUNK",
    "HAS_ARM",
    "USES_INTERVENTION",
    "ABOUT",
    "HAS_OUTCOME",
    "REPORTS",
    "MEASURES",
    "HAS_AE",
    "HAS_DOSE",
    "HAS_ELIGIBILITY",
    "DERIVES_FROM",
    "WAS_GENERATED_BY",
)
# Bookkeeping: one node a supporter with the list of what it contributed; not part of the model, never exported or counted.
CONTRIBUTION = "Contribution"
RESERVED = frozenset({"key", "supporters", "claims", "lock", "source", "target", "qualifier", "type"})
KEY_LIMIT_CHARS = 1_000

_PROPERTY = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
_LABEL = re.compile(r"[A-Z][A-Za-z]{0,63}\Z")
_TYPE = re.compile(r"[A-Z][A-Z_]{0,63}\Z")
_INTEGER_LIMIT = 2**63
_ENCODER = msgspec.json.Encoder()


@functools.lru_cache(maxsize=65_536)
def node_iri(ref: NodeRef) -> str:
    """``urn:eh:<Label>:<key>``, the key as UTF-8, percent-encoded except unreserved characters."""
    return f"urn:eh:{ref.label}:{quote(ref.key, safe='')}"


def edge_key(edge: GraphEdge) -> str:
    """SHA-256 (first 24 hex digits) of source, type, target and qualifier, one a line; the ends are written as node IRIs."""
    identity = f"{node_iri(edge.source)}\n{edge.type}\n{node_iri(edge.target)}\n{edge.qualifier}"
    return hashlib.sha256(identity.encode()).hexdigest()[:24]


def edge_iri(edge: GraphEdge) -> str:
    """``urn:eh:edge:<sha12>``: the first 12 digits of :func:`edge_key`."""
    return f"urn:eh:edge:{edge_key(edge)[:12]}"


def external_refs(batch: GraphBatch) -> tuple[NodeRef, ...]:
    """The nodes that the batch's edges touch and that the batch does not bring: they must be in the graph already."""
    own = {node.ref for node in batch.nodes}
    ends = {ref for edge in batch.edges for ref in (edge.source, edge.target)}
    return tuple(sorted(ends - own))


def check_names(batch: GraphBatch) -> None:
    """Refuses what no store can hold: names outside the grammar, reserved names, odd keys, values that are not finite.

    Raises ``BadInput`` with a JSON pointer into the batch. Whether names are *meaningful* is the gate's business.
    """
    if not _storable(batch):
        _refuse(batch)


def _refuse(batch: GraphBatch) -> None:
    """Look at one thing after the other, to name the first that is wrong."""
    if not batch.nodes and not batch.edges:
        raise BadInput("the batch is empty", "/", "give at least one node or edge")
    if not batch.supporter or len(batch.supporter) > KEY_LIMIT_CHARS:
        raise BadInput("the supporter is empty or too long", "/supporter", "give a document id or a write id")
    for index, node in enumerate(batch.nodes):
        _check_ref(node.ref, f"/nodes/{index}")
        check_properties(node.properties, f"/nodes/{index}/properties")
    for index, edge in enumerate(batch.edges):
        place = f"/edges/{index}"
        if not _TYPE.match(edge.type):
            raise BadInput(f"{edge.type!r} is no edge type", f"{place}/type", f"use one of {', '.join(EDGE_TYPES)}")
        _check_ref(edge.source, f"{place}/source")
        _check_ref(edge.target, f"{place}/target")
        _check_text(edge.qualifier, f"{place}/qualifier")
        check_properties(edge.properties, f"{place}/properties")


def check_properties(properties: Mapping[str, PropertyValue], place: str) -> None:
    """Property names are lower snake case and not reserved; numbers are finite and fit 64 bits."""
    for name, value in properties.items():
        where = f"{place}/{name}"
        if not _PROPERTY.match(name) or name in RESERVED:
            raise BadInput(f"property name {name!r} is reserved or not lower_snake_case", where, "rename the property")
        if isinstance(value, float) and not math.isfinite(value):
            raise BadInput("the number is not finite", where, "leave the property out")
        if isinstance(value, int) and abs(value) >= _INTEGER_LIMIT:
            raise BadInput("the integer does not fit 64 bits", where, "give a smaller number")
        for text in (value,) if isinstance(value, str) else value if isinstance(value, tuple) else ():
            _check_text(text, where)


def _storable(batch: GraphBatch) -> bool:
    """Whether :func:`_refuse` finds nothing, asked of the batch as a whole, which is far cheaper: most batches have nothing wrong.

    A batch that :func:`_refuse` lets pass may be told False, never the other way round.
    """
    refs = {node.ref for node in batch.nodes}
    for edge in batch.edges:
        refs.add(edge.source)
        refs.add(edge.target)
    lengths = [len(ref.key) for ref in refs]
    lengths.append(len(batch.supporter))
    properties = [node.properties for node in batch.nodes] + [edge.properties for edge in batch.edges]
    names = set[str]().union(*properties)
    return (
        bool(refs)
        and min(lengths) > 0
        and max(lengths) <= KEY_LIMIT_CHARS
        and all(map(_LABEL.match, {ref.label for ref in refs}))
        and all(map(_TYPE.match, {edge.type for edge in batch.edges}))
        and names.isdisjoint(RESERVED)
        and all(map(_PROPERTY.match, names))
        and _only_numbers_that_fit([value for one in properties for value in one.values() if not isinstance(value, str)])
        and _only_characters(batch)
    )


def _only_numbers_that_fit(values: list[PropertyValue]) -> bool:
    floats = [value for value in values if isinstance(value, float)]
    if not math.isfinite(sum(floats)):
        return False
    integers = [value for value in values if isinstance(value, int)]
    return not integers or (max(integers) < _INTEGER_LIMIT and min(integers) > -_INTEGER_LIMIT)


def _only_characters(batch: GraphBatch) -> bool:
    """False for a lone surrogate or a NUL anywhere, and for a text that spells the escape of one."""
    try:
        return b"\\u0000" not in _ENCODER.encode(batch)
    except UnicodeEncodeError:
        return False


def plain(properties: Mapping[str, PropertyValue]) -> dict[str, PropertyValue]:
    """The properties that say something: None and empty lists mean absent; sorted by name."""
    return {name: properties[name] for name in sorted(properties) if properties[name] is not None and properties[name] != ()}


def _check_ref(ref: NodeRef, place: str) -> None:
    if not _LABEL.match(ref.label):
        raise BadInput(f"{ref.label!r} is no label", f"{place}/label", f"use one of {', '.join(LABELS)}")
    if not 0 < len(ref.key) <= KEY_LIMIT_CHARS:
        raise BadInput("the key is empty or too long", f"{place}/key", f"give 1 to {KEY_LIMIT_CHARS} characters")
    _check_text(ref.key, f"{place}/key")


def _check_text(text: str, place: str) -> None:
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text):
        raise BadInput("the text holds NUL or a lone surrogate", place, "remove the character")
