"""The driver ``schemathesis``: the CLI in a subprocess, its report read into events."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from harness.contract.report import read_report
from harness.core.verdict import Verdict


def test_a_clean_service_passes_and_the_key_stays_out(service: Any, judge: Any) -> None:
    """Every operation got cases, the report is kept as evidence, and no file of the run holds the key."""
    judged = judge(service(), "schemathesis")
    assert judged.verdict is Verdict.PASS, (judged.result.detail, judged.rows)
    assert {row.check.split("fuzzing ")[-1] for row in judged.rows if "fuzzing " in row.check} == {
        "GET /health",
        "GET /notes",
        "POST /notes",
        "GET /notes/{id}",
    }
    report = gzip.decompress(next(judged.folder.rglob("act.ndjson.gz")).read_bytes())
    assert json.loads(report.splitlines()[0])["Initialize"]["seed"] >= 0
    judged.run.finish()
    for path in judged.folder.rglob("*"):
        assert not path.is_file() or b"writer-0123456789" not in path.read_bytes(), path
    assert not list(judged.folder.rglob("*.work"))


@pytest.mark.parametrize(
    ("old", "new", "operation", "said"),
    [
        ('{"id": len(NOTES) + 1,', '{"id": str(len(NOTES) + 1),', "POST /notes", "response_schema_conformance"),
        ('assert name == "text" and', "assert True or", "POST /notes", "negative_data_rejection"),
    ],
)
def test_a_seeded_defect_is_found(service: Any, judge: Any, old: str, new: str, operation: str, said: str) -> None:
    """Each defect turns the row of its operation red and names the check that found it."""
    judged = judge(service(old, new), "schemathesis")
    row = judged.row(operation)
    assert row.verdict is Verdict.FAIL
    assert said in row.reason


def test_what_is_left_out_is_shown_with_its_reason(service: Any, judge: Any) -> None:
    """An excluded operation is BLOCKED with the reason of harness.toml; the others are judged."""
    contract = {"role": "writer", "time_s": 20, "phases": ["coverage"], "exclude": {"POST /notes": "costs money"}}
    judged = judge(service(), "schemathesis", {"target": {"openapi": "/openapi.json"}, "contract": contract})
    assert judged.row("POST /notes").verdict is Verdict.BLOCKED
    assert "costs money" in judged.row("POST /notes").reason
    assert judged.row("GET /notes").verdict is Verdict.PASS


def test_no_document_is_an_error_of_the_trial(service: Any, judge: Any) -> None:
    """A target without a readable OpenAPI document makes the trial an ERROR that names the path."""
    judged = judge(service(), "schemathesis", {"target": {"openapi": "/nothing.json"}})
    assert judged.verdict is Verdict.ERROR
    assert "/nothing.json" in judged.result.detail


def test_a_torn_report_counts_what_is_whole() -> None:
    """The last line of a report may be torn; operations without cases are counted with none."""
    scenario = {
        "recorder": {
            "cases": {"a": {"value": {"method": "GET", "path": "/x"}}},
            "checks": {
                "a": [
                    {"name": "not_a_server_error", "status": "failure", "failure_info": {"failure": {"title": "T", "message": "m"}}},
                    {"name": "other", "status": "success"},
                ]
            },
            "interactions": {"a": {"response": {"status_code": 500}}},
        }
    }
    lines = [json.dumps({"Initialize": {"seed": 5}}).encode(), json.dumps({"ScenarioFinished": scenario}).encode(), b'{"EngineFin']
    report = read_report(lines, ["GET /x", "GET /y"])
    assert (report.seed, report.finished) == (5, False)
    assert report.operations["GET /y"].cases == 0
    assert report.operations["GET /x"].text() == "not_a_server_error x1: T: m (status 500)"
