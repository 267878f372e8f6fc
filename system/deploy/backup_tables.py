"""Whole tables of a PostgreSQL store: listed, copied out of one snapshot, copied into empty ones, emptied.

Tables are taken from the catalogue, parents before children, so that a table added later is never forgotten.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from system.platform.errors import BadInput, Unavailable
from system.platform.settings import Settings
from system.stores.postgres import Connection, Database, create_schema

SCHEMA_TABLE = "applied_schemas"  # says which schema is there: made by the schema itself, never restored
SEEDED = {  # tables whose rows the schema makes; empty means: these rows with nothing counted
    "records": ("audit_anchors", "INSERT INTO audit_anchors (shard) SELECT generate_series(0, 7)", "length"),
    "search": ("corpus_statistics", "INSERT INTO corpus_statistics (shard) SELECT generate_series(0, 15)", "chunks"),
}
SCHEMAS = {"records": ("schema_records.sql", 0x45485F52), "search": ("schema_search.sql", 0x45485F53)}  # with the adapters' own locks
STATEMENT_S = 300.0  # of a whole table
BLOCK_BYTES = 1 << 18


def database(settings: Settings, store: str) -> Database:
    """The database of ``records`` or ``search``, its schema made where it is missing."""
    url = settings.records_url if store == "records" else settings.search_url
    made = Database(store, url, settings.secret(f"{store}_password"), size=2, statement_s=STATEMENT_S)
    resource, lock = SCHEMAS[store]
    create_schema(made, resource, lock, deadline_s=20.0)
    return made


def tables(connection: Connection) -> tuple[str, ...]:
    """The store's tables, each behind those that its foreign keys lead to."""
    names = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")]
    graph: dict[str, set[str]] = {name: set() for name in names if name != SCHEMA_TABLE}
    for child, parent in connection.execute(
        "SELECT a.relname, b.relname FROM pg_constraint c JOIN pg_class a ON a.oid = c.conrelid JOIN pg_class b ON b.oid = c.confrelid"
        " WHERE c.contype = 'f' AND a.relname <> b.relname ORDER BY 1, 2"
    ):
        graph[child].add(parent)
    return tuple(TopologicalSorter(graph).static_order())


def counts(connection: Connection, store: str) -> dict[str, int]:
    """Rows a table; rows that the schema itself makes count only once something was counted in them."""
    found: dict[str, int] = {}
    for table in tables(connection):
        query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        if table == SEEDED[store][0]:
            query = sql.SQL("SELECT count(*) FROM {} WHERE {} <> 0").format(sql.Identifier(table), sql.Identifier(SEEDED[store][2]))
        found[table] = _one(connection.execute(query))
    return found


def empty(connection: Connection, store: str) -> int:
    """Empty every table and restart its numbers; returns how many rows were there."""
    before = sum(counts(connection, store).values())
    names = sql.SQL(", ").join(sql.Identifier(name) for name in tables(connection))
    connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
    connection.execute(SEEDED[store][1].encode())
    return before


def snapshot(connection: Connection) -> str:
    """Begin reading one consistent state (first call of a transaction); its moment as ISO 8601 in UTC."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    row = connection.execute("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')").fetchone()
    assert row is not None, "an expression gives one row"
    return f"{row[0]}+00:00"


def dump(connection: Connection, table: str, path: Path) -> tuple[tuple[str, ...], int]:
    """Write a table as gzipped COPY text; its columns and how many rows were written."""
    columns = _columns(connection, table)
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("COPY {} ({}) TO STDOUT").format(sql.Identifier(table), names)
    rows = 0
    with path.open("xb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as file, connection.cursor().copy(query) as copy:
        for block in copy:
            file.write(block)
            rows += bytes(block).count(b"\n")  # COPY text escapes line ends inside values
    return columns, rows


def load(connection: Connection, table: str, columns: Sequence[str], path: Path) -> int:
    """Append a dumped table; raises ``BadInput`` where this schema has no such table or column."""
    if table not in tables(connection) or set(columns) - set(_columns(connection, table)):
        raise BadInput(f"this version has no table {table} with these columns", str(path), "restore with the version that made the backup")
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    query = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with gzip.open(path, "rb") as file, connection.cursor() as cursor:
        with cursor.copy(query) as copy:
            while block := file.read(BLOCK_BYTES):
                copy.write(block)
        return cursor.rowcount


def continue_numbers(connection: Connection) -> None:
    """Let every sequence go on behind the highest number restored."""
    owned = connection.execute(
        "SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname) FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'"
        " AND c.relkind = 'r' AND a.attnum > 0 AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL"
    ).fetchall()
    for table, column, sequence in owned:
        query = sql.SQL("SELECT setval(%s, coalesce(max({}), 0) + 1, false) FROM {}").format(sql.Identifier(column), sql.Identifier(table))
        connection.execute(query, (sequence,))


def lock_empty(connection: Connection, store: str) -> None:
    """Keep everybody out until this transaction ends; raises ``BadInput`` when anything is there already."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in tables(connection))
    connection.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))
    refuse_rows(store, counts(connection, store))
    connection.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier(SEEDED[store][0])))


def refuse_rows(store: str, found: Mapping[str, int]) -> None:
    """Raises ``BadInput`` naming the first table or kind that is not empty."""
    filled = [f"{name} {number}" for name, number in sorted(found.items()) if number]
    if filled:
        remedy = "restore into an empty stack, or empty this one with `python -m system.deploy.reset`"
        raise BadInput(f"the target is not empty: {', '.join(filled[:4])}", store, remedy)


def reachable(store: str, error: psycopg.Error) -> Unavailable:
    """A driver's error as the platform's own."""
    return Unavailable(store, " ".join(str(error).split()))


def _columns(connection: Connection, table: str) -> tuple[str, ...]:
    query = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position"
    )
    return tuple(row[0] for row in connection.execute(query, (table,)))


def _one(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    row = cursor.fetchone()
    assert row is not None, "an aggregate gives one row"
    return int(row[0])
