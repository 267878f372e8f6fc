"""A system that does not boot, or is lost: FAIL with the cause, at once, in every way a person can run it; in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = """\
[target]
service = "web"
[topology]
file = "docker-compose.yml"
start_deadline = "50 s"
[layers.shop]
suite = "shop"
required = true
[wings.drivers]
harm = "harm:Harm"
"""
COMPOSE = """\
services:
  web:
    restart: "no"
    healthcheck: {interval: 200ms, timeout: 2s, retries: 3, start_period: 20s, start_interval: 50ms}
    stop_grace_period: 1s
    secrets: [token]
    ports: ["127.0.0.1:${WEB_PORT}:80"]
    x-profiles:
      embedded:
        command: ["$${PYTHON}", "$${PROJECT_ROOT}/web.py", "$${WEB_PORT}", "$${SECRETS_DIR}/token"]
        health: {http: "http://127.0.0.1:$${WEB_PORT}/"}
secrets:
  token: {file: ./token}
"""
WEB = """\
import http.server, pathlib, sys
print('token', pathlib.Path(sys.argv[2]).read_text(), flush=True)
class Web(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): ...
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Web).serve_forever()
"""
BROKEN = WEB.replace("class Web", "print('the shelf is empty'); raise SystemExit(23)\nclass Web")
HARM = """\
import os, signal, threading
import msgspec

class What(msgspec.Struct, frozen=True):
    to: str = ""
    signal: int = 9

def harm(stack, to, number):
    pid = stack._stack.info.supervisor_pid if to == "supervisor" else stack.services()[0].pid
    os.kill(pid, number)

class Harm:
    name, parameters, metrics, requires = "harm", What, (), frozenset({"stack.owned"})
    def run(self, context, parameters):
        if parameters.to:
            harm(context.stack, parameters.to, parameters.signal)
        while not context.stop():
            context.wait(0.1)
"""
SCENARIO = """\
name: harmed
title: Something falls
layer: load
timeline:
  - {step: hurt, driver: harm, with: {to: TO, signal: NUMBER}}
  - {step: work, driver: harm}
"""
WAITING = """\
import threading
from harm import harm
def test_first(target): assert target.base_url
def test_waits(stack):
    harm(stack, "TO", NUMBER)
    threading.Event().wait(60)
def test_needs_it(target): ...
def test_needs_nothing(): ...
"""
Made = Callable[..., Path]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """``made({file: text})``: a project whose system is one web service."""

    def make(files: dict[str, str]) -> Path:
        folder = tmp_path / "a shop"
        mine = {"harness.toml": CONFIGURATION, "docker-compose.yml": COMPOSE, "web.py": WEB, "harm.py": HARM, "pytest.ini": "[pytest]\n"}
        for name, text in {**mine, "shop/test_shop.py": "def test_shop(target): assert target.base_url\n", **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return make


def run(folder: Path, *arguments: str, module: str = "harness.cli.main", **variables: str) -> subprocess.CompletedProcess[str]:
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "HARNESS"))}
    path = os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH", "")]))
    mine |= {"PYTEST_ADDOPTS": "-p no:schemathesis", "XDG_STATE_HOME": str(folder.parent / "state"), "PYTHONPATH": path} | variables
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, env=mine, capture_output=True, text=True, timeout=100, check=False)


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    summary = json.loads((folder / "reports" / "latest" / "summary.json").read_bytes())
    return {row["check"]: row for row in summary["rows"]}


WAYS = {
    "verify": (("verify",), "harness.cli.main"),
    "pytest": (("-q", "shop"), "pytest"),
    "run": (("run", "s.yaml"), "harness.cli.main"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_system_that_does_not_boot_is_fail_with_its_exit_code_and_last_words(made: Made, way: str) -> None:
    """In verify, plain pytest and run: exit 1, one row that names the service, the code and the log, and no secret; not BLOCKED."""
    folder = made({"web.py": BROKEN, "s.yaml": SCENARIO.replace("TO", "web").replace("NUMBER", "9")})
    arguments, module = WAYS[way]
    done = run(folder, *arguments, module=module)
    assert done.returncode == 1, done.stdout + done.stderr
    row = rows(folder)["the system comes up"]
    assert (row["verdict"], "web exited 1 × while starting, last with 23" in row["reason"]) == ("FAIL", True)
    assert "token [secret token]\nthe shelf is empty" in row["reason"]
    assert "the shelf is empty" in done.stdout + done.stderr
    assert "BLOCKED" not in {row["verdict"] for row in rows(folder).values()}


def test_up_fails_with_the_same_words_and_leaves_nothing(made: Made) -> None:
    """Exit 1, the log's last lines, no stack on record, no folder with secrets."""
    folder = made({"web.py": BROKEN})
    temporary = folder.parent / "tmp"
    temporary.mkdir()
    done = run(folder, "up", TMPDIR=str(temporary))
    assert done.returncode == 1
    assert "the system did not come up" in done.stderr
    assert "last with 23" in done.stderr
    assert "the shelf is empty" in done.stderr
    assert [path for path in temporary.glob("eh-*") if path.is_dir() and any(path.glob("secrets"))] == []
    assert run(folder, "status", TMPDIR=str(temporary)).returncode == 2


LACKING = {
    "a program": COMPOSE.replace('["$${PYTHON}", "$${PROJECT_ROOT}/web.py"', '["/opt/absent/engine"'),
    "a package": COMPOSE.replace('"$${PROJECT_ROOT}/web.py"', "-m, absent_wheel_of_nobody"),
}


@pytest.mark.parametrize("what", LACKING)
def test_what_the_machine_lacks_stays_blocked(made: Made, what: str) -> None:
    """An absent program or package: exit 3, from verify of a required layer and from up."""
    folder = made({"docker-compose.yml": LACKING[what]})
    assert run(folder, "verify").returncode == 3
    assert rows(folder)["the system comes up"]["verdict"] == "BLOCKED"
    assert "is not installed" in rows(folder)["the system comes up"]["reason"]
    assert run(folder, "up").returncode == 3


HARMED = {
    "supervisor killed": ("supervisor", "9", "supervisor", "died"),
    "supervisor stopped": ("supervisor", "19", "supervisor", "SIGSTOP"),
    "service killed": ("web", "9", "service.web", "killed by SIGKILL"),
    "service stopped": ("web", "19", "service.web", "its process is stopped"),
}


@pytest.mark.parametrize("case", HARMED)
def test_a_test_that_waits_for_a_lost_system_ends_with_the_cause(made: Made, case: str) -> None:
    """Within ten seconds of the fall: the waiting test fails, those that need the system are not run, the others are; FAIL."""
    to, number, row, cause = HARMED[case]
    folder = made({"shop/test_shop.py": WAITING.replace("TO", to).replace("NUMBER", number)})
    done = run(folder, "verify")
    assert done.returncode == 1, done.stdout + done.stderr
    found = {name.rpartition("::")[2]: row for name, row in rows(folder).items()}
    assert {name: found[name]["verdict"] for name in ("test_first", "test_waits", "test_needs_it", "test_needs_nothing", row)} == {
        "test_first": "PASS",
        "test_waits": "FAIL",
        "test_needs_it": "ABORTED",
        "test_needs_nothing": "PASS",
        row: "FAIL",
    }
    assert cause in found[row]["value"]
    assert "the system is gone" in found["test_waits"]["reason"]
    assert "shop" in found[row]["reason"]
    outcomes = [json.loads(line) for line in (folder / "reports" / "latest" / "journal.jsonl").read_text().splitlines()]
    (waited,) = [line["data"]["duration_s"] for line in outcomes if line["name"] == "test.outcome" and "test_waits" in line["data"]["node"]]
    assert waited < 10
    assert run(folder, "recheck", "reports/latest").returncode == 0


@pytest.mark.parametrize("case", HARMED)
def test_a_trial_ends_when_the_system_is_lost(made: Made, case: str) -> None:
    """``harness run``: the steps are told to stop, the trial is ABORTED with the cause, the run is FAIL, and no further trial begins."""
    to, number, row, cause = HARMED[case]
    folder = made({"s.yaml": SCENARIO.replace("TO", to).replace("NUMBER", number)})
    done = run(folder, "run", "s.yaml", "--repeat", "3")
    assert done.returncode == 1, done.stdout + done.stderr
    found = rows(folder)
    assert (found[row]["verdict"], cause in found[row]["value"]) == ("FAIL", True)
    assert found["harmed.trial_completed"]["verdict"] == "ABORTED"
    assert "harmed-2.trial_completed" not in found
    assert "in the trial harmed" in found[row]["reason"]


def test_a_supervisor_that_stands_still_at_the_end_is_noticed(made: Made) -> None:
    """The last test stops it: the run ends within its limits, says so, and leaves neither process nor secret."""
    stopping = "from harm import harm\ndef test_last(stack): harm(stack, 'supervisor', 19)\n"
    folder = made({"shop/test_shop.py": stopping})
    temporary = folder.parent / "tmp"
    temporary.mkdir()
    done = run(folder, "verify", TMPDIR=str(temporary))
    assert done.returncode == 1
    assert "SIGSTOP" in rows(folder)["supervisor"]["value"]
    assert list(temporary.glob("eh-*-*")) == []


def test_an_undisturbed_run_says_that_its_services_stayed(made: Made) -> None:
    """One row more, PASS."""
    folder = made({})
    assert run(folder, "verify").returncode == 0
    assert rows(folder)["services"]["value"] == "1 services watched, none ended"
