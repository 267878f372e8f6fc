"""The example service as a subprocess, as it is or with a seeded defect; trials against it in a run of their own."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.contract.checks import MannersChecker, OperationsChecker
from harness.contract.fuzzing import SchemathesisDriver
from harness.contract.manners import MannersDriver
from harness.core.verdict import Verdict
from harness.run.judge import judge_trial
from harness.run.protocols import CheckRow, Target
from harness.run.registry import Registry
from harness.run.run import Run
from harness.run.trial import TrialResult, run_trial
from harness.scenario.catalogue import Reference
from harness.scenario.loader import parse_scenario

SERVICE = Path(__file__).resolve().parents[3] / "examples" / "foreign" / "service.py"
KEYS = {"reader": "reader-0123456789abcdef0123", "writer": "writer-0123456789abcdef0123"}
CONTRACT: Mapping[str, Any] = {
    "target": {"openapi": "/openapi.json"},
    "contract": {"role": "writer", "lesser_role": "reader", "time_s": 8, "max_examples": 10, "phases": ["coverage", "fuzzing"]},
}
WINGS: dict[Reference, type[Any]] = {
    Reference("driver", "schemathesis"): SchemathesisDriver,
    Reference("driver", "api_manners"): MannersDriver,
    Reference("checker", "contract_operations"): OperationsChecker,
    Reference("checker", "contract_manners"): MannersChecker,
}


@dataclasses.dataclass(frozen=True)
class Judged:
    result: TrialResult
    rows: tuple[CheckRow, ...]
    verdict: Verdict
    folder: Path
    run: Run

    def row(self, name: str) -> CheckRow:
        return next(row for row in self.rows if row.check.endswith(name))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """``service(old, new)`` starts the example with one text replaced: a seeded defect."""
    started: list[subprocess.Popen[bytes]] = []

    def start(old: str = "", new: str = "") -> str:
        text = SERVICE.read_text(encoding="utf-8")
        assert old in text
        program = tmp_path / "service.py"
        program.write_text(text.replace(old, new) if old else text, encoding="utf-8")
        for role, key in KEYS.items():
            (tmp_path / f"key_{role}").write_text(key, encoding="utf-8")
        port = _free_port()
        started.append(subprocess.Popen([sys.executable, str(program), str(port), str(tmp_path), str(tmp_path)]))
        base_url = f"http://127.0.0.1:{port}"
        _await(base_url + "/health", time.monotonic() + 10)
        return base_url

    yield start
    for process in started:
        os.kill(process.pid, signal.SIGKILL)
        process.wait(5)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(url: str, deadline: float) -> None:
    while True:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return  # it answers: that is all that was waited for
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # a poll with a deadline


@pytest.fixture
def judge(tmp_path: Path) -> Iterator[Callable[..., Judged]]:
    """Run one driver of the contract wing as a trial against an address and judge it from the run folder."""
    runs: list[Run] = []

    def execute(base_url: str, driver: str, configuration: Mapping[str, Any] = CONTRACT) -> Judged:
        registry = Registry.built_in().added(WINGS)
        checker = {"schemathesis": "contract_operations", "api_manners": "contract_manners"}[driver]
        head = "name: api\ntitle: The contract\nlayer: contract\n"
        text = f"{head}timeline: [{{step: act, driver: {driver}}}]\nchecks: [{{checker: {checker}}}]\n"
        run = Run(tmp_path / "reports", registry=registry, project=tmp_path, seed=11)
        runs.append(run)
        run.configuration = configuration
        run.attach(Target(base_url, KEYS))
        result = run_trial(run, parse_scenario(text.encode(), "api.yaml", registry))
        rows, verdict = judge_trial(run.folder, registry, result.trial)
        return Judged(result, rows, verdict, run.folder, run)

    yield execute
    for run in runs:
        run.finish()
