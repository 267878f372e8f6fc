"""An independent look into the stores themselves (SQL, Bolt, RESP, files): neither through the platform nor through its code."""

from __future__ import annotations

from pathlib import Path

import neo4j
import psycopg
import redis

from harness.run.protocols import StackControl

TIMEOUT_S = 10


def store_counts(stack: StackControl) -> dict[str, int]:
    """Rows, elements, keys and files by store; 0 everywhere is an empty platform."""
    return {
        "records": table_rows(stack, "records"),
        "search": table_rows(stack, "search"),
        "graph": bolt(stack, "MATCH (n) RETURN count(n) AS total"),
        "events": _keys(stack),
        "objects": object_files(stack),
    }


def table_rows(stack: StackControl, store: str) -> int:
    """Rows of all tables, but those that a schema brings along by itself."""
    names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> ALL(%s)"
    with _sql(stack, store) as connection:
        tables = [str(row[0]) for row in connection.execute(names, (["applied_schemas", "audit_anchors", "corpus_statistics"],))]
        counts = [_one(connection, psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(name))) for name in tables]
        return sum(counts)


def sql_number(stack: StackControl, store: str, query: str) -> int:
    """One number of a store."""
    with _sql(stack, store) as connection:
        return _one(connection, query.encode())


def bolt(stack: StackControl, query: str) -> int:
    """One number of the graph, called ``total``."""
    login = ("root", stack.secret("graph_password"))
    with neo4j.GraphDatabase.driver(stack.url("graph"), auth=login, connection_timeout=TIMEOUT_S) as driver, driver.session() as session:
        return int(session.execute_read(lambda tx: [record.data() for record in tx.run(query)])[0]["total"])


def objects_folder(stack: StackControl) -> Path:
    return Path(stack.environment("worker")["EH_OBJECTS_DIR"])


def object_files(stack: StackControl) -> int:
    folder = objects_folder(stack)
    return sum(1 for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def disagreements(stack: StackControl) -> list[str]:
    """Where a projection does not hold what the records say it should; empty when all agree."""
    indexed = "SELECT count(*) FROM chunks JOIN documents USING (doc_id) WHERE state IN ('indexed', 'completed')"
    wanted = {
        "search chunks": (sql_number(stack, "records", indexed), sql_number(stack, "search", "SELECT count(*) FROM chunks")),
        "graph contributions": (
            sql_number(stack, "records", "SELECT count(*) FROM graph_batches WHERE status <> 'refused'"),
            bolt(stack, "MATCH (c:Contribution) RETURN count(c) AS total"),
        ),
        "objects": (sql_number(stack, "records", _NAMED), object_files(stack)),
    }
    return [f"{name}: records say {expected}, found {found}" for name, (expected, found) in wanted.items() if expected != found]


_NAMED = (
    "SELECT count(*) FROM (SELECT raw_object FROM submissions UNION SELECT raw_object FROM documents"
    " UNION SELECT ir_object FROM documents WHERE ir_object IS NOT NULL) AS named"
)


def _sql(stack: StackControl, store: str) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(stack.url(store), password=stack.secret(f"{store}_password"), connect_timeout=TIMEOUT_S)


def _one(connection: psycopg.Connection[tuple[object, ...]], query: bytes | psycopg.sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None, "an aggregate gives one row"
    return int(str(row[0]))


def _keys(stack: StackControl) -> int:
    with redis.Redis.from_url(stack.url("events"), password=stack.secret("events_password"), socket_timeout=TIMEOUT_S) as connection:
        return int(str(connection.dbsize()))
