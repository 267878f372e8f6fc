"""``python -m system.deploy.backup create DIR`` / ``restore DIR`` / ``purges FILE``: of the stack named by the environment.

``create`` works while writes go on: everything the records acknowledged before its snapshot is in it. ``restore`` refuses what is
not whole, authentic, of this platform and for empty stores, loads it and reconciles. The worker must be down meanwhile, and
the gateway cannot serve before it is done: the records stay locked until everything else is loaded. ``purges`` writes
what was deleted; kept apart, it lets ``restore --purges FILE`` delete again what an older backup still has.
Exit 0 done, 1 refused or failed (nothing restored is served then), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import datetime as dt
import functools
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import LiteralString

import msgspec
import psycopg

from system.deploy import backup_graph, backup_tables
from system.deploy.backup_format import (
    FORMAT,
    FileEntry,
    Manifest,
    TableEntry,
    file_entry,
    inside,
    key_id,
    new_key,
    open_backup,
    read_key,
    seal,
)
from system.deploy.backup_purges import Purge, read_purges
from system.platform.errors import BadInput, NotFound, PlatformError
from system.platform.settings import Settings, load_settings
from system.stores.eventlog import PARTITIONS
from system.stores.objects import FolderObjects
from system.stores.postgres import Connection
from system.stores.valkey import client

KEY_NAME = "backup_key"
OBJECTS = "objects"
GRAPH_FILE = "graph/elements.jsonl.gz"
Say = Callable[[str], None]
_AGE = re.compile(r"(\d{1,6})\s*(s|min|h|d)\Z")
_UNIT_S = {"s": 1, "min": 60, "h": 3600, "d": 86_400}


def create(settings: Settings, target: Path, key_file: Path | None, say: Say) -> Manifest:
    """Back up into the new folder ``target``; it appears whole or not at all. Raises ``BadInput``, ``Unavailable``."""
    if target.exists():
        raise BadInput("this is there already", str(target), "name a new folder")
    key_path = key_file or settings.secrets_dir / KEY_NAME
    key = new_key(key_path)
    building = target.with_name(target.name + ".partial")
    if building.exists():
        raise BadInput("an unfinished backup is in the way", str(building), "remove it, or wait for the one that makes it")
    building.mkdir(mode=0o700, parents=True)
    try:
        manifest = _create(settings, building, key, say)
        seal(building, manifest, key)
        _sync(building)
        building.rename(target)
        _sync_folder(target.parent)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise
    say(f"backup   {target}, {len(manifest.files)} files, records as of {manifest.snapshot_at}")
    say(f"key      {key_path}: keep a copy apart from the backup; without it nothing can be restored")
    return manifest


def _create(settings: Settings, folder: Path, key: bytes, say: Say) -> Manifest:
    snapshot_at, tables, named = _dump_records(settings, folder, say)
    tables += _dump_store(settings, folder, "search", say)[1]
    (folder / "graph").mkdir(mode=0o700)
    with backup_graph.RawGraph(settings) as graph:
        elements = backup_graph.dump(graph, folder / GRAPH_FILE)
    say(f"graph    {sum(elements.values())} elements")
    objects = _copy_objects(FolderObjects(settings.objects_dir), named, folder, lambda: _named_now(settings))
    say(f"objects  {objects}")
    files = tuple(file_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file())
    return Manifest(FORMAT, settings.stack_id, snapshot_at, key_id(key), tuple(tables), elements, _positions(settings), objects, files)


def _dump_records(settings: Settings, folder: Path, say: Say) -> tuple[str, list[TableEntry], list[str]]:
    """The snapshot everything else is measured by, and the objects it names."""
    named: list[str] = []
    moment, tables = _dump_store(settings, folder, "records", say, named)
    return moment, tables, named


_NAMED = (
    "SELECT raw_object FROM submissions UNION SELECT raw_object FROM documents"
    " UNION SELECT ir_object FROM documents WHERE ir_object IS NOT NULL ORDER BY 1"
)


def _dump_store(settings: Settings, folder: Path, store: str, say: Say, named: list[str] | None = None) -> tuple[str, list[TableEntry]]:
    def work(connection: Connection) -> tuple[str, list[TableEntry]]:
        moment = backup_tables.snapshot(connection)
        made = []
        for table in backup_tables.tables(connection):
            path = folder / store / f"{table}.copy.gz"
            columns, rows = backup_tables.dump(connection, table, path)
            made.append(TableEntry(store, table, path.relative_to(folder).as_posix(), columns, rows))
        if named is not None:
            named.extend(row[0] for row in connection.execute(_NAMED))
        return moment, made

    (folder / store).mkdir(mode=0o700)
    database = backup_tables.database(settings, store)
    try:
        moment, made = database.run(work)
    except psycopg.Error as error:
        raise backup_tables.reachable(store, error) from error
    finally:
        database.close()
    say(f"{store:<8} {sum(entry.rows for entry in made)} rows of {len(made)} tables")
    return moment, made


def _named_now(settings: Settings) -> set[str]:
    database = backup_tables.database(settings, "records")
    try:
        return database.run(lambda connection: {row[0] for row in connection.execute(_NAMED)})
    finally:
        database.close()


def _copy_objects(objects: FolderObjects, names: Sequence[str], folder: Path, named_now: Callable[[], set[str]]) -> int:
    """Content-addressed and never changed: what the snapshot names is there whole, unless its document was removed meanwhile."""
    copied, missing = 0, []
    for name in names:
        path = inside(folder, f"{OBJECTS}/{name}")
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.write_bytes(objects.get(name))
        except NotFound:
            missing.append(name)
        else:
            copied += 1
    if lost := sorted(set(missing) & named_now()) if missing else []:
        raise NotFound(f"{len(lost)} objects that the records name are not there, first {lost[0]}: restore them before backing up")
    return copied


def _positions(settings: Settings) -> dict[str, int]:
    connection = client(settings.events_url, settings.secret("events_password"), 5.0)
    try:
        return {str(number): int(str(connection.xlen(f"{settings.stack_id}:log:{number}"))) for number in range(PARTITIONS)}
    finally:
        connection.close()


def restore(
    settings: Settings, source: Path, key_file: Path | None, say: Say, *, adopt: bool = False, newer_than: dt.datetime | None = None
) -> Manifest:
    """Load a backup into empty stores. Records come last: until they are committed nothing is served. Raises ``BadInput``."""
    key = read_key(key_file or settings.secrets_dir / KEY_NAME)
    manifest = open_backup(source, key, settings.stack_id, adopt=adopt, newer_than=newer_than)
    say(f"checked  {len(manifest.files)} files, records as of {manifest.snapshot_at}")
    _refuse_filled(settings)
    records = backup_tables.database(settings, "records")
    try:
        records.run(lambda connection: _load_all(connection, settings, source, manifest, say))
    except psycopg.Error as error:
        raise backup_tables.reachable("records", error) from error
    finally:
        records.close()
    return manifest


def _refuse_filled(settings: Settings) -> None:
    """Look at every store before the first is written to."""
    for store in ("records", "search"):
        database = backup_tables.database(settings, store)
        try:
            backup_tables.refuse_rows(store, database.run(functools.partial(backup_tables.counts, store=store)))
        finally:
            database.close()
    with backup_graph.RawGraph(settings) as graph:
        backup_tables.refuse_rows("graph", graph.counts())
    backup_tables.refuse_rows("objects", {"objects": sum(1 for _ in FolderObjects(settings.objects_dir).names(""))})


def _load_all(connection: Connection, settings: Settings, source: Path, manifest: Manifest, say: Say) -> None:
    backup_tables.lock_empty(connection, "records")
    say(f"objects  {_load_objects(settings, source, manifest)}")
    search = backup_tables.database(settings, "search")
    try:
        search.run(lambda inner: _load_tables(inner, source, manifest, "search", say))
    finally:
        search.close()
    backup_graph.prepare(settings)
    with backup_graph.RawGraph(settings) as graph:
        lost = backup_graph.load(graph, inside(source, GRAPH_FILE))
    say(f"graph    {sum(manifest.graph.values()) - lost} elements, {lost} edges without an end left out")
    _load_tables(connection, source, manifest, "records", say, locked=True)
    # The event log starts empty: whatever had not taken effect at the snapshot is sent again.
    again = connection.execute(
        "UPDATE outbox SET relayed_at = NULL WHERE NOT EXISTS (SELECT FROM consumed_events c WHERE c.event_id = outbox.event_id)"
    ).rowcount
    say(f"events   {again} to be sent again")


def _load_tables(connection: Connection, source: Path, manifest: Manifest, store: str, say: Say, *, locked: bool = False) -> None:
    if not locked:
        backup_tables.lock_empty(connection, store)
    entries = [entry for entry in manifest.tables if entry.store == store]
    for entry in entries:
        rows = backup_tables.load(connection, entry.table, entry.columns, inside(source, entry.path))
        if rows != entry.rows:
            raise BadInput(f"{entry.table} has {rows} rows, the manifest says {entry.rows}", entry.path, "use another backup")
    backup_tables.continue_numbers(connection)
    say(f"{store:<8} {sum(entry.rows for entry in entries)} rows of {len(entries)} tables")


def _load_objects(settings: Settings, source: Path, manifest: Manifest) -> int:
    objects = FolderObjects(settings.objects_dir)
    names = list(_object_files(manifest.files))
    for name in names:
        objects.put(name, inside(source, f"{OBJECTS}/{name}").read_bytes())
    return len(names)


def _object_files(files: Sequence[FileEntry]) -> Iterator[str]:
    return (entry.path.removeprefix(f"{OBJECTS}/") for entry in files if entry.path.startswith(f"{OBJECTS}/"))


def write_purges(settings: Settings, target: Path, say: Say) -> None:
    """All deletions so far, one JSON object a line, replaced atomically: keep it apart, like the key."""
    query: LiteralString = (
        "SELECT DISTINCT ON (subject) entry FROM document_history"
        " WHERE entry::jsonb ->> 'action' IN ('deleted', 'created') ORDER BY subject, sequence DESC"
    )
    database = backup_tables.database(settings, "records")
    try:
        entries = database.run(lambda connection: connection.execute(query).fetchall())
    finally:
        database.close()
    found = [json.loads(row[0]) for row in entries]
    purges = [Purge(entry["subject"], entry["at"]) for entry in found if entry["action"] == "deleted"]
    aside = target.with_name(target.name + ".partial")
    aside.write_bytes(b"".join(msgspec.json.encode(purge) + b"\n" for purge in purges))
    aside.replace(target)
    say(f"purges   {len(purges)}")


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    try:
        settings = load_settings(os.environ)
        _run(options, settings, lambda line: print(line, flush=True))
    except (PlatformError, OSError) as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace, settings: Settings, say: Say) -> None:
    began = time.monotonic()
    if options.command == "create":
        create(settings, options.path.absolute(), options.key_file, say)
        say(f"stage backup {time.monotonic() - began:.3f} s")
        return
    if options.command == "purges":
        write_purges(settings, options.path.absolute(), say)
        return
    purges = read_purges(options.purges) if options.purges else ()
    restore(settings, options.path.absolute(), options.key_file, say, adopt=options.adopt, newer_than=options.newer_than)
    say(f"stage restore {time.monotonic() - began:.3f} s")
    from system.deploy import reconcile  # brings in the whole platform: not before a backup has been found good

    began = time.monotonic()
    reconcile.reconcile(settings, say, purges=purges, orphan_after_s=0.0)
    say(f"stage reconcile {time.monotonic() - began:.3f} s")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m system.deploy.backup")
    commands = parser.add_subparsers(dest="command", required=True)
    made = {name: commands.add_parser(name) for name in ("create", "restore", "purges")}
    for name, one in made.items():
        one.add_argument("path", type=Path)
        if name != "purges":
            one.add_argument("--key-file", type=Path, default=None, help=f"default: {KEY_NAME} among the secrets of the stack")
    made["restore"].add_argument("--adopt", action="store_true", help="take the backup of another platform")
    made["restore"].add_argument("--newer-than", type=moment, default=None, help="ISO 8601, or an age like 24h: refuse an older backup")
    made["restore"].add_argument("--purges", type=Path, default=None, help="deletions to replay before anything is served")
    return parser.parse_args(arguments)


def moment(text: str) -> dt.datetime:
    """An ISO 8601 time (UTC where it says nothing else) or an age: ``90s``, ``15min``, ``24h``, ``7d``."""
    if age := _AGE.match(text):
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=int(age[1]) * _UNIT_S[age[2]])
    try:
        given = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither ISO 8601 nor an age like 24h") from None
    return given if given.tzinfo else given.replace(tzinfo=dt.UTC)


def _sync(folder: Path) -> None:
    """Files first, then the folders that hold them."""
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            _sync_folder(path)
        else:
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
