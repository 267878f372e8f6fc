"""A backup is taken whole, authentic, of this platform and fresh, or not at all."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from system.deploy import backup_format as form
from system.deploy.backup import _copy_objects, moment
from system.platform.errors import BadInput, NotFound
from system.stores.objects import FolderObjects

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    return form.new_key(tmp_path / "key")


def manifest(folder: Path, key: bytes) -> form.Manifest:
    files = tuple(form.file_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file())
    return form.Manifest(form.FORMAT, "stack-a", NOW.isoformat(), form.key_id(key), (), {}, {}, 1, files)


@pytest.fixture
def backup(tmp_path: Path, key: bytes) -> Path:
    folder = tmp_path / "backup"
    (folder / "objects" / "raw").mkdir(parents=True)
    (folder / "objects" / "raw" / "abc").write_bytes(b"content of an object")
    (folder / "elements.gz").write_bytes(b"x" * 1000)
    form.seal(folder, manifest(folder, key), key)
    return folder


def resealed(backup: Path, key: bytes, change: Callable[[form.Manifest], form.Manifest]) -> None:
    """As somebody who has the key would forge it."""
    changed = change(msgspec.json.decode((backup / form.MANIFEST).read_bytes(), type=form.Manifest))
    for name in (form.MANIFEST, form.MAC):
        (backup / name).unlink()
    form.seal(backup, changed, key)


def test_an_untouched_backup_opens(backup: Path, key: bytes) -> None:
    """What was sealed is accepted with its manifest."""
    assert form.open_backup(backup, key, "stack-a").objects == 1


def truncate(backup: Path) -> None:
    os.truncate(backup / "elements.gz", 10)


def alter(backup: Path) -> None:
    (backup / "elements.gz").write_bytes(b"y" * 1000)


def remove(backup: Path) -> None:
    (backup / "elements.gz").unlink()


def remove_manifest(backup: Path) -> None:
    (backup / form.MANIFEST).unlink()


def cut_manifest(backup: Path) -> None:
    os.truncate(backup / form.MANIFEST, 40)


def edit_manifest(backup: Path) -> None:
    path = backup / form.MANIFEST
    path.write_bytes(path.read_bytes().replace(b"stack-a", b"stack-b"))


def add_file(backup: Path) -> None:
    (backup / "objects" / "extra").write_bytes(b"?")


def link_file(backup: Path) -> None:
    (backup / "elements.gz").rename(backup.parent / "outside.gz")
    (backup / "elements.gz").symlink_to(backup.parent / "outside.gz")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (truncate, "truncated: elements.gz has 10 of 1000 bytes"),
        (alter, "altered: elements.gz does not have its SHA-256"),
        (remove, "partial: elements.gz is missing"),
        (remove_manifest, "partial: manifest.json cannot be read"),
        (cut_manifest, "truncated or altered"),
        (edit_manifest, "altered: the manifest does not match its MAC"),
        (add_file, "altered: objects/extra is not in the manifest"),
        (link_file, "path trick"),
    ],
)
def test_each_way_of_being_wrong_is_refused_by_name(backup: Path, key: bytes, spoil: Callable[[Path], None], said: str) -> None:
    """A damaged backup is refused with a message of its own."""
    spoil(backup)
    with pytest.raises(BadInput, match=said):
        form.open_backup(backup, key, "stack-a")


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "objects/../../x", "a\\b", "a//../b", ".", "a/\0b", ""])
def test_a_name_that_leads_out_is_refused_even_under_a_valid_seal(backup: Path, key: bytes, name: str) -> None:
    """Whoever has the key still cannot make a restore read outside the folder."""
    resealed(backup, key, lambda was: msgspec.structs.replace(was, files=(form.FileEntry(name, 1, "0" * 64), *was.files)))
    with pytest.raises(BadInput, match="path trick"):
        form.open_backup(backup, key, "stack-a")


def test_another_platform_needs_to_be_adopted(backup: Path, key: bytes) -> None:
    """A foreign backup is refused unless it is asked for."""
    with pytest.raises(BadInput, match="foreign"):
        form.open_backup(backup, key, "stack-b")
    assert form.open_backup(backup, key, "stack-b", adopt=True).platform == "stack-a"


def test_a_stale_backup_is_refused(backup: Path, key: bytes) -> None:
    """A backup older than what is asked for is refused."""
    with pytest.raises(BadInput, match="stale"):
        form.open_backup(backup, key, "stack-a", newer_than=NOW + dt.timedelta(seconds=1))


def test_another_key_is_told_from_an_altered_manifest(backup: Path) -> None:
    """A wrong key says so."""
    with pytest.raises(BadInput, match="wrong key"):
        form.open_backup(backup, secrets.token_bytes(32), "stack-a")


def test_a_key_is_made_once_and_private(tmp_path: Path) -> None:
    """The key file is 0600, kept when it is there, and refused when others may read it."""
    path = tmp_path / "key"
    first = form.new_key(path)
    assert form.new_key(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(BadInput, match="others may read"):
        form.read_key(path)


def test_ages_and_times_are_understood() -> None:
    """``--newer-than`` takes ISO 8601 and ages; anything else is wrong usage."""
    assert abs(moment("24h") - (dt.datetime.now(dt.UTC) - dt.timedelta(hours=24))) < dt.timedelta(seconds=5)
    assert moment("2026-01-01T00:00:00") == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with pytest.raises(argparse.ArgumentTypeError):
        moment("yesterday")


def test_an_object_removed_during_the_backup_is_left_out_and_a_lost_one_is_an_error(tmp_path: Path) -> None:
    """What the snapshot names may have been removed since; what the records still name and nobody has is told."""
    objects = FolderObjects(tmp_path / "objects")
    objects.put("raw/a", b"a")
    assert _copy_objects(objects, ["raw/a", "raw/gone"], tmp_path / "backup", lambda: {"raw/a"}) == 1
    with pytest.raises(NotFound, match="raw/gone"):
        _copy_objects(objects, ["raw/gone"], tmp_path / "backup", lambda: {"raw/gone"})
