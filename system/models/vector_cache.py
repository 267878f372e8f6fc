"""Content-addressed vectors on disk: one SQLite file (WAL) shared by every stack of a machine.

A key is the SHA-256 of the model's fingerprint and the text, so an entry never goes stale. A committed entry survives the death
of the process (not a power loss: it would be computed again). Each value carries a CRC-32: a damaged one is a miss. The file is
bounded: the oldest entries go first. Whatever goes wrong with the file, the caller sees a cache that knows nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import queue
import sqlite3
import struct
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

FILE_NAME = "vectors.sqlite3"
DEFAULT_LIMIT_BYTES = 2 * 1024**3

_HEADER = struct.Struct("<II")  # CRC-32 of the rest, number of tokens
_BUSY_S = 0.5  # how long one write waits for another process
_OPEN_LIMIT_S = 3.0
_OPEN_PAUSE_S = 0.05
_LOOKUP_KEYS = 400  # below SQLite's limit on parameters
_KEEP_SHARE = 0.9  # trimmed to this share of the limit, so that trimming is rare
_QUEUE_BATCHES = 256  # vectors waiting to be written; beyond it they are simply not cached

_SCHEMA = "CREATE TABLE IF NOT EXISTS vector (number INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE, value BLOB NOT NULL)"

_log = logging.getLogger("system.models.cache")
# A twentieth of the entries, by age: the numbers ascend in the order of writing.
_DELETE_OLDEST = "DELETE FROM vector WHERE number <= (SELECT min(number) + (max(number) - min(number)) / 20 FROM vector)"


class Entry(NamedTuple):
    """A vector in its stored form and the number of tokens of its text before any truncation."""

    tokens: int
    vector: bytes


def cache_key(fingerprint: str, text: str) -> bytes:
    """32 bytes; texts that are not valid Unicode have a key too (and are refused later)."""
    return hashlib.sha256(f"{fingerprint}\0{text}".encode("utf-8", "surrogatepass")).digest()


class VectorCache:
    """Lookups from any thread; writes are handed to a thread of its own and become visible once committed."""

    def __init__(self, folder: Path | None, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._warned = False
        self.written = 0  # entries committed since the start
        self._reader = self._open(folder) if folder else None
        self._pending: queue.Queue[Sequence[tuple[bytes, Entry]] | None] = queue.Queue(_QUEUE_BATCHES)
        self._writer = threading.Thread(target=self._write_all, args=(folder,), name="vector-cache", daemon=True)
        if self._reader:
            self._writer.start()

    @property
    def enabled(self) -> bool:
        return self._reader is not None

    def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Entry]:
        """The entries known for ``keys``."""
        reader = self._reader
        if reader is None:
            return {}
        found: dict[bytes, Entry] = {}
        try:
            with self._lock:
                for start in range(0, len(keys), _LOOKUP_KEYS):
                    found.update(_select(reader, keys[start : start + _LOOKUP_KEYS]))
        except sqlite3.Error as error:
            self._warn(error)
        return found

    def put(self, entries: Sequence[tuple[bytes, Entry]]) -> None:
        """Remember ``entries`` soon; dropped when the writer is far behind."""
        if self.enabled and entries:
            with contextlib.suppress(queue.Full):
                self._pending.put_nowait(entries)

    def close(self) -> None:
        """Write what waits and let go of the file."""
        if self._reader is None:
            return
        with contextlib.suppress(queue.Full):
            self._pending.put(None, timeout=1)
            self._writer.join(timeout=5)
        with self._lock:
            self._reader.close()
            self._reader = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _open(self, folder: Path) -> sqlite3.Connection | None:
        deadline = time.monotonic() + _OPEN_LIMIT_S
        while True:
            try:
                return _connect(folder)
            except (OSError, sqlite3.Error) as error:
                # Making a file WAL needs it alone for a moment, and SQLite does not wait for that: two servers starting at once.
                locked = isinstance(error, sqlite3.OperationalError) and "locked" in str(error)
                if not locked or time.monotonic() > deadline:
                    self._warn(error, folder)
                    return None
                time.sleep(_OPEN_PAUSE_S)

    def _warn(self, error: Exception, folder: Path | None = None) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("the vector cache %s cannot be used, vectors are computed each time: %s", folder or "file", error)

    def _write_all(self, folder: Path) -> None:
        connection = self._open(folder)
        while connection is not None:
            batch = self._pending.get()
            if batch is None:
                connection.close()
                return
            try:
                self.written += _insert(connection, batch)
                _trim(connection, self._limit_bytes)
            except sqlite3.Error as error:  # busy, full, damaged: the next batch may do better
                self._warn(error)


def _connect(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(folder / FILE_NAME, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'vector'").fetchone():
            for statement in ("PRAGMA page_size = 16384", "PRAGMA auto_vacuum = INCREMENTAL", "PRAGMA journal_mode = WAL", _SCHEMA):
                connection.execute(statement)
        connection.execute("PRAGMA synchronous = NORMAL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _select(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterable[tuple[bytes, Entry]]:
    marks = ",".join("?" * len(keys))
    rows = connection.execute(f"SELECT key, value FROM vector WHERE key IN ({marks})", list(keys)).fetchall()  # noqa: S608  # only marks
    return [(key, entry) for key, value in rows if (entry := _unpack(value))]


def _insert(connection: sqlite3.Connection, batch: Sequence[tuple[bytes, Entry]]) -> int:
    before = connection.total_changes
    rows = [(key, _pack(entry)) for key, entry in batch]
    with _transaction(connection):
        connection.executemany("INSERT OR IGNORE INTO vector (key, value) VALUES (?, ?)", rows)
    return connection.total_changes - before


def _trim(connection: sqlite3.Connection, limit_bytes: int) -> None:
    if _used_bytes(connection) <= limit_bytes:
        return
    while _used_bytes(connection) > limit_bytes * _KEEP_SHARE:
        with _transaction(connection):
            gone = connection.execute(_DELETE_OLDEST)
        if gone.rowcount <= 0:
            break
    connection.execute("PRAGMA incremental_vacuum").fetchall()


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _pack(entry: Entry) -> bytes:
    rest = struct.pack("<I", entry.tokens) + entry.vector
    return struct.pack("<I", zlib.crc32(rest)) + rest


def _unpack(value: bytes) -> Entry | None:
    if len(value) < _HEADER.size:
        return None
    checksum, tokens = _HEADER.unpack_from(value)
    return Entry(tokens, value[_HEADER.size :]) if zlib.crc32(value[4:]) == checksum else None
