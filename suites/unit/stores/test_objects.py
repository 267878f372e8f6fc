"""Objects in a folder."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from system.platform.errors import BadInput, NotFound, Unavailable
from system.stores.objects import CorruptObject, FolderObjects

DATA = b"payload"
HASHED = f"raw/{hashlib.sha256(DATA).hexdigest()}"


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "deep" / "objects")


def test_an_object_comes_back_and_goes(objects: FolderObjects) -> None:
    """Put, get, list, replace, delete; deleting twice is no error, reading what is gone is NotFound."""
    objects.put(HASHED, DATA)
    objects.put("ir/ctgov:NCT1#2020-01-01:ab", b"1")
    objects.put("ir/ctgov:NCT1#2020-01-01:ab", b"2")
    assert objects.get(HASHED) == DATA
    assert objects.get("ir/ctgov:NCT1#2020-01-01:ab") == b"2"
    assert list(objects.names("")) == ["ir/ctgov:NCT1#2020-01-01:ab", HASHED]
    assert list(objects.names("raw/")) == [HASHED]
    for _ in range(2):
        objects.delete(HASHED)
    assert not objects.exists(HASHED)
    with pytest.raises(NotFound):
        objects.get(HASHED)
    with pytest.raises(NotFound):
        objects.get("ir")


@pytest.mark.parametrize(
    "name", ["", "/", "/etc/passwd", "a//b", "../x", "raw/../../x", "a/./b", ".hidden", "a/.put-1", "x" * 300, "a/" * 600, "\ud800"]
)
def test_path_tricks_are_refused(objects: FolderObjects, name: str) -> None:
    """A name that could leave the folder, hide or overflow is a BadInput on every call."""
    for call in (lambda: objects.put(name, b""), lambda: objects.get(name), lambda: objects.exists(name), lambda: objects.delete(name)):
        with pytest.raises(BadInput):
            call()


@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda one: "/" not in one and not one.startswith(".")), min_size=1, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_any_other_name_stays_inside_and_is_listed(tmp_path: Path, parts: list[str]) -> None:
    """Odd names are escaped: the object lies under the root and is listed under its own name."""
    root = tmp_path / hashlib.sha256(repr(parts).encode()).hexdigest()
    objects, name = FolderObjects(root), "/".join(parts)
    try:
        objects.put(name, DATA)
    except BadInput:
        assert len(name.encode(errors="surrogatepass")) > 60 or not name.isprintable() or any("\ud800" <= c <= "\udfff" for c in name)
        return
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [DATA]
    assert list(objects.names("")) == [name]
    assert objects.get(name) == DATA


def test_content_must_match_a_hash_name(objects: FolderObjects, tmp_path: Path) -> None:
    """A wrong hash is refused when written; a flipped byte is found when read."""
    with pytest.raises(BadInput, match="SHA-256"):
        objects.put(HASHED, b"other")
    objects.put(HASHED, DATA)
    path = tmp_path / "deep" / "objects" / HASHED
    path.write_bytes(b"pAyload")
    with pytest.raises(CorruptObject):
        objects.get(HASHED)


def test_leftovers_of_a_crash_are_not_objects(objects: FolderObjects, tmp_path: Path) -> None:
    """A temporary file is neither listed nor read; an old one is swept, a young one may still be in use."""
    objects.put(HASHED, DATA)
    folder = (tmp_path / "deep" / "objects" / HASHED).parent
    for name, age_s in ((".put-old", 7200), (".put-young", 0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (folder.stat().st_mtime - age_s,) * 2)
    assert list(objects.names("")) == [HASHED]
    assert objects.sweep() == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted([".put-young", Path(HASHED).name])


def test_a_put_is_synced_before_it_shows(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is synced before the rename and the folder after it: no name ever points at unsynced content."""
    calls: list[str] = []
    fsync, replace = os.fsync, Path.replace
    objects.put("a/first", b"")
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda self, target: (calls.append("rename"), replace(self, target))[1])
    objects.put("a/second", DATA)
    assert calls == ["fsync", "rename", "fsync"]


def test_a_failed_put_leaves_the_old_object(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is Unavailable; the old content stays and no temporary file remains."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    objects.put("a/b", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Unavailable, match="No space"):
        objects.put("a/b", b"new")
    monkeypatch.undo()
    assert objects.get("a/b") == b"old"
    assert list(objects.names("")) == ["a/b"]


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_writer_killed_in_the_middle_leaves_old_or_new(tmp_path: Path) -> None:
    """A process that dies between sync and rename leaves the old object whole."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from system.stores.objects import FolderObjects\n"
        "objects = FolderObjects(Path(sys.argv[1])); objects.put('a/b', b'old')\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "objects.put('a/b', b'new')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=environment, capture_output=True, check=False)
    assert done.returncode == -9, done.stderr.decode()
    objects = FolderObjects(tmp_path)
    assert objects.get("a/b") == b"old"
    assert list(objects.names("")) == ["a/b"]
