"""The graph port over Bolt (neo4j driver): ArcadeDB and Neo4j, without a difference in code.

Learnt by measuring: only managed transactions are atomic; a concurrent MERGE may end in ``ConstraintError`` and is retried;
property types are declared before unique indexes; a server that accepts connections may not have its database yet, so
readiness is a query. Each write first touches the nodes it will change: lock and version check come from that write, and
what is read after it cannot be stale at commit.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import ClientError, DriverError, Neo4jError

from system.platform.errors import BadInput, Unavailable
from system.platform.ports import GraphBatch, GraphEdge, GraphNode, NodeRef, StoredEdge, StoredNode
from system.stores import graph_plan as plan
from system.stores.graph_merge import visible
from system.stores.graph_schema import CONTRIBUTION, EDGE_TYPES, LABELS, check_names, node_iri

SERVICE: Final = "graph"
ROWS_PER_STATEMENT: Final = 500
PAGE_LIMIT: Final = 5_000
CONNECTION_TIMEOUT_S: Final = 2.0
RETRY_TIME_S: Final = 2.0
FIRST_RETRY_S: Final = 0.02  # the driver's own first pause is a second: far too long for a lost version check
CONFLICT_ATTEMPTS: Final = 20
CONFLICT_PAUSE_S: Final = 0.02
DATABASE_NOT_FOUND: Final = "Neo.ClientError.Database.DatabaseNotFound"
# Another transaction made the same key, or deleted what this one was reading: the next attempt sees its result.
CONFLICTS: Final = frozenset({"Neo.ClientError.Schema.ConstraintValidationFailed", "Neo.ClientError.Statement.EntityNotFound"})
STATEMENT_TIMEOUT_S: Final = 20.0  # a server that hangs is unavailable too
SILENCE_S: Final = 10.0  # no answer, or none taken, for so long: what the server's own time-out cannot say when it is paused
TURN_S: Final = 10.0  # how long a writer waits for the one before it

T = TypeVar("T")
Rows = list[dict[str, Any]]


class _StaleRead(Exception):
    """A transaction did not see its own write (seen once, 0.2 s after a killed server was back): the next attempt begins anew."""


class BoltGraph:
    """Implements :class:`system.platform.ports.Graph`. Thread-safe; writers of one process take turns."""

    def __init__(self, url: str, password: str, *, user: str = "root", database: str | None = None) -> None:
        """``database`` None is the server's default: ``eh`` in our ArcadeDB, the home database in Neo4j."""
        self._database = database
        self._writer = threading.Lock()  # two writers of one process would only make each other retry
        self._driver = neo4j.GraphDatabase.driver(
            url,
            auth=(user, password),
            connection_timeout=CONNECTION_TIMEOUT_S,
            connection_acquisition_timeout=CONNECTION_TIMEOUT_S * 2,
            connection_write_timeout=SILENCE_S,
            max_transaction_retry_time=RETRY_TIME_S,
            initial_retry_delay=FIRST_RETRY_S,
            liveness_check_timeout=0,  # a pooled connection may belong to a server that was killed meanwhile
            keep_alive=True,
            telemetry_disabled=True,
            notifications_min_severity="OFF",
        )
        _bound_reads(self._driver)

    def close(self) -> None:
        self._driver.close()

    def ready(self) -> bool:
        """Whether a query is answered: an open port says nothing."""
        try:
            self.ping()
        except Unavailable:
            return False
        return True

    def ping(self) -> None:
        """A real query; raises ``Unavailable``."""
        self._read("RETURN 1 AS one")

    def prepare(self) -> None:
        """Declares key types, then unique keys. Idempotent; edges need no index, they are found from their source."""
        for label in (*LABELS, CONTRIBUTION):
            name = label.lower()
            self._declare(f"CREATE CONSTRAINT {name}_key_type IF NOT EXISTS FOR (n:{label}) REQUIRE n.key IS :: STRING")
            self._declare(f"CREATE CONSTRAINT {name}_key IF NOT EXISTS FOR (n:{label}) REQUIRE n.key IS UNIQUE")

    def replace_contribution(self, batch: GraphBatch) -> None:
        """Makes the graph hold exactly ``batch`` from its supporter, all or nothing; the same batch again changes nothing.

        Raises ``BadInput`` for names outside the grammar and for edges whose ends do not exist.
        """
        check_names(batch)
        made = plan.contribution(batch)
        self._write(lambda tx: _replace(tx, made))

    def remove_contribution(self, supporter: str) -> None:
        """Deletes exactly what only ``supporter`` supports; what others support loses one supporter. Unknown: no effect."""
        empty = plan.Contribution(supporter, "", {}, {}, {}, frozenset())
        self._write(lambda tx: _replace(tx, empty))

    def contribution_exists(self, supporter: str) -> bool:
        return bool(self._read(f"MATCH (c:{CONTRIBUTION} {{key: $key}}) RETURN c.key AS key", key=supporter))

    def existing(self, refs: Iterable[NodeRef]) -> frozenset[NodeRef]:
        """Those of ``refs`` that are in the graph: what the gate asks about nodes outside a batch."""
        found: set[NodeRef] = set()
        for label, members in plan.by_label(refs):
            if label in LABELS:
                keys = [ref.key for ref in members]
                rows = self._read(f"UNWIND $keys AS key MATCH (n:{label} {{key: key}}) RETURN n.key AS key", keys=keys)
                found |= {NodeRef(label, row["key"]) for row in rows}
        return frozenset(found)

    def nodes(self, label: str, after_key: str, limit: int) -> Sequence[StoredNode]:
        """Up to ``limit`` (1..5000) nodes of a label with keys above ``after_key`` ("" to begin), by key."""
        _known(label, LABELS)
        query = f"MATCH (n:{label}) WHERE n.key > $after RETURN properties(n) AS form ORDER BY n.key LIMIT $limit"
        return [_stored_node(label, row["form"]) for row in self._read(query, after=after_key, limit=_page(limit))]

    def edges(self, type_: str, after_key: str, limit: int) -> Sequence[StoredEdge]:
        """Up to ``limit`` (1..5000) edges of a type with keys above ``after_key``, by key (see ``graph_schema.edge_key``)."""
        _known(type_, EDGE_TYPES)
        query = (
            f"MATCH (a)-[r:{type_}]->(b) WHERE r.key > $after RETURN labels(a)[0] AS source_label, a.key AS source, "
            "labels(b)[0] AS target_label, b.key AS target, properties(r) AS form ORDER BY r.key LIMIT $limit"
        )
        return [_stored_edge(type_, row) for row in self._read(query, after=after_key, limit=_page(limit))]

    def counts(self) -> Mapping[str, int]:
        """Elements a label and an edge type, zero included; bookkeeping is not counted."""
        parts = [f"MATCH (n:{label}) RETURN '{label}' AS name, count(n) AS total" for label in LABELS]
        parts += [f"MATCH ()-[r:{type_}]->() RETURN '{type_}' AS name, count(r) AS total" for type_ in EDGE_TYPES]
        found = {row["name"]: row["total"] for row in self._read(" UNION ALL ".join(parts))}
        return {name: found.get(name, 0) for name in (*LABELS, *EDGE_TYPES)}  # where nothing matches, Cypher has no row

    def _declare(self, statement: str) -> None:
        try:
            self._run(lambda session: session.execute_write(_query, statement, {}))
        except ClientError as error:
            if "Enterprise" not in str(error):  # Neo4j Community has no type constraints and does not need them
                raise

    def _read(self, statement: str, **parameters: object) -> Rows:
        return self._run(lambda session: session.execute_read(_query, statement, parameters))

    def _write(self, work: Callable[[neo4j.ManagedTransaction], None]) -> None:
        if not self._writer.acquire(timeout=TURN_S):
            raise Unavailable(SERVICE, f"timed out: the writer before has not ended within {TURN_S:g} s")
        try:
            self._run(lambda session: session.execute_write(neo4j.unit_of_work(timeout=STATEMENT_TIMEOUT_S)(work)))
        finally:
            self._writer.release()

    def _run(self, call: Callable[[neo4j.Session], T]) -> T:
        last: Exception | None = None
        for attempt in range(CONFLICT_ATTEMPTS):
            try:
                with self._driver.session(database=self._database) as session:
                    return call(session)
            except ClientError as error:
                if error.code == DATABASE_NOT_FOUND:
                    raise Unavailable(SERVICE, "the server is up, its database is not yet") from error
                if error.code not in CONFLICTS:
                    raise
                last = error
            except _StaleRead as error:
                last = error
            except (DriverError, Neo4jError, OSError) as error:
                raise Unavailable(SERVICE, f"{type(error).__name__}: {error}") from error
            time.sleep(CONFLICT_PAUSE_S * (attempt + 1))
        raise Unavailable(SERVICE, f"{CONFLICT_ATTEMPTS} conflicts in a row: {last}") from last


def _bound_reads(driver: neo4j.Driver) -> None:
    """Give every connection of the driver a bound on each read; by itself it has one only where the server sends a hint.

    There is no public setting: the pool's opener is the one place through which all connections come.
    """
    pool: Any = driver._pool  # noqa: SLF001
    opener: Callable[..., Any] = pool.opener

    def bounded(*arguments: Any, **named: Any) -> Any:
        connection = opener(*arguments, **named)
        connection.socket.set_read_timeout(SILENCE_S)
        return connection

    pool.opener = bounded


def _query(tx: neo4j.ManagedTransaction, statement: str, parameters: dict[str, object]) -> Rows:
    return [record.data() for record in tx.run(statement, parameters)]


def _replace(tx: neo4j.ManagedTransaction, made: plan.Contribution) -> None:
    before = _footprint(tx, made.supporter)
    if before.digest == made.digest:
        return
    stored = _touch(tx, made, before)
    _write_edges(tx, made, before, stored)
    _write_nodes(tx, made, before, stored)
    if made.nodes:
        statement = f"MERGE (c:{CONTRIBUTION} {{key: $form.key}}) SET c = $form"
        tx.run(statement, form=plan.footprint_properties(made)).consume()
    else:
        tx.run(f"MATCH (c:{CONTRIBUTION} {{key: $key}}) DELETE c", key=made.supporter).consume()


def _footprint(tx: neo4j.ManagedTransaction, supporter: str) -> plan.Footprint:
    # The lock makes two writers of one supporter take turns.
    statement = f"MATCH (c:{CONTRIBUTION} {{key: $key}}) SET c.lock = $token RETURN properties(c) AS form"
    rows = _query(tx, statement, {"key": supporter, "token": uuid.uuid4().hex})
    return plan.footprint(rows[0]["form"]) if rows else plan.Footprint()


def _touch(tx: neo4j.ManagedTransaction, made: plan.Contribution, before: plan.Footprint) -> dict[NodeRef, dict[str, Any]]:
    """Writes to every node concerned, then returns what is stored on it; nodes that the batch brings are created."""
    stored: dict[NodeRef, dict[str, Any]] = {}
    token = uuid.uuid4().hex
    stated = made.nodes.keys() - made.external
    for verb, refs in (("MERGE", stated), ("MATCH", (before.nodes | made.external) - stated)):
        for label, members in plan.by_label(refs):
            statement = f"UNWIND $keys AS key {verb} (n:{label} {{key: key}}) SET n.lock = $token RETURN properties(n) AS form"
            for keys in plan.slices([ref.key for ref in members], ROWS_PER_STATEMENT):
                for row in _query(tx, statement, {"keys": list(keys), "token": token}):
                    stored[NodeRef(label, row["form"]["key"])] = row["form"]
    for ref in sorted(made.external):
        if not stored.get(ref, {}).get("supporters"):
            raise BadInput("an edge ends at a node that does not exist", node_iri(ref), "write the node first or bring it in the batch")
    return stored


def _write_edges(
    tx: neo4j.ManagedTransaction, made: plan.Contribution, before: plan.Footprint, stored: Mapping[NodeRef, Mapping[str, Any]]
) -> None:
    # An edge can only exist where both ends had supporters before: the rest need not be looked up.
    candidates = [ref for ref in made.edges.keys() | before.edges if all(stored.get(end, {}).get("supporters") for end in ref[1:3])]
    found = _stored_edges(tx, candidates)
    for group, refs in plan.by_group(made.edges.keys() | before.edges):
        kept, gone = [], []
        for ref in refs:
            form = found.get(ref[3], {})
            claims = plan.next_claims(form, made.supporter, made.edges.get(ref))
            if claims:
                kept.append(plan.edge_row(ref, claims, made.qualifiers.get(ref[3], str(form.get("qualifier") or ""))))
            else:
                gone.append(ref)
        _merge_edges(tx, group, kept)
        _delete_edges(tx, group, gone)


def _stored_edges(tx: neo4j.ManagedTransaction, refs: Sequence[plan.EdgeRef]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for (type_, source, _), members in plan.by_group(refs):
        match = f"MATCH (a:{source} {{key: row.source}})-[r:{type_}]->() WHERE r.key IN row.keys"
        for rows in plan.by_source(members, ROWS_PER_STATEMENT):
            stored = _query(tx, f"UNWIND $rows AS row {match} RETURN properties(r) AS form", {"rows": rows})
            found |= {row["form"]["key"]: row["form"] for row in stored}
    return found


def _merge_edges(tx: neo4j.ManagedTransaction, group: plan.Group, rows: Sequence[dict[str, Any]]) -> None:
    type_, source, target = group
    statement = (
        f"UNWIND $rows AS row MATCH (a:{source} {{key: row.source}}) MATCH (b:{target} {{key: row.target}}) "
        f"MERGE (a)-[r:{type_} {{key: row.key}}]->(b) SET r = row.form RETURN count(r) AS written"
    )
    for part in plan.slices(rows, ROWS_PER_STATEMENT):
        written = _query(tx, statement, {"rows": list(part)})[0]["written"]
        if written != len(part):
            raise _StaleRead(f"{len(part) - written} {type_} edges without an end that this transaction has just written")


def _delete_edges(tx: neo4j.ManagedTransaction, group: plan.Group, refs: Sequence[plan.EdgeRef]) -> None:
    # Collected before the first is deleted: ArcadeDB walks a node's edges lazily and stumbles over one deleted meanwhile.
    statement = (
        f"UNWIND $rows AS row MATCH (a:{group[1]} {{key: row.source}})-[r:{group[0]}]->() WHERE r.key IN row.keys "
        "WITH collect(r) AS gone FOREACH (r IN gone | DELETE r)"
    )
    for rows in plan.by_source(refs, ROWS_PER_STATEMENT):
        tx.run(statement, rows=rows).consume()


def _write_nodes(
    tx: neo4j.ManagedTransaction, made: plan.Contribution, before: plan.Footprint, stored: Mapping[NodeRef, Mapping[str, Any]]
) -> None:
    for label, refs in plan.by_label(made.nodes.keys() | before.nodes):
        claims = {ref: plan.next_claims(stored.get(ref, {}), made.supporter, made.nodes.get(ref)) for ref in refs}
        kept = [plan.node_row(ref, claims[ref]) for ref in refs if claims[ref]]
        gone = [ref.key for ref in refs if not claims[ref]]
        for rows in plan.slices(kept, ROWS_PER_STATEMENT):
            tx.run(f"UNWIND $rows AS row MATCH (n:{label} {{key: row.key}}) SET n = row.form", rows=list(rows)).consume()
        for keys in plan.slices(gone, ROWS_PER_STATEMENT):  # no DETACH: an edge left over is a defect and must roll back
            tx.run(f"UNWIND $keys AS key MATCH (n:{label} {{key: key}}) DELETE n", keys=list(keys)).consume()


def _known(name: str, names: tuple[str, ...]) -> None:
    if name not in names:
        raise BadInput(f"{name!r} is not in the graph model", "label or type", f"use one of {', '.join(names)}")


def _page(limit: int) -> int:
    return max(1, min(limit, PAGE_LIMIT))


def _stored_node(label: str, form: Mapping[str, Any]) -> StoredNode:
    return StoredNode(GraphNode(NodeRef(label, form["key"]), visible(form)), tuple(form["supporters"]))


def _stored_edge(type_: str, row: Mapping[str, Any]) -> StoredEdge:
    form = row["form"]
    source, target = NodeRef(row["source_label"], row["source"]), NodeRef(row["target_label"], row["target"])
    return StoredEdge(GraphEdge(type_, source, target, str(form.get("qualifier") or ""), visible(form)), tuple(form["supporters"]))
