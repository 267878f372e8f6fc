"""The gate's loop with a scripted machine, commands that write sample files, and two real servers of which one is slower."""

from __future__ import annotations

import dataclasses
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.cli import main as cli
from harness.core.errors import HarnessError, UsageError
from harness.load.compare.control import timed_work
from harness.load.compare.gate import GateError, GatePlan, Machine, run_gate
from harness.load.compare.measure import Addresses, Commands, command_line
from harness.load.compare.recording import Recording
from harness.load.compare.result import Answer, GateResult
from harness.load.compare.sequential import Question

PLAN = GatePlan(("old", "new"), Question("p50", "s", 0.05))


class Scripted:
    """A machine whose clock moves 10 s a measurement; B takes ``change`` longer, the control ``moved`` longer in front of B."""

    def __init__(self, change: float = 0.0, *, moved: float = 0.0, noise: float = 0.01, doubt: str = "", requests: int = 100) -> None:
        self.change, self.moved, self.noise, self.doubt, self.requests = change, moved, noise, doubt, requests
        self.random = np.random.default_rng(1)
        self.now, self.slots, self.controls, self.said = 0.0, [], 0, []

    def measure(self, side: str, slot: str, left_s: float) -> Recording:
        assert left_s > 0
        self.now += 10
        self.slots.append(slot)
        value = 0.05 * (1 + self.change * (side == "B")) * float(np.exp(self.random.normal(0, self.noise)))
        return Recording("scripted", np.full(self.requests, value), doubt=self.doubt)

    def control(self) -> float:
        order = "AB" if (self.controls // 2) % 2 == 0 else "BA"
        side = order[self.controls % 2]
        self.controls += 1
        return 0.02 * (1 + self.moved * (side == "B")) * float(np.exp(self.random.normal(0, 0.003)))

    def gate(self, plan: GatePlan = PLAN) -> GateResult:
        return run_gate(plan, Machine(self.measure, self.control, lambda: self.now, self.said.append))


def test_sides_alternate_after_a_warm_up_until_it_is_decided() -> None:
    """Warm-up A B, then A B, B A, A B, …; the loop ends with the answer and says each round."""
    machine = Scripted(0.2)
    result = machine.gate()
    assert result.decision.answer is Answer.REGRESSED
    assert machine.slots[:8] == ["r00-A", "r00-B", "r01-A", "r01-B", "r02-B", "r02-A", "r03-A", "r03-B"]
    assert len(machine.slots) == 2 + 2 * result.decision.rounds
    assert machine.said[-1].endswith("regressed")
    assert Scripted(0.0).gate().decision.answer is Answer.NOT_REGRESSED


def test_the_gate_answers_within_its_time() -> None:
    """Fifteen minutes hold all rounds of 10 s; two minutes do not: cannot tell, how many more, and that the time is up."""
    machine = Scripted(0.02, noise=0.05)
    assert machine.gate().duration_s <= 900
    short = Scripted(0.02, noise=0.05)
    result = short.gate(GatePlan(PLAN.names, PLAN.question, limit_s=120))
    assert result.duration_s <= 120
    assert result.decision.answer is Answer.CANNOT_TELL
    assert "the time is up" in result.decision.cause


def test_a_moving_control_leaves_the_gate_without_an_answer() -> None:
    """All twelve rounds are tried, then the cause is the control."""
    result = Scripted(0.2, moved=0.2).gate()
    assert result.decision.answer is Answer.CANNOT_TELL
    assert result.decision.rounds == 12
    assert "control moved" in result.decision.cause


def test_a_delayed_generator_leaves_the_gate_without_an_answer() -> None:
    """Measurements whose canary was out of band are not believed."""
    result = Scripted(0.2, doubt="the canary's p95 error is 9 ms").gate()
    assert result.decision.answer is Answer.CANNOT_TELL
    assert "canary" in result.decision.cause


def test_too_few_requests_for_the_metric_are_an_error_with_the_place() -> None:
    """p99 of ten requests does not exist."""
    with pytest.raises(GateError, match=r"round 0, side A: 10 requests give no p99"):
        Scripted(requests=10).gate(GatePlan(("a", "b"), Question("p99", "s", 0.05)))


def test_the_control_takes_the_middle_of_its_repeats() -> None:
    """Nine timings, the median, in seconds."""
    ticks = itertools.accumulate(itertools.chain.from_iterable((0, number * 1_000_000) for number in range(1, 10)))
    clock = iter(list(ticks))
    assert timed_work(lambda: next(clock), lambda: None) == pytest.approx(0.005)


TOOL = """
import random, sys
r = random.Random(sys.argv[3])
open(sys.argv[1], "w").write("\\n".join(str(float(sys.argv[2]) * r.uniform(.98, 1.02)) for _ in range(200)))
"""


@pytest.fixture
def tool(tmp_path: Path) -> Callable[[float], str]:
    """``tool(10)``: the command of a tool that writes 200 latencies around 10 ms."""
    (tmp_path / "tool.py").write_text(TOOL)
    return lambda value: f"{{python}} '{tmp_path / 'tool.py'}' {{out}} {value} {{round}}"


def test_any_command_that_writes_samples_can_be_judged(
    tool: Callable[[float], str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """--command-a and --command-b through the command line: exit 1 for 10 % more, 0 for the same; --json and --keep."""
    common = ["--metric", "p50", "--control", tool(5), "--no-warmup", "--unit", "ms", "--seed", "1"]
    kept = tmp_path / "kept"
    assert cli.main(["gate", "--command-a", tool(10), "--command-b", tool(11), "--json", "--keep", str(kept), *common]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["decision"]["answer"] == "regressed"
    assert data["decision"]["change"]["estimate"] == pytest.approx(0.1, abs=0.02)
    assert (kept / "r01-A").is_file()
    assert cli.main(["gate", "--command-a", tool(10), "--command-b", tool(10), "--competitive", *common]) == 0
    assert "not regressed" in capsys.readouterr().out


def test_commands_that_fail_or_write_nothing_are_errors(tmp_path: Path) -> None:
    """The exit code and the last words; a missing sample file; a command without {out}; a program that is not there."""
    folder = tmp_path / "work"
    folder.mkdir()
    failing = Commands("{python} -c 'raise SystemExit(\"no such index\")' {out}", "", folder)
    with pytest.raises(HarnessError, match="exited 1: no such index"):
        failing("A", "r01-A", 10.0)
    with pytest.raises(HarnessError, match="wrote no samples"):
        Commands("{python} -c pass {out}", "", folder)("A", "r02-A", 10.0)
    with pytest.raises(HarnessError, match="not done in the"):
        Commands("{python} -c 'import time;time.sleep(30)' {out}", "", folder)("A", "r03-A", 0.1)
    with pytest.raises(UsageError, match=r"no \{out\}"):
        command_line("ls", folder, "r01-A")
    with pytest.raises(UsageError, match="no program"):
        command_line("no-such-program {out}", folder, "r01-A")
    assert command_line("{python} x {out} {round}", folder, "r07-B") == [sys.executable, "x", str(folder), "07"]


@pytest.mark.parametrize(
    "given",
    [
        [],
        ["--command-a", "x {out}"],
        ["--command-a", "x {out}", "--url-b", "http://127.0.0.1:1"],
        ["--url-a", "http://127.0.0.1:1", "--url-b", "http://127.0.0.1:1"],
        ["--command-a", "x {out}", "--command-b", "y {out}", "--limit", "20 min"],
        ["--command-a", "x {out}", "--command-b", "y {out}", "--rounds", "5"],
        ["--command-a", "x {out}", "--command-b", "y {out}", "--gate", "0"],
    ],
)
def test_unclear_sides_and_bounds_are_refused(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 with a remedy, and nothing is started."""
    assert cli.main(["gate", *given]) == 2
    assert capsys.readouterr().err.startswith("harness: ")


def test_addresses_are_loaded_open_loop_and_recorded_from_the_intended_start(server: Callable[..., Any], tmp_path: Path) -> None:
    """One measurement through the engine: every planned request of the steady phase is in it, and none is faster than the server."""
    running = server()
    address = f"http://127.0.0.1:{running.port}"
    measure = Addresses(
        address,
        address,
        tmp_path,
        tmp_path,
        configuration={"requests": {"gate": {"op": "gate", "path": "/", "method": "GET"}}},
        load={"rate": "50 /s", "duration": "1 s", "warmup": "200 ms", "requests": "gate"},
        keys={},
    )
    recording = measure("B", "r01-B", 60.0)
    assert (recording.requests, recording.failed) == (50, 0)
    assert recording.values_s.min() >= 0.0199
    with pytest.raises(UsageError):
        dataclasses.replace(measure, load={"rate": "50 apples", "duration": "1 s", "requests": "gate"})("A", "r02-A", 60.0)
