"""``allure-results/``: one result a row in Allure's own form, so that nobody is locked in.

Where a pytest session with allure-pytest has written results into this run folder already, they are left as they are.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.core import jsonio
from harness.core.text import clean, one_line
from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.journal.summary import Row, Summary
from harness.report.folder import RunFolder
from harness.report.tests import ends_by_row, parent_and_name, tests_by_row

FOLDER = "allure-results"
NAMESPACE = uuid.UUID("2b1d43c6-6f0f-5d0e-9a64-6f4d8f3f7c11")
STATUS = {
    Verdict.PASS: "passed",
    Verdict.FAIL: "failed",
    Verdict.ERROR: "broken",
    Verdict.ABORTED: "broken",
    Verdict.INCONCLUSIVE: "unknown",
    Verdict.VACUOUS: "unknown",
    Verdict.BLOCKED: "skipped",
}


def publish_allure(folder: Path, summary: Summary) -> None:
    """Write the results unless a plugin has written its own."""
    target = folder / FOLDER
    if any(target.glob("*-result.json")):
        return
    target.mkdir(exist_ok=True)
    run = RunFolder(folder)
    tests = tests_by_row(run)
    ends = {check: _milliseconds(wall) for check, wall in ends_by_row(run)}
    for row in summary.rows:
        result = _result(summary, row, tests, ends.get(row.check) or _milliseconds(summary.started))
        (target / f"{result['uuid']}-result.json").write_bytes(jsonio.canonical(result))
    (target / "environment.properties").write_text(_environment(summary), encoding="utf-8")
    categories = [
        {"name": f"{verdict}: proves nothing", "messageRegex": f"{verdict}.*"} for verdict in ("INCONCLUSIVE", "VACUOUS", "BLOCKED")
    ]
    (target / "categories.json").write_bytes(jsonio.pretty(categories))


def _milliseconds(wall: str) -> int:
    try:
        return int(datetime.fromisoformat(wall).timestamp() * 1000)
    except ValueError:
        return 0


def _result(summary: Summary, row: Row, tests: Mapping[str, TestOutcome], stop_ms: int) -> dict[str, Any]:
    check = clean(row.check)
    parent, name = (clean(part) for part in parent_and_name(row.check, tests))
    took_s = tests[row.check].duration_s if row.check in tests else 0.0
    labels = [("framework", "evidence-harness"), ("language", "python"), ("layer", row.layer or "run"), ("parentSuite", row.layer or "run")]
    labels += [("suite", row.trial or parent or "run")]
    labels += [("requirement", name) for name in row.requirements] + [("tag", name) for name in row.requirements]
    parameters = [("value", row.value), ("limit", row.limit), ("seed", str(summary.seed))]
    return {
        "uuid": str(uuid.uuid5(NAMESPACE, f"{summary.run}\n{row.check}")),
        "historyId": hashlib.sha256(row.check.encode()).hexdigest()[:32],
        "name": name or check,
        "fullName": check,
        "status": STATUS[row.verdict],
        "statusDetails": {"message": one_line(f"{row.verdict} {row.reason}", 500), "trace": clean(row.reason)},
        "stage": "finished",
        "start": stop_ms - round(took_s * 1000),
        "stop": stop_ms,
        "labels": [{"name": name, "value": clean(value)} for name, value in labels],
        "links": [
            {"type": "requirement", "name": clean(name), "url": f"../report.html#requirement-{clean(name)}"} for name in row.requirements
        ],
        "parameters": [{"name": name, "value": clean(value)} for name, value in parameters if value],
    }


def _environment(summary: Summary) -> str:
    facts = {"run": summary.run, "profile": summary.profile, "mode": summary.mode, "verdict": summary.coverage, **summary.environment}
    return "".join(f"{_key(name)}={one_line(str(value))}\n" for name, value in facts.items())


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in clean(name))
