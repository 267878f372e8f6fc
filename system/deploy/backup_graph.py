"""The graph as rows: exported with its bookkeeping, loaded into an empty server, counted, emptied. Plain Cypher in bounded batches.

An export runs while others write. Bookkeeping comes first, then nodes, then edges: what the bookkeeping names is therefore there,
unless it was replaced meanwhile, and reconciliation finds that.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import neo4j
from neo4j.exceptions import DriverError, Neo4jError

from system.platform.errors import Unavailable
from system.platform.settings import Settings
from system.stores.graph import BoltGraph
from system.stores.graph_schema import CONTRIBUTION, EDGE_TYPES, LABELS

PAGE: Final = 1_000
TIMEOUT_S: Final = 60.0
NAMES: Final = (CONTRIBUTION, *LABELS, *EDGE_TYPES)

Row = dict[str, Any]


class GraphElement(msgspec.Struct, frozen=True):
    """A node or an edge exactly as stored. ``source`` and ``target`` are (label, key); a node has none."""

    name: str
    form: dict[str, Any]
    source: tuple[str, str] | None = None
    target: tuple[str, str] | None = None


_ENCODER = msgspec.json.Encoder(order="deterministic")
_DECODER = msgspec.json.Decoder(GraphElement)


class RawGraph:
    """Elements without the port's meaning. A context manager; every call raises ``Unavailable`` when the server is away."""

    def __init__(self, settings: Settings) -> None:
        self._driver = neo4j.GraphDatabase.driver(
            settings.graph_url,
            auth=("root", settings.secret("graph_password")),
            connection_timeout=5.0,
            max_transaction_retry_time=10.0,
            telemetry_disabled=True,
            notifications_min_severity="OFF",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._driver.close()

    def counts(self) -> dict[str, int]:
        """Elements a label and an edge type, the bookkeeping too; what is not there is left out."""
        found = {row["name"]: row["total"] for row in self._ask("MATCH (n) RETURN labels(n)[0] AS name, count(n) AS total")}
        found |= {row["name"]: row["total"] for row in self._ask("MATCH ()-[r]->() RETURN type(r) AS name, count(r) AS total")}
        return {name: int(total) for name, total in sorted(found.items()) if name}

    def empty(self) -> int:
        """Delete everything, bookkeeping too, edges first; returns how many nodes went."""
        while self._deleted("MATCH ()-[r]->() WITH r LIMIT $limit WITH collect(r) AS gone FOREACH (r IN gone | DELETE r)"):
            pass
        total = 0
        while deleted := self._deleted("MATCH (r) WITH r LIMIT $limit WITH collect(r) AS gone FOREACH (r IN gone | DETACH DELETE r)"):
            total += deleted
        return total

    def elements(self) -> Iterator[GraphElement]:
        """Everything, bookkeeping first, then nodes, then edges, each kind by key."""
        for label in (CONTRIBUTION, *LABELS):
            query = f"MATCH (n:{label}) WHERE n.key > $after RETURN properties(n) AS form ORDER BY n.key LIMIT $limit"
            for row in self._pages(query):
                yield GraphElement(label, row["form"])
        for type_ in EDGE_TYPES:
            query = (
                f"MATCH (a)-[r:{type_}]->(b) WHERE r.key > $after RETURN properties(r) AS form, labels(a)[0] AS source_label,"
                " a.key AS source, labels(b)[0] AS target_label, b.key AS target ORDER BY r.key LIMIT $limit"
            )
            for row in self._pages(query):
                yield GraphElement(type_, row["form"], (row["source_label"], row["source"]), (row["target_label"], row["target"]))

    def write(self, part: Sequence[GraphElement]) -> int:
        """Create elements of one name and the same kinds of ends; edges whose ends are missing are left out. Returns how many were made."""
        first = part[0]
        rows = [{"form": one.form, "source": one.source and one.source[1], "target": one.target and one.target[1]} for one in part]
        if first.source is None or first.target is None:
            made = self._ask(f"UNWIND $rows AS row CREATE (n:{first.name}) SET n = row.form RETURN count(n) AS made", rows=rows)
        else:
            statement = (
                f"UNWIND $rows AS row MATCH (a:{first.source[0]} {{key: row.source}}) MATCH (b:{first.target[0]} {{key: row.target}})"
                f" CREATE (a)-[r:{first.name}]->(b) SET r = row.form RETURN count(r) AS made"
            )
            made = self._ask(statement, rows=rows)
        return int(made[0]["made"]) if made else 0

    def set_bookkeeping(self, form: Row) -> None:
        """Create or replace one bookkeeping node."""
        self._ask(f"MERGE (c:{CONTRIBUTION} {{key: $key}}) SET c = $form RETURN c.key AS key", key=form["key"], form=form)

    def _deleted(self, statement: str) -> int:
        rows = self._ask(f"{statement} RETURN size(gone) AS deleted", limit=PAGE)
        return int(rows[0]["deleted"]) if rows else 0

    def _pages(self, query: str) -> Iterator[Row]:
        after = ""
        while rows := self._ask(query, after=after, limit=PAGE):
            yield from rows
            if len(rows) < PAGE:
                return
            after = str(rows[-1]["form"]["key"])

    def _ask(self, statement: str, **parameters: object) -> list[Row]:
        work = neo4j.unit_of_work(timeout=TIMEOUT_S)(lambda tx: [record.data() for record in tx.run(statement, parameters)])
        try:
            with self._driver.session() as session:
                return session.execute_write(work)
        except (DriverError, Neo4jError, OSError) as error:
            raise Unavailable("graph", f"{type(error).__name__}: {error}") from error


def prepare(settings: Settings) -> None:
    """Constraints of an empty graph."""
    graph = BoltGraph(settings.graph_url, settings.secret("graph_password"))
    try:
        graph.prepare()
    finally:
        graph.close()


def dump(graph: RawGraph, path: Path) -> dict[str, int]:
    """Write all elements as gzipped JSON lines; how many of each name."""
    counts: dict[str, int] = {}
    with path.open("xb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file:
        for element in graph.elements():
            file.write(_ENCODER.encode(element) + b"\n")
            counts[element.name] = counts.get(element.name, 0) + 1
    return counts


def load(graph: RawGraph, path: Path) -> int:
    """Load an export into an empty graph; returns how many edges had lost an end (written while the export ran)."""
    left_out = 0
    with gzip.open(path, "rb") as file:
        for part in _alike(_DECODER.decode(line) for line in file):
            left_out += len(part) - graph.write(part)
    return left_out


def _alike(elements: Iterator[GraphElement]) -> Iterator[list[GraphElement]]:
    """Bounded parts of elements that one statement can write: one name, one pair of end labels."""
    waiting: dict[tuple[str, str, str], list[GraphElement]] = {}
    current = ""
    for element in elements:
        if element.name != current:
            yield from waiting.values()
            waiting, current = {}, element.name
        key = (element.name, element.source[0] if element.source else "", element.target[0] if element.target else "")
        part = waiting.setdefault(key, [])
        part.append(element)
        if len(part) == PAGE:
            yield waiting.pop(key)
    yield from waiting.values()
