"""Runs the pytest selection of one acceptance task and ends with one line: VERDICT: task: reason. Called by scripts/acceptance/*.sh.

Every test of the selection is a criterion; all are required, so one BLOCKED criterion blocks the task.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from harness.core.errors import Blocked
from harness.core.text import clean, one_line
from harness.core.verdict import EXIT_INTERRUPTED, EXIT_USAGE, Verdict, merge

PROJECT = Path(__file__).resolve().parent.parent
LIMIT_S = 870  # a task has 15 minutes; half a minute is kept for stopping what it started

# Script name: title. The phase is the row: 101–103, 104–106, …
TASKS = {
    "101_knowledge_graph": "Knowledge Graph Construction",
    "102_recommendation_engine": "Recommendation Engine",
    "103_fraud_detection": "Fraud Detection",
    "104_crash_recovery": "Consolidation Crash Recovery",
    "105_resource_exhaustion": "Resource Exhaustion Handling",
    "106_network_partition": "Network Partition Resilience",
    "107_backup_restore": "Backup and Restore Workflows",
    "108_monitoring_validation": "Monitoring and Alerting Validation",
    "109_troubleshooting_runbooks": "Performance Troubleshooting Runbooks",
    "110_latency_budgets": "Latency Budget Testing",
    "111_capacity_planning": "Throughput Capacity Planning",
    "112_competitive_benchmarks": "Competitive Benchmark Validation",
    "113_zero_downtime_migration": "Zero-Downtime Migration",
    "114_api_versioning": "API Versioning and Deprecation",
    "115_client_integration": "Client Library Integration",
}
Report = pytest.TestReport
SIGNS = {Verdict.PASS: "✓", Verdict.BLOCKED: "–"}


@dataclasses.dataclass(slots=True)
class Criterion:
    """One test: what it states, and what became of it."""

    text: str
    verdict: Verdict = Verdict.PASS
    reason: str = ""

    def worse(self, verdict: Verdict, reason: str) -> None:
        if verdict.badness < self.verdict.badness:
            self.verdict, self.reason = verdict, one_line(reason, 400)


class Criteria:
    """A pytest plugin that collects the criteria and shows each as it ends."""

    def __init__(self) -> None:
        self.found: dict[str, Criterion] = {}
        self.broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            print(report.longreprtext, file=sys.stderr)
            self.broken.append(one_line(f"{report.nodeid} cannot be collected: {report.longreprtext.strip().splitlines()[-1]}", 400))

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        sentence = ((getattr(item, "function", None) or item).__doc__ or item.name).strip().splitlines()[0]
        criterion = self.found.setdefault(item.nodeid, Criterion(clean(sentence)))
        if call.excinfo is not None:
            verdict, reason = judged(call.excinfo.value, call.when)
            criterion.worse(verdict, reason)
            if verdict is not Verdict.BLOCKED:
                print(clean(str(call.excinfo.getrepr(style="short"))), file=sys.stderr)
        if call.when == "teardown":
            tail = f"  {criterion.verdict}: {criterion.reason}" if criterion.verdict is not Verdict.PASS else ""
            print(f"  {SIGNS.get(criterion.verdict, '✗')} {criterion.text}{tail}", flush=True)
        return report


def judged(error: BaseException, when: str) -> tuple[Verdict, str]:
    """What an exception says of its criterion; a skipped test is BLOCKED, never passed."""
    verdict = getattr(error, "verdict", None)
    if isinstance(error, Blocked | pytest.skip.Exception):
        return Verdict.BLOCKED, str(error)
    if isinstance(verdict, Verdict):
        return verdict, str(error)
    if isinstance(error, AssertionError | pytest.fail.Exception) and when == "call":
        return Verdict.FAIL, str(error) or "assertion failed"
    return Verdict.ERROR, f"{type(error).__name__}: {error}"


def run(path: Path) -> tuple[Verdict, str]:
    """Run one file; the merged verdict and its reason."""
    criteria = Criteria()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # only what a task needs: other plugins cost more than a blocked task
    wanted = ["pytest_timeout", "harness.plugin.hooks", "no:terminal", "no:cacheprovider"]
    options = [*(part for name in wanted for part in ("-p", name)), "-o", "addopts=", "-c", str(PROJECT / "pytest.ini")]
    options += ["--import-mode=importlib", f"--rootdir={PROJECT}", f"--timeout={LIMIT_S}"]
    code = pytest.main([*options, str(path)], plugins=[criteria])
    if code == pytest.ExitCode.INTERRUPTED and not criteria.broken:
        raise KeyboardInterrupt
    return verdict_of(list(criteria.found.values()), criteria.broken, int(code))


def verdict_of(found: list[Criterion], broken: list[str], code: int) -> tuple[Verdict, str]:
    """All criteria are required; a file that cannot be collected is an ERROR, an empty one VACUOUS."""
    if broken:
        return Verdict.ERROR, broken[0]
    if not found:
        bad = code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}
        return (Verdict.ERROR, f"pytest ended with code {code}") if bad else (Verdict.VACUOUS, "no criterion was checked")
    verdict = merge(item.verdict for item in found)
    held = sum(item.verdict is Verdict.PASS for item in found)
    if verdict is Verdict.PASS:
        return verdict, f"all {len(found)} criteria met"
    reason = next(item.reason for item in found if item.verdict is verdict)
    return verdict, reason if len(found) == 1 else f"{reason} ({held} of {len(found)} criteria met)"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="scripts/acceptance/<task>.sh", description="Run one acceptance task.", epilog=__doc__)
    parser.add_argument("task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--suite", type=Path, default=PROJECT / "suites" / "acceptance", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    title = f"{given.task[:3]} {TASKS[given.task]}"
    path = given.suite / f"test_{given.task}.py"
    if not path.is_file():
        print(f"ERROR: {title}: {path.name} is missing; restore it from the repository")
        return EXIT_USAGE if given.suite != PROJECT / "suites" / "acceptance" else Verdict.ERROR.exit_code
    print(title, flush=True)
    began = time.monotonic()
    try:
        verdict, reason = run(path)
    except KeyboardInterrupt:
        print(f"ABORTED: {title}: interrupted", flush=True)
        return EXIT_INTERRUPTED
    print(f"  took {time.monotonic() - began:.1f} s, exit code {verdict.exit_code}")
    print(f"{verdict}: {title}: {reason}", flush=True)
    return verdict.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
