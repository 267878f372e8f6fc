"""The life of a document: its states, the allowed edges, and the law that the record store enforces.

Fifteen states and two gates of the PDF flow. A gate is left by an operator only: no step of the worker enters
``ir_building`` from ``pdf_downloaded`` or ``embedding`` from ``pdf_ir_ready``.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeAlias

from system.evidence.ir import Chunk
from system.evidence.records import Extraction
from system.platform.errors import IllegalTransition
from system.platform.ports import Records


class State(enum.StrEnum):
    """What has been done to a document. In-flight states (…ing) say that a step has begun and may be run again."""

    PENDING = "pending"
    FETCHING = "fetching"
    FETCHED = "fetched"
    PARSING = "parsing"
    PARSED = "parsed"
    VALIDATING = "validating"
    VALIDATED = "validated"
    IR_BUILDING = "ir_building"
    IR_READY = "ir_ready"
    EMBEDDING = "embedding"
    INDEXED = "indexed"
    COMPLETED = "completed"
    FAILED = "failed"
    RETRYING = "retrying"
    SKIPPED = "skipped"
    PDF_DOWNLOADED = "pdf_downloaded"
    PDF_IR_READY = "pdf_ir_ready"


_S = State

EDGES: Mapping[State, frozenset[State]] = {
    _S.PENDING: frozenset({_S.FETCHING, _S.SKIPPED}),
    _S.FETCHING: frozenset({_S.FETCHED, _S.FAILED, _S.RETRYING}),
    _S.FETCHED: frozenset({_S.PARSING, _S.PDF_DOWNLOADED, _S.FAILED}),
    _S.PARSING: frozenset({_S.PARSED, _S.FAILED}),
    _S.PARSED: frozenset({_S.VALIDATING, _S.FAILED}),
    _S.VALIDATING: frozenset({_S.VALIDATED, _S.FAILED}),
    _S.VALIDATED: frozenset({_S.IR_BUILDING, _S.FAILED}),
    _S.IR_BUILDING: frozenset({_S.IR_READY, _S.PDF_IR_READY, _S.FAILED}),
    _S.IR_READY: frozenset({_S.EMBEDDING, _S.COMPLETED, _S.FAILED}),
    _S.EMBEDDING: frozenset({_S.INDEXED, _S.COMPLETED, _S.FAILED}),
    _S.INDEXED: frozenset({_S.COMPLETED, _S.FAILED}),
    _S.COMPLETED: frozenset(),
    _S.FAILED: frozenset({_S.RETRYING}),
    _S.RETRYING: frozenset({_S.FETCHING, _S.FAILED}),
    _S.SKIPPED: frozenset(),
    _S.PDF_DOWNLOADED: frozenset({_S.IR_BUILDING, _S.FAILED}),
    _S.PDF_IR_READY: frozenset({_S.EMBEDDING, _S.FAILED}),
}

FIRST = State.PENDING
TERMINAL = frozenset({State.COMPLETED, State.FAILED, State.SKIPPED})  # a failed document may still be retried by an operator
GATES = frozenset({State.PDF_DOWNLOADED, State.PDF_IR_READY})  # left by an operator only

EvidenceRecords: TypeAlias = Records[Chunk, Extraction]


def check_edge(doc_id: str, old: str | None, new: str) -> None:
    """The law (:class:`system.platform.ports.LedgerLaw`): raises ``IllegalTransition`` naming what would be allowed.

    ``old`` None is the first write, which must be ``pending``. Staying in a state is a tolerated no-op.
    """
    target = _known(doc_id, new)
    if old is None:
        allowed: frozenset[State] = frozenset({FIRST})
    else:
        source = _known(doc_id, old)
        allowed = EDGES[source] | {source}
    if target not in allowed:
        choices = ", ".join(sorted(allowed - {target})) or "nothing"
        raise IllegalTransition(f"{doc_id}: {old or 'a new document'} may become {choices}, not {new}")


def _known(doc_id: str, state: str) -> State:
    try:
        return State(state)
    except ValueError as error:
        raise IllegalTransition(f"{doc_id}: {state!r} is not a state; the states are {', '.join(State)}") from error
