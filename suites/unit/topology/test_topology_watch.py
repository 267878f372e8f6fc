"""The supervisor watches: what ends or hangs by itself is said at once, with exit code and last words and without a secret."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.topology import MachineLacks, Stack, StackGone, StartFailed, SupervisorEvent, load_topology
from harness.topology import stack as stack_module
from harness.topology.folder import sweep
from harness.topology.registry import record, recorded
from suites.unit.waiting import reached

FILE = """\
services:
  door:
    restart: "{restart}"
    healthcheck: {{interval: 200ms, timeout: 1s, retries: 2, start_period: 30s, start_interval: 50ms}}
    stop_grace_period: 1s
    secrets: [badge]
    ports: ["127.0.0.1:${{DOOR_PORT}}:80"]
    x-profiles:
      embedded:
        command: ["$${{PYTHON}}", "$${{PROJECT_ROOT}}/door.py", "$${{DOOR_PORT}}", "$${{SECRETS_DIR}}/badge"]
        health: {{http: "http://127.0.0.1:$${{DOOR_PORT}}/"}}
  errand:
    restart: "{errand_restart}"
    x-profiles:
      embedded: {{command: {errand}}}
secrets:
  badge: {{file: ./badge}}
"""
DOOR = """\
import http.server, os, pathlib, sys, threading
port, badge = int(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
print('the badge is', badge, flush=True)
class Door(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == '/hang' or pathlib.Path('hang').exists():
            threading.Event().wait()
        if self.path.startswith('/exit'):
            os._exit(int(self.path[5:]))
        self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()
    def log_message(self, *words): ...
http.server.ThreadingHTTPServer(('127.0.0.1', port), Door).serve_forever()
"""
FOREVER = '["$${PYTHON}", -c, "import signal; signal.pause()"]'
Made = Callable[..., Path]


def code(text: str) -> str:
    return f'["$${{PYTHON}}", -c, "{text}"]'


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """``made(**parts)``: a compose file of a door that answers and an errand."""

    def make(restart: str = "always", errand_restart: str = "no", errand: str = FOREVER, door: str = DOOR) -> Path:
        folder = tmp_path / "shop"
        folder.mkdir(exist_ok=True)
        (folder / "door.py").write_text(door)
        text = FILE.format(restart=restart, errand_restart=errand_restart, errand=errand)
        (folder / "docker-compose.yml").write_text(text, encoding="utf-8")
        return folder / "docker-compose.yml"

    return make


def start(file: Path, **options: Any) -> Stack:
    return Stack.start(load_topology(file, "embedded", file.parent), base_dir=file.parent.parent, **options)


@pytest.fixture
def supervisors(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The pids of the supervisors that are started, as soon as they are."""
    pids: list[int] = []
    real = stack_module.subprocess.Popen

    def popen(*arguments: Any, **options: Any) -> Any:
        process = real(*arguments, **options)
        pids.append(process.pid)
        return process

    monkeypatch.setattr(stack_module.subprocess, "Popen", popen)
    yield pids
    for pid in pids:
        if psutil.pid_exists(pid):
            os.kill(pid, signal.SIGKILL)


def exits(stack: Stack, service: str) -> list[SupervisorEvent]:
    return [event for event in stack.events() if event.kind == "service_exited" and event.service == service]


# --- starting ------------------------------------------------------------------------------------------------------------

AT_ONCE = [
    ("no", code("raise SystemExit(7)"), r"errand exited 1 × while starting, last with 7"),
    ("on-failure:2", code("raise SystemExit(7)"), r"errand exited 3 × while starting, last with 7"),
    ("always", code("raise SystemExit(0)"), r"errand exited 5 × while starting, last with 0"),
    ("no", code("import os; os.kill(os.getpid(), 11)"), r"errand exited 1 × while starting, last with -11 \(killed by SIGSEGV\)"),
    ("no", code("import time; time.sleep(0.8); print('out of tea'); raise SystemExit(4)"), r"last with 4(?s:.*)out of tea"),
]


@pytest.mark.parametrize(("policy", "errand", "said"), AT_ONCE)
def test_a_service_that_does_not_stay_ends_the_start_at_once(made: Made, policy: str, errand: str, said: str) -> None:
    """Policy used up, crash loop, signal, and one that lived for a moment while others still start: not after the whole deadline."""
    slow = DOOR.replace("import http", "import time; time.sleep(20)\nimport http", 1)
    began = time.monotonic()
    with pytest.raises(StartFailed, match=said) as raised:
        start(made(errand_restart=policy, errand=errand, door=slow), deadline_s=60)
    assert not isinstance(raised.value, MachineLacks)
    assert time.monotonic() - began < 15


def test_a_failed_start_shows_no_secret(made: Made, tmp_path: Path) -> None:
    """Neither the message nor the copy of the log that outlives the stack holds a secret of the stack."""
    broken = DOOR.replace("class Door", "print('sum', sum([1]), badge); raise SystemExit(9)\nclass Door")
    with pytest.raises(StartFailed, match=r"the badge is \[secret badge\]"):
        start(made(restart="no", door=broken))
    (log,) = tmp_path.glob("eh-failed-*-door.log")
    assert log.read_text().count("[secret badge]") == 2


LACKS = [
    ('["/opt/absent/engine"]', "the program /opt/absent/engine is not installed"),
    ("[absent-engine, --serve]", "the program 'absent-engine' is not installed"),
    (code("import absent_wheel_of_nobody"), "the Python package 'absent_wheel_of_nobody' is not installed"),
    ('["$${PYTHON}", -m, absent_wheel.server]', "the Python package 'absent_wheel' is not installed"),
    (code("print('no GPU here'); raise SystemExit(69)"), "this machine lacks something: no GPU here"),
]


@pytest.mark.parametrize(("errand", "said"), LACKS)
def test_only_what_the_machine_lacks_is_told_apart(made: Made, errand: str, said: str) -> None:
    """An absent program or package, or the service's own word (69), is the machine's, and known at the first try."""
    with pytest.raises(MachineLacks, match=r"errand exited 1 × while starting") as raised:
        start(made(errand_restart="always", errand=errand))
    assert said in str(raised.value)


def test_a_launcher_of_the_platform_says_so_where_its_engine_is_not_installed() -> None:
    """Exit 69 with the wheel's name; any other bad input stays 2."""
    script = "from system.deploy.process import package_folder, read_secret, run_launcher\nimport pathlib\nrun_launcher(lambda _: {})"
    for work, expected, said in (
        ("package_folder('absent_engine', 'absent-engine')", 69, "pip install absent-engine"),
        ("read_secret(pathlib.Path('/absent'))", 2, "secret cannot be read"),
    ):
        done = subprocess.run([sys.executable, "-c", script.format(work)], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, said in done.stderr) == (expected, True), done.stderr


BROKEN = [
    '["$${PROJECT_ROOT}/absent"]',
    '["./absent"]',
    code("import shopfront.absent"),
    code("import door.absent"),
    code("raise ImportError('No module named tea, or so')"),
    code("raise SystemExit(2)"),
]


@pytest.mark.parametrize("errand", BROKEN)
def test_what_the_project_itself_lacks_is_no_lack_of_the_machine(made: Made, errand: str) -> None:
    """A program or module of the project that is not there is a system that does not boot."""
    file = made(errand=errand, errand_restart="always")
    (file.parent / "shopfront").mkdir()
    (file.parent / "shopfront" / "__init__.py").touch()
    with pytest.raises(StartFailed) as raised:
        start(file)
    assert not isinstance(raised.value, MachineLacks)


@pytest.mark.parametrize("policy", ["no", "on-failure", "on-failure:3"])
def test_a_one_shot_service_may_end_with_0(made: Made, policy: str) -> None:
    """Nobody asks it anything and its policy leaves it down: it is done, the stack is ready, and its exit is expected."""
    with start(made(errand_restart=policy, errand=code("print('done')"))) as stack:
        status = stack.service("errand")
        assert (status.state, status.done, status.well) == ("exited", True, True)
        assert [(event.exit_code, event.expected, event.final) for event in exits(stack, "errand")] == [(0, True, True)]


def stop_when_there(name: str, base: Path) -> threading.Thread:
    """Stops the process of a service as soon as the stack has one."""

    def work() -> None:
        found: list[psutil.Process] = []

        def there() -> bool:
            for process in psutil.process_iter():
                try:
                    if process.environ().get("EH_SERVICE") == name and str(base) in process.environ().get("TMPDIR", ""):
                        found.append(process)
                except (psutil.Error, OSError):
                    continue
            return bool(found)

        if reached(there, 20):
            found[0].send_signal(signal.SIGSTOP)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_service_that_is_stopped_while_it_starts_ends_the_start(made: Made, tmp_path: Path) -> None:
    """Within ten seconds, long before its start period is over."""
    slow = DOOR.replace("import http", "import time; time.sleep(60)\nimport http", 1)
    thread = stop_when_there("door", tmp_path)
    began = time.monotonic()
    with pytest.raises(StartFailed, match=r"door hangs: its process is stopped"):
        start(made(door=slow))
    assert time.monotonic() - began < 12
    thread.join()
    assert list(tmp_path.glob(f"eh-{os.getuid()}-*")) == []


@pytest.mark.parametrize(("number", "said"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "SIGSTOP")])
@pytest.mark.parametrize("early", [True, False])
def test_a_supervisor_that_falls_while_it_starts_ends_the_start(
    made: Made, tmp_path: Path, supervisors: list[int], number: int, said: str, early: bool
) -> None:
    """Killed or stopped, before it has said where it is or while services come up: the cause within ten seconds, nothing left."""
    slow = DOOR.replace("import http", "import time; time.sleep(60)\nimport http", 1)

    def fell() -> None:
        if reached(lambda: supervisors and (early or list(tmp_path.glob("eh-*/logs/door.log"))), 20):
            os.kill(supervisors[0], number)

    thread = threading.Thread(target=fell)
    file = made(door=slow)
    thread.start()
    began = time.monotonic()
    with pytest.raises((StartFailed, StackGone)) as raised:
        start(file)
    assert time.monotonic() - began < 12
    assert early or said in str(raised.value)
    thread.join()
    assert reached(lambda: list(tmp_path.glob(f"eh-{os.getuid()}-*")) == [])


# --- running -------------------------------------------------------------------------------------------------------------


def test_an_exit_tells_its_code_its_last_words_and_whether_anything_starts_it_again(made: Made) -> None:
    """Under ``always`` it comes back; under ``no`` it is down for good; no secret among the words."""
    with start(made()) as stack, pytest.raises(OSError):
        ask(stack, "/exit5")
    for policy, final in (("always", False), ("no", True)):
        with start(made(restart=policy)) as stack:
            with pytest.raises(OSError):
                ask(stack, "/exit5")
            assert reached(lambda stack=stack: exits(stack, "door"))
            (event,) = exits(stack, "door")
            assert (event.exit_code, event.final, event.expected) == (5, final, False)
            assert event.last_lines.endswith("the badge is [secret badge]")


def ask(stack: Stack, path: str) -> None:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{stack.ports['door']}{path}", timeout=3):
        pass


def silent(stack: Stack) -> list[SupervisorEvent]:
    return [event for event in stack.events() if event.kind == "service_silent"]


def test_a_service_that_is_stopped_from_outside_hangs_and_one_that_we_stop_does_not(made: Made) -> None:
    """SIGSTOP of its process is seen within ten seconds, also without a health check; ``pause`` is somebody's wish."""
    with start(made()) as stack:
        stack.pause("errand")
        os.kill(stack.service("door").pid, signal.SIGSTOP)
        assert reached(lambda: silent(stack), 10)
        assert [event.service for event in silent(stack)] == ["door"]
        os.kill(stack.service("door").pid, signal.SIGCONT)
        assert stack.wait_healthy("door", 10).restarts == 0
        stack.resume("errand")
        os.kill(stack.service("errand").pid, signal.SIGSTOP)
        assert reached(lambda: len(silent(stack)) == 2, 10)
        os.kill(stack.service("errand").pid, signal.SIGCONT)
        stack.wait_healthy("errand", 10)


@pytest.mark.parametrize("interval", ["200ms", "60s"])
def test_a_service_that_leaves_its_health_check_open_hangs(made: Made, interval: str) -> None:
    """It accepts and never answers: seen within ten seconds, however seldom its own health is asked."""
    file = made()
    file.write_text(file.read_text().replace("interval: 200ms", f"interval: {interval}"))
    with start(file) as stack:
        (file.parent / "hang").touch()
        assert reached(lambda: silent(stack), 10)
        assert "did not answer within" in silent(stack)[0].detail


def test_a_service_that_works_and_answers_late_does_not_hang(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Overload is no hang: who burns its processor meanwhile is left to its own health check."""
    file = made(door=DOOR.replace("threading.Event().wait()", "exec('while True: pass')"))
    file.write_text(file.read_text().replace("interval: 200ms, timeout: 1s, retries: 2", "interval: 60s, timeout: 1s, retries: 900"))
    with start(file) as stack:
        (file.parent / "hang").touch()
        assert not reached(lambda: silent(stack), 9)


# --- what is left --------------------------------------------------------------------------------------------------------


def test_a_killed_supervisor_leaves_no_secret(made: Made, tmp_path: Path) -> None:
    """Its reaper removes the folder though nobody runs another command; of a kept stack only the secrets go."""
    for keep in (False, True):
        stack = start(made(), keep=keep, only=["door"])
        os.kill(stack.info.supervisor_pid, signal.SIGKILL)
        assert reached(lambda stack=stack: not stack.info.secrets_dir.exists(), 5)
        assert reached(lambda stack=stack, keep=keep: stack.folder.exists() == keep, 5)
        stack.stop()
    stack = start(made(), keep=True, only=["door"])
    stack.stop()
    assert (stack.info.logs_dir / "door.log").exists()
    assert not stack.info.secrets_dir.exists()


@pytest.mark.parametrize("how", ["sweep", "recorded"])
@pytest.mark.parametrize("owner", ["run", "user"])
def test_where_the_reaper_was_killed_too_the_next_command_removes_the_folder(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str, owner: Any
) -> None:
    """Also that of a stack of the user's, and also a young one."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    stack = start(made(), owner=owner, only=["door"])
    supervisor = psutil.Process(stack.info.supervisor_pid)
    command = supervisor.cmdline()
    reapers = [
        process
        for process in psutil.process_iter()
        if process.pid != supervisor.pid and _words(process) == command and process.ppid() != supervisor.pid
    ]
    before = {process.pid: process.create_time() for process in reapers if process.create_time() >= supervisor.create_time() - 0.05}
    mine = [process for process in reapers if process.pid in before and abs(process.create_time() - supervisor.create_time()) < 3]
    for process in mine:
        if str(tmp_path / "state") in process.environ().get("XDG_STATE_HOME", ""):
            process.kill()
    supervisor.kill()
    stack._supervisor.wait(5)
    record(stack.info)
    if how == "sweep":
        sweep(tmp_path)
    assert recorded() == []
    assert not stack.folder.exists()
    stack.stop()


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_stack_is_ended_though_its_supervisor_has_fallen(made: Made, number: int) -> None:
    """Teardown: a supervisor that is dead or stands still is noticed, ended, and leaves nothing, within ten seconds."""
    stack = start(made())
    pids = [status.pid for status in stack.services()]
    os.kill(stack.info.supervisor_pid, number)
    began = time.monotonic()
    stack.stop()
    assert time.monotonic() - began < 10
    assert not stack.folder.exists()
    assert reached(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids))


def test_a_users_stack_is_on_record_before_it_is_ready(made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were its starter killed now, ``harness down`` would find it; a start that fails leaves no record."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    seen: list[Path] = []

    def look(self: Stack, _deadline_s: float) -> None:
        seen.extend(info.project for info in recorded())
        raise StartFailed("enough", "test", "none")

    monkeypatch.setattr(Stack, "_wait_ready", look)
    file = made()
    with pytest.raises(StartFailed, match="enough"):
        start(file, owner="user")
    assert seen == [file.parent.resolve()]
    assert recorded() == []
