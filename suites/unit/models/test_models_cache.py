"""The vector cache: durable against kill -9, shared, bounded, never in the way."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from system.models.catalog import PROJECT
from system.models.vector_cache import FILE_NAME, Entry, VectorCache, cache_key

WRITE_FOREVER = """
import sys, pathlib
from system.models.vector_cache import Entry, VectorCache, cache_key
cache = VectorCache(pathlib.Path(sys.argv[1]))
known = 0
for number in range(10**9):
    text = f"{sys.argv[2]} {number}"
    cache.put([(cache_key("m", text), Entry(number, text.encode() * 50))])
    while cache.written <= number:
        pass
    print(number, flush=True)
"""


def key(text: str) -> bytes:
    return cache_key("model", text)


def filled(folder: Path, count: int, **options: int) -> None:
    with VectorCache(folder, **options) as cache:
        for start in range(0, count, 50):
            cache.put([(key(str(n)), Entry(n, bytes(2000))) for n in range(start, start + 50)])


def test_an_entry_outlives_the_cache_that_wrote_it(tmp_path: Path) -> None:
    """What was put before close is found by the next process, byte for byte."""
    with VectorCache(tmp_path) as cache:
        cache.put([(key("a"), Entry(3, b"vector"))])
    with VectorCache(tmp_path) as cache:
        assert cache.get([key("a"), key("b")]) == {key("a"): Entry(3, b"vector")}


def test_keys_differ_by_model_and_text() -> None:
    """Neither another model nor another text shares a key; a lone surrogate has one too."""
    assert len({cache_key("m", "ab"), cache_key("n", "ab"), cache_key("m", "abc"), cache_key("m", "\ud800")}) == 4


def test_committed_entries_survive_kill_9_of_two_writers_at_once(tmp_path: Path) -> None:
    """Two processes write to one file and are killed: everything either had committed is there and whole."""
    command = [sys.executable, "-c", WRITE_FOREVER, str(tmp_path)]
    writers = {name: subprocess.Popen([*command, name], cwd=PROJECT, stdout=subprocess.PIPE, text=True) for name in ("one", "two")}
    for writer in writers.values():
        assert writer.stdout
        while int(writer.stdout.readline()) < 20:
            pass
    for writer in writers.values():
        writer.kill()
    with VectorCache(tmp_path) as cache:
        for name, writer in writers.items():
            said, _ = writer.communicate(timeout=10)
            last = max([20, *(int(line) for line in said.split())])
            texts = [f"{name} {number}" for number in range(last + 1)]
            found = cache.get([cache_key("m", text) for text in texts])
            assert [found[cache_key("m", text)].vector for text in texts] == [text.encode() * 50 for text in texts]


def test_the_oldest_entries_go_first_and_the_file_stays_bounded(tmp_path: Path) -> None:
    """Beyond the bound old entries are dropped, the newest stay, the file shrinks with them."""
    limit = 2_000_000
    filled(tmp_path, 3000, limit_bytes=limit)
    with VectorCache(tmp_path) as cache:
        assert not cache.get([key("0")])
        assert cache.get([key("2999")])
    assert (tmp_path / FILE_NAME).stat().st_size < 1.2 * limit


def test_a_damaged_value_is_a_miss(tmp_path: Path) -> None:
    """A flipped byte in a stored vector is noticed by its checksum and not served."""
    filled(tmp_path, 50)
    with sqlite3.connect(tmp_path / FILE_NAME) as raw:
        raw.execute("UPDATE vector SET value = zeroblob(500) WHERE key = ?", (key("7"),))
    raw.close()
    with VectorCache(tmp_path) as cache:
        assert set(cache.get([key("7"), key("8")])) == {key("8")}


@pytest.mark.parametrize("damage", ["a file where the folder should be", "not a database"])
def test_an_unusable_folder_means_no_cache_and_one_warning(damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without a usable file the cache knows nothing, says so once and raises nothing."""
    folder = tmp_path / "vectors"
    if damage == "not a database":
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(b"this is not SQLite " * 100)
    else:
        folder.write_text("a file")
    with caplog.at_level(logging.WARNING), VectorCache(folder) as cache:
        cache.put([(key("a"), Entry(1, b"x"))])
        assert not cache.enabled
        assert cache.get([key("a")]) == {}
    assert len(caplog.records) == 1
    assert str(folder) in caplog.text


def test_many_caches_open_one_new_folder_at_once(tmp_path: Path) -> None:
    """Four processes that create the file together all get a working cache."""
    code = (
        "import sys, pathlib; from system.models.vector_cache import VectorCache as C; sys.exit(not C(pathlib.Path(sys.argv[1])).enabled)"
    )
    started = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=PROJECT) for _ in range(4)]
    assert [process.wait(timeout=20) for process in started] == [0, 0, 0, 0]


def test_a_write_waits_for_another_process_only_shortly(tmp_path: Path) -> None:
    """While another process holds the file, lookups answer at once and close gives up in bounded time."""
    filled(tmp_path, 50)
    holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    with VectorCache(tmp_path) as cache:
        cache.put([(key("new"), Entry(1, b"x"))])
        assert cache.get([key("7")])
        assert time.monotonic() - started < 2
    assert time.monotonic() - started < 8
    holder.close()
