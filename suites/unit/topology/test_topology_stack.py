from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

import harness
from harness.topology import Stack, StackGone, StartFailed, Topology, TopologyError, load_topology
from harness.topology.folder import create_stack_folder
from harness.topology.ports import PortLease
from harness.topology.ports import sweep as sweep_ports
from harness.topology.registry import user_folder
from harness.topology.supervisor import _bound_log
from suites.unit.waiting import reached

OWNER = """
import sys, time
from pathlib import Path
from harness.topology import Stack, load_topology
file, base = Path(sys.argv[1]), Path(sys.argv[2])
stack = Stack.start(load_topology(file, "embedded", file.parent), base_dir=base)
print(stack.folder, stack.ports["web"], flush=True)
time.sleep(60)
"""


def port_is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def marked(stack_id: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("EH_STACK_ID") == stack_id:
                found.append(process.pid)
        except (psutil.Error, OSError):
            continue
    return found


def test_a_stack_serves_and_leaves_nothing(toy: Topology, tmp_path: Path) -> None:
    """A started stack answers on its port; after stop its processes, folder and port are gone."""
    stack = Stack.start(toy, base_dir=tmp_path)
    port = stack.ports["web"]
    with urllib.request.urlopen(stack.url("web"), timeout=5) as answer:
        assert answer.status == 200
    assert {status.name: status.healthy for status in stack.services()} == {"web": True, "job": True}
    stack.stop()
    stack.stop()
    assert not stack.folder.exists()
    assert not port_is_open(port)
    assert marked(stack.stack_id) == []
    assert [event.kind for event in stack.events()][:2] == ["supervisor_started", "service_started"]


def test_secrets_and_socket_belong_to_the_user_alone(stack: Stack) -> None:
    """Secret files and the control socket are 0600, and no secret stands in a command line, an environment or stack.json."""
    assert stat.S_IMODE((stack.info.secrets_dir / "token").stat().st_mode) == 0o600
    assert stat.S_IMODE(stack.info.socket.stat().st_mode) == 0o600
    secret = stack.secret("token")
    assert len(secret) == 48
    assert secret not in (stack.folder / "stack.json").read_text(encoding="utf-8")
    for status in stack.services():
        process = psutil.Process(status.pid)
        assert secret not in " ".join(process.cmdline()) + " ".join(process.environ().values())
    with pytest.raises(TopologyError, match="no secret 'tokn'"):
        stack.secret("tokn")


def test_a_killed_service_is_restarted_and_every_step_is_an_event(stack: Stack) -> None:
    """kill -9: a new pid serves again, and signal, exit, start, health and both delays are on record in order."""
    before, last = stack.service("web"), stack.events()[-1].sequence
    stack.kill("web")
    after = stack.wait_for("web", lambda status: status.healthy and status.restarts == 1, 10)
    assert after.pid != before.pid
    events = [event for event in stack.events(last) if event.service == "web"]
    assert [event.kind for event in events] == [
        "service_signalled",
        "service_exited",
        "service_started",
        "service_healthy",
        "service_restarted",
    ]
    assert [event.monotonic_ns for event in events] == sorted(event.monotonic_ns for event in events)
    assert abs(events[-1].monotonic_ns - time.monotonic_ns()) < 10e9
    assert (events[0].pid, events[0].start_time, events[0].signal) == (before.pid, before.start_time, "SIGKILL")
    assert events[1].exit_code == -signal.SIGKILL
    assert 0.09 < events[-1].restart_delay_s < 1
    assert 0 < events[-1].serve_delay_s < 5
    recorded = [json.loads(line) for line in (stack.info.logs_dir / "supervisor.jsonl").read_text().splitlines()]
    assert [row["sequence"] for row in recorded] == list(range(1, len(recorded) + 1))


def test_a_held_service_stays_down_until_released(stack: Stack) -> None:
    """hold suspends the restart policy; release starts the service at once."""
    stack.hold("web")
    stack.kill("web")
    stack.wait_for("web", lambda status: status.state == "held", 5)
    assert not port_is_open(stack.ports["web"])
    assert not reached(lambda: stack.service("web").pid is not None, 0.5)
    stack.release("web")
    assert stack.wait_healthy("web", 10).restarts == 1


def test_a_paused_service_becomes_unhealthy_and_recovers_when_resumed(stack: Stack) -> None:
    """SIGSTOP is no exit: the health check notices it, the pid stays, SIGCONT heals it."""
    pid = stack.service("web").pid
    stack.pause("web")
    stack.wait_for("web", lambda status: not status.healthy, 15)
    stack.resume("web")
    assert stack.wait_healthy("web", 10).pid == pid
    assert "service_unhealthy" in [event.kind for event in stack.events()]


def test_a_restart_is_orderly_and_needs_no_policy(stack: Stack) -> None:
    """restart ends a service by its stop signal and starts it again, also where the policy would not."""
    stack.restart("job")
    assert stack.wait_for("job", lambda status: status.healthy and status.restarts == 1, 10).state == "running"


def test_on_failure_leaves_a_clean_exit_alone(toy_file: Path, tmp_path: Path) -> None:
    """restart: on-failure restarts after a signal or an error code only."""
    text = toy_file.read_text().replace(
        "import signal; signal.pause()", "import signal; signal.signal(15, lambda *a: exit(0)); signal.pause()"
    )
    toy_file.write_text(text)
    with Stack.start(load_topology(toy_file, "embedded", toy_file.parent), base_dir=tmp_path) as stack:
        stack.kill("job", signal.SIGTERM)
        stack.wait_for("job", lambda status: status.state == "exited", 5)
        stack.release("job")
        stack.wait_healthy("job", 10)
        stack.kill("job")
        stack.wait_for("job", lambda status: status.healthy and status.restarts == 2, 10)


def test_sigkill_of_the_owner_leaves_nothing(toy_file: Path, tmp_path: Path) -> None:
    """Within 5 s of the runner's SIGKILL no process (not even a daemon without its environment), port or folder is left."""
    daemon = "import os,subprocess,signal; subprocess.Popen(['sleep','87'],env={},start_new_session=True); signal.pause()"
    toy_file.write_text(toy_file.read_text().replace("import signal; signal.pause()", daemon))
    base = tmp_path / "base"
    base.mkdir()
    root = os.pathsep.join([str(Path(harness.__file__).parent.parent), *sys.path])
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(toy_file), str(base)], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": root}
    )
    folder, port = owner.stdout.readline().rsplit(maxsplit=1)
    stack = Stack.attach(Path(folder))
    supervisor = psutil.Process(stack.info.supervisor_pid)
    family = supervisor.children(recursive=True)
    assert any(process.cmdline()[:1] == ["sleep"] for process in family)
    owner.kill()
    killed = time.monotonic()
    owner.wait()
    owner.stdout.close()
    assert reached(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in [supervisor, *family]), 5)
    assert reached(lambda: not Path(folder).exists(), 5)
    assert time.monotonic() - killed < 5
    assert not port_is_open(int(port))
    assert list(base.iterdir()) == []
    with pytest.raises(StackGone):
        stack.status()


def test_sigkill_of_the_supervisor_ends_its_services(toy: Topology, tmp_path: Path) -> None:
    """Were the supervisor itself killed, the kernel ends its services, and its reaper removes the folder with the secrets."""
    stack = Stack.start(toy, base_dir=tmp_path)
    pids = [status.pid for status in stack.services()]
    os.kill(stack.info.supervisor_pid, signal.SIGKILL)
    if sys.platform == "linux":
        assert reached(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids))
    assert reached(lambda: not stack.folder.exists())
    stack.stop()


def test_sigterm_to_the_supervisor_is_an_orderly_stop(toy: Topology, tmp_path: Path) -> None:
    """SIGTERM ends services by their stop signals and removes the folder."""
    stack = Stack.start(toy, base_dir=tmp_path)
    os.kill(stack.info.supervisor_pid, signal.SIGTERM)
    assert reached(lambda: not stack.folder.exists())
    stack.stop()


def test_a_service_that_cannot_start_fails_the_start_with_its_last_words(toy_file: Path, tmp_path: Path) -> None:
    """Five exits while starting end the start; the message carries the log's last lines and where the log is."""
    toy_file.write_text(toy_file.read_text().replace("import signal; signal.pause()", "raise SystemExit('no disk left')"))
    with pytest.raises(StartFailed, match=r"job exited 5 × while starting, last with 1(?s:.*)no disk left") as raised:
        Stack.start(load_topology(toy_file, "embedded", toy_file.parent), base_dir=tmp_path)
    (log,) = tmp_path.glob("eh-failed-*-job.log")
    assert str(log) in str(raised.value)
    assert not list(tmp_path.glob(f"eh-{os.getuid()}-*"))


def test_a_program_that_is_absent_fails_the_start(toy_file: Path, tmp_path: Path) -> None:
    """A command that cannot be executed is said so."""
    toy_file.write_text(toy_file.read_text().replace('["$${PYTHON}", -c, "import signal; signal.pause()"]', "[/no/such/program]"))
    with pytest.raises(StartFailed, match=r"cannot be started: .*No such file"):
        Stack.start(load_topology(toy_file, "embedded", toy_file.parent), base_dir=tmp_path)


def test_a_service_that_never_answers_is_unhealthy_in_time(toy_file: Path, tmp_path: Path) -> None:
    """When start period and retries are used up the start fails with what the health check saw."""
    toy_file.write_text(
        toy_file.read_text()
        .replace('{http: "http://127.0.0.1:$${WEB_PORT}/"}', '{http: "http://127.0.0.1:$${WEB_PORT}/none"}')
        .replace("start_period: 10s", "start_period: 300ms")
    )
    with pytest.raises(StartFailed, match=r"web is not healthy in time: .*404"):
        Stack.start(load_topology(toy_file, "embedded", toy_file.parent), base_dir=tmp_path)


def test_two_stacks_at_once_share_nothing(toy: Topology, tmp_path: Path) -> None:
    """Stacks started at the same moment have ports, folders and secrets of their own."""
    stacks: list[Stack] = []
    threads = [threading.Thread(target=lambda: stacks.append(Stack.start(toy, base_dir=tmp_path, only=["web"]))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with stacks[0], stacks[1]:
        assert stacks[0].ports["web"] != stacks[1].ports["web"]
        assert stacks[0].folder != stacks[1].folder
        assert stacks[0].secret("token") != stacks[1].secret("token")


def test_a_users_stack_outlives_its_starter_and_is_found(toy_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """owner=user: the starter may go; the stack is found by its id, attached to, and ended by stop."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    script = OWNER.replace("base_dir=base)", 'base_dir=base, owner="user", only=["web"])').replace("time.sleep(60)", "")
    root = os.pathsep.join([str(Path(harness.__file__).parent.parent), *sys.path])
    subprocess.run(
        [sys.executable, "-c", script, str(toy_file), str(tmp_path)],
        check=True,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    (stack,) = Stack.recorded()
    with stack:
        assert stack.wait_healthy("web", 5).healthy
        assert Stack.attach(stack.folder).stack_id == stack.stack_id
    assert Stack.recorded() == []
    assert not stack.folder.exists()


def test_a_kept_stack_leaves_its_folder(toy: Topology, tmp_path: Path) -> None:
    """keep=True: processes end, the folder stays for people to look at."""
    stack = Stack.start(toy, base_dir=tmp_path, keep=True, only=["web"])
    stack.stop()
    assert (stack.folder / "logs" / "web.log").exists()
    assert marked(stack.stack_id) == []


def test_unknown_words_are_answered_with_the_nearest(stack: Stack) -> None:
    """A wrong service name is refused by the supervisor with the right one."""
    with pytest.raises(TopologyError, match=r"'wbe'.*did you mean 'web'"):
        stack.kill("wbe")


def test_the_folder_says_why_it_cannot_be_made(tmp_path: Path) -> None:
    """A temp directory that is not there is named, with a remedy."""
    with pytest.raises(TopologyError, match="set TMPDIR"):
        create_stack_folder(tmp_path / "absent", "x")


def test_two_leases_never_hold_the_same_port() -> None:
    """Leases of the same seed look at the same ports first; the lock file sends the second one on, and stale locks are swept."""
    one, two = PortLease("seed"), PortLease("seed")
    first, second = one.take(["A", "B"]), two.take(["A", "B"])
    assert len({*first.values(), *second.values()}) == 4
    two.release()
    sweep_ports()
    assert PortLease("seed").take(["A"])["A"] not in first.values()
    one.release()


def test_a_log_is_bounded(tmp_path: Path) -> None:
    """A log that grew beyond its limit is moved aside; its writer goes on."""
    log = tmp_path / "web.log"
    with log.open("wb") as stream:
        stream.truncate((20 << 20) + 1)
    _bound_log(log)
    assert log.stat().st_size == 0
    assert log.with_name("web.log.1").stat().st_size == (20 << 20) + 1


def test_a_read_only_home_falls_back_to_the_temp_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where neither the state folder nor HOME can be written, records of stacks go to the temp directory."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert user_folder("state") == tmp_path / f"eh-state-{os.getuid()}"
