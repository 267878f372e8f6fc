"""The graph: writes behind the gate, dead letters, paged export."""

from __future__ import annotations

import dataclasses
import hashlib
import uuid
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Header, Path, Query, Request, Response

from system.evidence import steps
from system.evidence.graph.incidents import REMEDY, WRITE_PREFIX, file_difference
from system.gateway import auth, schemas
from system.gateway.problems import GraphIssue, documented, make, problem_response
from system.platform.errors import BadInput, EnginesDiffer, GateRefused, NotFound, Unavailable
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, PropertyValue, StagedBatch, StoredEdge, StoredNode
from system.platform.record_types import DeadLetter, IdempotencyKey, Job, NewDeadLetter
from system.stores.graph_schema import EDGE_TYPES, LABELS, edge_key

ROUTER = APIRouter(prefix="/v1/kg")
LetterId = Annotated[str, Path(min_length=1, max_length=128, pattern=schemas.NO_CONTROL)]
_RESULTS: dict[int | str, dict[str, Any]] = {202: {"model": schemas.GraphWritten, "description": "durable; the graph is away"}}


@ROUTER.post("/write", response_model=schemas.GraphWritten, responses={**_RESULTS, **documented(400, 401, 403, 409, 413, 422, 500, 503)})
def write(
    request: Request,
    response: Response,
    body: schemas.GraphWrite,
    principal: auth.GraphWriter,
    idempotency_key: Annotated[str | None, Header(min_length=8, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")] = None,
) -> Any:
    """Gate, then records, then the graph: 200 in the graph, 202 durable while the graph is away, 422 a shape is broken.

    500 when the gate's two engines do not agree: nothing was written, both reports are in the dead letter that the answer names.
    After a refusal nothing is kept under the write id or the Idempotency-Key: the corrected batch may use them again.
    """
    batch = batch_of(body)
    key = None
    if idempotency_key is not None:
        digest = hashlib.sha256(msgspec.json.encode(batch)).hexdigest()
        key = IdempotencyKey(idempotency_key, principal.name, "POST /v1/kg/write", digest)
    return _write(request, response, body.write_id, batch, principal.name, key)


def _write(request: Request, response: Response, write_id: str, batch: GraphBatch, principal: str, key: IdempotencyKey | None) -> Any:
    ports = _ports(request)
    try:
        ports.gate.check(batch, _known(ports))
    except GateRefused as refused:
        return _refused(request, ports, write_id, batch, refused)
    except EnginesDiffer as found:
        letter = file_difference(ports.records, batch, found)
        return problem_response(make(request, 500, str(found), dead_letter_id=letter, remedy=REMEDY))
    job = Job(f"job-{uuid.uuid4().hex}", "kg_write", "", principal)
    staged = ports.records.stage_graph_batch(batch, (), write_id, job, key)
    in_graph = staged.status == "applied"
    if not in_graph:
        try:
            steps.apply_batch(ports, batch, staged.payload_sha256)
            in_graph = True
        except Unavailable:
            response.status_code = 202  # durable: the applier brings it in
        except BadInput as error:
            steps.refuse_batch(ports, staged, error)  # else the applier might write later what this answer refuses
            raise
    return schemas.GraphWritten(
        write_id=write_id, in_graph=in_graph, job_id=staged.job_id or job.job_id, nodes=len(batch.nodes), edges=len(batch.edges)
    )


def _refused(request: Request, ports: steps.Ports, write_id: str, batch: GraphBatch, refused: GateRefused) -> Response:
    issues = [
        GraphIssue(focus_node=item.focus_node, path=item.path, value=item.value, shape=item.shape, message=item.message)
        for item in refused.issues
    ]
    for issue in issues:
        request.app.state.metrics.kg_refused.labels(issue.shape).inc()
    encoded = msgspec.json.encode([issue.model_dump() for issue in issues])
    letter = ports.records.put_dead_letter(NewDeadLetter("kg_write", write_id, str(refused), encoded, msgspec.json.encode(batch)))
    remedy = "nothing was written; correct the named values and write again, or replay the dead letter once the cause is gone"
    return problem_response(make(request, 422, str(refused), issues=issues, dead_letter_id=letter, remedy=remedy))


@ROUTER.get("/writes/{write_id}", response_model=schemas.GraphWriteStatus, responses=documented(400, 401, 403, 404, 503))
def write_status(
    request: Request, write_id: Annotated[str, Path(min_length=1, max_length=128, pattern=schemas.NO_CONTROL)], _p: auth.GraphReader
) -> schemas.GraphWriteStatus:
    """Whether an acknowledged write is in the graph yet."""
    staged = _ports(request).records.graph_write(write_id)
    if staged is None:
        raise NotFound(f"there is no write {write_id}")
    return _status(write_id, staged)


@ROUTER.get("/dead-letters", response_model=schemas.DeadLetterPage, responses=documented(400, 401, 403, 503))
def dead_letters(
    request: Request,
    _p: auth.GraphReader,
    status: Annotated[str | None, Query(pattern=r"^(open|replayed)$")] = None,
    after: Annotated[str, Query(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> schemas.DeadLetterPage:
    """Persisted refusals with their issues."""
    letters = _ports(request).records.dead_letters(status, after, limit)
    return schemas.DeadLetterPage(
        dead_letters=[_letter(item) for item in letters], next_after=letters[-1].letter_id if len(letters) == limit else None
    )


@ROUTER.post(
    "/dead-letters/{letter_id}/replay",
    response_model=schemas.GraphWritten,
    responses={**_RESULTS, **documented(400, 401, 403, 404, 409, 422, 500, 503)},
)
def replay(request: Request, response: Response, letter_id: LetterId, principal: auth.GraphWriter) -> Any:
    """Write a dead letter's batch again; it passes the gate now or stays a dead letter. A document's letter runs the document again."""
    ports = _ports(request)
    letter = ports.records.dead_letter(letter_id)
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    batch = msgspec.json.decode(letter.payload, type=GraphBatch)
    if not batch.supporter.startswith(WRITE_PREFIX):
        return _run_again(ports, response, letter, batch)
    answer = _write(request, response, letter.subject, batch, principal.name, None)
    if isinstance(answer, schemas.GraphWritten):
        ports.records.mark_replayed(letter_id)
    return answer


def _run_again(ports: steps.Ports, response: Response, letter: DeadLetter, batch: GraphBatch) -> schemas.GraphWritten:
    """The batch alone would put into the graph what the ledger calls failed, or a document deleted since: the steps decide anew."""
    row = ports.records.ledger_row(letter.subject)
    if row is None:
        raise NotFound(f"there is no document {letter.subject} any more")
    ports.records.mark_replayed(letter.letter_id)  # first: a second refusal opens the letter again
    row = steps.run_again(row, ports)
    in_graph = row.state == "completed"
    if not in_graph:
        response.status_code = 202
    return schemas.GraphWritten(
        write_id=letter.subject, in_graph=in_graph, job_id=row.job_id, nodes=len(batch.nodes), edges=len(batch.edges)
    )


@ROUTER.get("/export", response_model=schemas.GraphPage, responses=documented(400, 401, 403, 503))
def export(
    request: Request,
    _p: auth.GraphReader,
    cursor: Annotated[str, Query(max_length=1200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> schemas.GraphPage:
    """The stored graph, page by page: all nodes, then all edges."""
    position = _position(cursor)
    graph = _ports(request).graph
    if position.name in LABELS:
        nodes = graph.nodes(position.name, position.after, limit)
        following = _following(position, nodes[-1].node.ref.key if len(nodes) == limit else None)
        return schemas.GraphPage(nodes=[_node_body(item) for item in nodes], edges=[], next_cursor=following)
    edges = graph.edges(position.name, position.after, limit)
    following = _following(position, edge_key(edges[-1].edge) if len(edges) == limit else None)
    return schemas.GraphPage(nodes=[], edges=[_edge_body(item) for item in edges], next_cursor=following)


@dataclasses.dataclass(frozen=True, slots=True)
class _Position:
    """Where an export stands: a label or an edge type, and the last key seen of it."""

    name: str
    after: str


_ORDER = (*LABELS, *EDGE_TYPES)


def _position(cursor: str) -> _Position:
    name, _, after = cursor.partition(":")
    if cursor and name not in _ORDER:
        raise BadInput("this is no cursor of this API", "query.cursor", "start without a cursor and pass on next_cursor unchanged")
    return _Position(name or _ORDER[0], after)


def _following(position: _Position, last_key: str | None) -> str | None:
    """The next cursor: further in the same name, or at the next one; None behind the last."""
    if last_key is not None:
        return f"{position.name}:{last_key}"
    index = _ORDER.index(position.name) + 1
    return f"{_ORDER[index]}:" if index < len(_ORDER) else None


def _ports(request: Request) -> steps.Ports:
    ports: steps.Ports = request.app.state.platform.ports
    return ports


def _known(ports: steps.Ports) -> Callable[[NodeRef], bool]:
    """Whether a node outside the batch is there: in the graph, or promised by a durable batch while the graph is away."""

    def known(ref: NodeRef) -> bool:
        return bool(ports.records.graph_knows(ref.label, ref.key))

    return known


def batch_of(body: schemas.GraphWrite) -> GraphBatch:
    """The batch that a request body states."""
    nodes = tuple(GraphNode(NodeRef(node.label, node.key), _values(node.properties)) for node in body.nodes)
    edges = tuple(
        GraphEdge(
            edge.type,
            NodeRef(edge.source.label, edge.source.key),
            NodeRef(edge.target.label, edge.target.key),
            edge.qualifier,
            _values(edge.properties),
        )
        for edge in body.edges
    )
    return GraphBatch(f"{WRITE_PREFIX}{body.write_id}", nodes, edges)


def _values(properties: dict[str, schemas.PropertyValue]) -> dict[str, PropertyValue]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in properties.items()}


def _body_values(properties: Any) -> dict[str, schemas.PropertyValue]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in properties.items()}


def _node_body(stored: StoredNode) -> schemas.StoredNodeBody:
    ref = stored.node.ref
    return schemas.StoredNodeBody(
        label=ref.label, key=ref.key, properties=_body_values(stored.node.properties), supporters=list(stored.supporters)
    )


def _edge_body(stored: StoredEdge) -> schemas.StoredEdgeBody:
    edge = stored.edge
    return schemas.StoredEdgeBody(
        type=edge.type,
        source=schemas.Ref(label=edge.source.label, key=edge.source.key),
        target=schemas.Ref(label=edge.target.label, key=edge.target.key),
        qualifier=edge.qualifier,
        properties=_body_values(edge.properties),
        supporters=list(stored.supporters),
    )


def _status(write_id: str, staged: StagedBatch) -> schemas.GraphWriteStatus:
    return schemas.GraphWriteStatus.model_validate(
        {
            "write_id": write_id,
            "status": staged.status,
            "staged_at": staged.staged_at,
            "payload_sha256": staged.payload_sha256,
        }
    )


def _letter(letter: DeadLetter) -> schemas.DeadLetterBody:
    return schemas.DeadLetterBody(
        letter_id=letter.letter_id,
        kind=letter.kind,
        subject=letter.subject,
        reason=letter.reason,
        issues=letter.issues,
        status=letter.status,
        attempts=letter.attempts,
        created_at=letter.created_at,
    )
