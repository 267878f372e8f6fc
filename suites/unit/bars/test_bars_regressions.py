"""Defects that the bars found in the platform and the command line, each kept from coming back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.cli.verify import check_topology
from harness.core.errors import UsageError
from harness.run.project import load_project
from system.evidence import intake, steps
from system.evidence.extraction.numbers import parse_number
from system.platform.errors import BadInput
from system.platform.ports import OutboxEvent

PROJECT = Path(__file__).resolve().parents[3]


class Ports:
    """Records, objects and search of one submission or document; notes what is written."""

    def __init__(self, payload: bytes = b"", state: str = "failed") -> None:
        self.written: list[Any] = []
        self.state = state
        submission = SimpleNamespace(source="ctgov", raw_object="raw/x", job_id="job")
        self.objects = SimpleNamespace(get=lambda _name: payload, put=lambda _name, _content: None, exists=lambda _name: True)
        self.search = SimpleNamespace(delete_document=lambda doc_id: self.written.append(("index", doc_id)))
        self.records = SimpleNamespace(
            submission=lambda _id: submission,
            consumed=lambda _event, _id: False,
            create_documents=lambda _id, rows, events, _event: self.written.append((rows, events)),
            ledger_row=lambda doc_id: SimpleNamespace(doc_id=doc_id, state=self.state, superseded_by=None),
            put_chunks=lambda doc_id, chunks: self.written.append(("chunks", doc_id, chunks)),
        )


EVENT = OutboxEvent("e", "submission.received", "sub", {"submission_id": "sub"})


@pytest.mark.parametrize("payload", [b'{"protocolSection": {"identif', b"%PDF", b" ", b"\x1f\x8bdamaged"])
def test_a_payload_that_cannot_be_used_at_all_ends_its_job(payload: bytes) -> None:
    """It becomes one failed document with error, place and remedy; before, its job stayed accepted for ever."""
    ports = Ports(payload)
    assert intake.split_submission(EVENT, ports) is steps.Outcome.DONE  # type: ignore[arg-type]
    ((rows, events),) = ports.written
    assert events == []
    (row,) = rows
    assert row.states == ("pending", "fetching", "failed")
    assert all(row.reason[name] for name in ("error", "place", "remedy"))


def test_a_failed_document_answers_no_question() -> None:
    """Its index rows and chunks are withdrawn; those of any other document stay."""
    failed, living = Ports(), Ports(state="completed")
    steps.withdraw("doc", failed)  # type: ignore[arg-type]
    steps.withdraw("doc", living)  # type: ignore[arg-type]
    assert failed.written == [("index", "doc"), ("chunks", "doc", ())]
    assert living.written == []


def test_a_number_no_measurement_has_is_bad_input() -> None:
    """Four hundred digits fail the document with a reason instead of an unexpected error."""
    with pytest.raises(BadInput) as caught:
        parse_number("9" * 400)
    assert caught.value.remedy
    assert parse_number("−1.5") == -1.5


def test_a_profile_nobody_knows_is_wrong_usage() -> None:
    """A misspelt profile names the nearest one; before, the layers that need no system passed without it."""
    with pytest.raises(UsageError, match="embedded"):
        check_topology(load_project(), "embeded")


def test_a_run_whose_system_never_came_up_is_blocked(tmp_path: Path) -> None:
    """Tests that need no system cannot make it PASS; before, one of eleven did."""
    command = [sys.executable, "-m", "harness.cli.main", "verify", "--profile", "k8s", "--only", "shacl", "--reports", str(tmp_path)]
    assert subprocess.run(command, cwd=PROJECT, capture_output=True, timeout=100, check=False).returncode == 3
