"""``python -m system.deploy.reset``: empty every store of this stack while its servers stay up; one line a store.

Hold the worker down meanwhile (a driver of the harness does): what it has in hand would be written after the emptying. The
vector cache stays: it is content-addressed and belongs to no stack. Exit 0 done, 1 a store is away, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import redis

from system.deploy import backup_tables
from system.deploy.backup_graph import RawGraph
from system.platform.errors import PlatformError, Unavailable
from system.platform.settings import Settings, load_settings
from system.stores.valkey import client

SCAN = 500
TIMEOUT_S = 5.0


def main(arguments: Sequence[str]) -> int:
    argparse.ArgumentParser(prog="python -m system.deploy.reset", description=__doc__).parse_args(arguments)
    try:
        reset(load_settings(os.environ), lambda line: print(line, flush=True))
    except PlatformError as error:
        print(f"reset: {error}", file=sys.stderr)
        return 1
    return 0


def reset(settings: Settings, say: Callable[[str], None]) -> None:
    """Empty all stores at once; raises the first store's error after all have been tried."""
    work: dict[str, Callable[[Settings], str]] = {
        "records": lambda given: _tables(given, "records"),
        "search": lambda given: _tables(given, "search"),
        "graph": _graph,
        "events": _events,
        "cache": _cache,
        "objects": _objects,
    }
    with ThreadPoolExecutor(len(work)) as pool:
        running = {name: pool.submit(_timed, call, settings) for name, call in work.items()}
    for name, future in running.items():
        if future.exception() is None:
            say(f"{name:<8} {future.result()}")
    for future in running.values():
        future.result()


def _timed(call: Callable[[Settings], str], settings: Settings) -> str:
    began = time.monotonic()
    return f"{call(settings)} in {time.monotonic() - began:.2f} s"


def _tables(settings: Settings, store: str) -> str:
    database = backup_tables.database(settings, store)
    try:
        return f"{database.run(lambda connection: backup_tables.empty(connection, store))} rows removed"
    except psycopg.Error as error:
        raise backup_tables.reachable(store, error) from error
    finally:
        database.close()


def _graph(settings: Settings) -> str:
    with RawGraph(settings) as graph:
        return f"{graph.empty()} nodes removed"


def _events(settings: Settings) -> str:
    return _keys("events", settings.events_url, settings.secret("events_password"), f"{settings.stack_id}:log")


def _cache(settings: Settings) -> str:
    return _keys("cache", settings.cache_url, settings.secret("cache_password"), f"{settings.stack_id}:")


def _keys(service: str, url: str, password: str, prefix: str) -> str:
    connection = client(url, password, TIMEOUT_S)
    removed = 0
    try:
        batch: list[Any] = []
        for key in connection.scan_iter(match=f"{prefix}*", count=SCAN):
            batch.append(key)
            if len(batch) >= SCAN:
                removed += int(str(connection.unlink(*batch)))
                batch.clear()
        removed += int(str(connection.unlink(*batch))) if batch else 0
    except (redis.RedisError, OSError) as error:
        raise Unavailable(service, str(error)) from error
    finally:
        connection.close()
    return f"{removed} keys removed"


def _objects(settings: Settings) -> str:
    """The folder itself stays; whatever lies in it goes."""
    removed = 0
    for path in sorted(settings.objects_dir.iterdir()) if settings.objects_dir.is_dir() else ():
        removed += sum(1 for one in path.rglob("*") if one.is_file()) if path.is_dir() else 1
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return f"{removed} objects removed"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
