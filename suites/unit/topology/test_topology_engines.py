"""Each engine's launcher: start, query, kill -9, restart, the data is there; and its health check notices a wrong password."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from harness.topology import Stack, load_topology
from suites.unit.waiting import reached

neo4j = pytest.importorskip("neo4j")
psycopg = pytest.importorskip("psycopg")
redis = pytest.importorskip("redis")

ROOT = Path(__file__).resolve().parents[3]
ENGINES = ("records", "search", "graph", "cache", "events")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    topology = load_topology(ROOT / "docker-compose.yml", "embedded", ROOT)
    with Stack.start(topology, only=ENGINES, deadline_s=60, logs_dir=tmp_path_factory.mktemp("logs")) as stack:
        yield stack


def crash(stack: Stack, service: str) -> None:
    """kill -9 of the pid that serves, then wait for the restarted service."""
    before = stack.service(service)
    stack.kill(service)
    after = stack.wait_for(service, lambda status: status.restarts > before.restarts and status.healthy, 30)
    assert after.pid != before.pid


def sql(stack: Stack, service: str) -> object:
    return psycopg.connect(stack.url(service), password=stack.secret(f"{service}_password"), autocommit=True)


def log_of_events(stack: Stack, service: str) -> object:
    return redis.Redis.from_url(stack.url(service), password=stack.secret(f"{service}_password"))


@pytest.mark.parametrize("service", ["records", "search"])
def test_sql_keeps_every_commit_over_a_kill(engines: Stack, service: str) -> None:
    """PostgreSQL with pgvector: what was committed before kill -9 is there after the restart."""
    with sql(engines, service) as connection:
        connection.execute("create table kept (id int primary key, place vector(3))")
        for number in range(50):
            connection.execute("insert into kept values (%s, %s)", (number, f"[{number},0,1]"))
        crash(engines, service)
    with sql(engines, service) as connection:
        assert connection.execute("select count(*), max(place <-> '[0,0,1]') from kept").fetchone() == (50, 49.0)
        settings = dict(connection.execute("select name, setting from pg_settings where name in ('fsync', 'listen_addresses')").fetchall())
        assert settings == {"fsync": "on", "listen_addresses": "127.0.0.1"}


def test_graph_keeps_every_acknowledged_write_over_a_kill(engines: Stack) -> None:
    """The graph over Bolt: every transaction acknowledged before kill -9 is there after the restart."""
    login = ("root", engines.secret("graph_password"))
    with neo4j.GraphDatabase.driver(engines.url("graph"), auth=login) as driver, driver.session(database="eh") as session:
        for number in range(50):
            session.execute_write(lambda tx, n=number: tx.run("CREATE (:Kept {id: $n})", n=n).consume())
    crash(engines, "graph")
    with neo4j.GraphDatabase.driver(engines.url("graph"), auth=login) as driver, driver.session(database="eh") as session:
        assert session.run("MATCH (k:Kept) RETURN count(k) AS kept").single()["kept"] == 50


def test_the_event_log_survives_a_kill_and_the_cache_forgets(engines: Stack) -> None:
    """Events are fsynced before they are answered; the cache keeps nothing on disk."""
    for service in ("events", "cache"):
        with log_of_events(engines, service) as client:
            for number in range(50):
                client.xadd("kept", {"n": number})
        crash(engines, service)
    with log_of_events(engines, "events") as client:
        assert client.xlen("kept") == 50
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
    with log_of_events(engines, "cache") as client:
        assert client.xlen("kept") == 0


@pytest.mark.parametrize("service", ENGINES)
def test_health_fails_with_a_wrong_password(engines: Stack, service: str, tmp_path: Path) -> None:
    """The health check authenticates: right password exit 0, wrong password another code and a reason, never the password."""
    (tmp_path / f"{service}_password").write_text("not-the-password", encoding="utf-8")
    environment = {**os.environ, **engines.environment(service), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}

    def ask(**more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "system.deploy.health", service]
        return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=20, check=False)

    assert ask().returncode == 0
    refused = ask(EH_SECRETS_DIR=str(tmp_path))
    assert refused.returncode != 0
    assert refused.stderr
    assert "not-the-password" not in refused.stderr
    closed = ask(**{f"EH_{service.upper()}_URL": "x://eh@127.0.0.1:1/eh"})
    assert closed.returncode != 0


def test_the_supervised_pid_is_the_engine_and_listens_on_loopback_only(engines: Stack) -> None:
    """No Python parent stands between supervisor and engine, each listens on its own port of 127.0.0.1, no secret is in its argv."""
    for status in engines.services():
        process = psutil.Process(status.pid)
        assert "python" not in Path(process.exe()).name
        listening = {connection.laddr for connection in process.net_connections("inet") if connection.status == psutil.CONN_LISTEN}
        assert urlsplit(engines.url(status.name)).port in {address.port for address in listening}
        assert {address.ip.removeprefix("::ffff:") for address in listening} == {"127.0.0.1"}
        assert engines.secret(f"{status.name}_password") not in " ".join(process.cmdline())


def test_sql_as_root_drops_to_a_uid_of_its_own(engines: Stack) -> None:
    """Where the stack runs as root, PostgreSQL has an unprivileged uid without account, and owns its folder (0700)."""
    if os.geteuid() != 0:
        pytest.skip("not root: the server runs as this user")
    process = psutil.Process(engines.service("records").pid)
    folder = engines.info.data_dir / "records"
    assert set(process.uids()) == {folder.stat().st_uid} != {0}
    assert folder.stat().st_mode & 0o777 == 0o700
    assert set(psutil.Process(engines.service("search").pid).uids()) == set(process.uids())


def test_the_workers_health_is_its_lease_in_the_event_log(engines: Stack) -> None:
    """The worker is healthy when the event log holds a lease of its own pid, not of one that died."""
    environment = {
        **os.environ,
        **engines.environment("events"),
        "EH_STACK_ID": engines.stack_id,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
    }

    def ask(pid: int) -> int:
        command = [sys.executable, "-m", "system.deploy.health", "worker"]
        return subprocess.run(
            command, env={**environment, "EH_SERVICE_PID": str(pid)}, capture_output=True, timeout=20, check=False
        ).returncode

    assert ask(4711) != 0
    with log_of_events(engines, "events") as client:
        client.hset(f"{engines.stack_id}:log:0:extract:lease", mapping={"owner": f"{socket.gethostname()}:4711", "token": 1})
    assert ask(4711) == 0
    assert ask(4712) != 0


OWNER = """
import sys, time
from pathlib import Path
from harness.topology import Stack, load_topology
root, base = Path(sys.argv[1]), Path(sys.argv[2])
Stack.start(load_topology(root / "docker-compose.yml", "embedded", root), base_dir=base, only=["records", "events"])
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("moment", ["building", "ready"])
def test_engines_of_a_killed_owner_leave_nothing(tmp_path: Path, moment: str) -> None:
    """SIGKILL of the runner, while a cluster is being built or served: within 5 s no process, folder or shared memory is left."""
    base = tmp_path
    for folder in (tmp_path, *tmp_path.parents[:2]):
        if os.geteuid() == 0:
            folder.chmod(0o711)  # pytest's folders are 0700: the server's own uid could not enter
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(ROOT), str(base)], stdout=subprocess.PIPE, env=environment)
    if moment == "ready":
        assert owner.stdout.readline() == b"ready\n"
    else:
        assert reached(lambda: list(base.glob("eh-*/data/records/*.building")), 20)
    (folder,) = base.glob("eh-*")
    pids = {process.pid for process in psutil.process_iter() if str(folder) in " ".join(_words(process))}
    owner.kill()
    killed = time.monotonic()
    owner.communicate()
    assert reached(lambda: not folder.exists() and not any(str(folder) in " ".join(_words(p)) for p in psutil.process_iter()), 5)
    assert time.monotonic() - killed < 5
    table = Path("/proc/sysvipc/shm")
    if table.exists():
        assert not {int(line.split()[4]) for line in table.read_text().splitlines()[1:]} & pids


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
