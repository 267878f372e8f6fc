"""A requirement is verified only by executed evidence whose check a seeded defect has turned red."""

from __future__ import annotations

import json

import pytest

from harness.core.errors import UsageError
from harness.core.verdict import Verdict
from harness.journal.requirements import Status, decode_matrix
from harness.journal.summary import Row
from harness.traceability.matrix import build_matrix
from harness.traceability.publish import matrix_publisher
from harness.traceability.registry import Requirement, Requirements

DETECTED = {"trial.check": ["drop-write"], "suites/e2e/": ["off-by-one"]}


def register(evidence: str = "executed") -> Requirements:
    return Requirements("r.tsv", {name: Requirement(name, "g", f"text of {name}", "< 1 s", evidence) for name in ("A-1", "A-2")})


def carried(check: str = "trial.check", verdict: Verdict = Verdict.PASS, *ids: str) -> Row:
    return Row(
        check=check, layer="l", trial="", verdict=verdict, value="", limit="", reason="why", requirements=ids or ("A-1",), optional=True
    )


@pytest.fixture
def judged(tmp_path):
    """Judges rows with the detections above; gives the row of A-1."""
    path = tmp_path / "detections.json"
    path.write_text(json.dumps({"checks": DETECTED, "summary": {"found": 2}}))

    def judge(*rows: Row, evidence: str = "executed"):
        return build_matrix(register(evidence), rows, path).matrix.rows[0]

    return judge


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], Status.UNTESTED),
        ([Verdict.PASS], Status.VERIFIED),
        ([Verdict.PASS, Verdict.FAIL], Status.FAILING),
        ([Verdict.ERROR], Status.FAILING),
        ([Verdict.ABORTED, Verdict.PASS], Status.FAILING),
        ([Verdict.INCONCLUSIVE, Verdict.PASS], Status.VACUOUS),
        ([Verdict.VACUOUS], Status.VACUOUS),
        ([Verdict.PASS, Verdict.BLOCKED], Status.BLOCKED),
        ([Verdict.FAIL, Verdict.BLOCKED], Status.FAILING),
    ],
)
def test_the_worst_row_decides(judged, verdicts, status):
    """Verified needs every row that carries the id to pass."""
    found = judged(*(carried("trial.check", verdict) for verdict in verdicts))
    assert found.status is status
    assert bool(found.note) == (status not in {Status.VERIFIED, Status.UNTESTED})


@pytest.mark.parametrize("evidence", ["static", "document", "not here"])
def test_evidence_that_was_not_executed_never_verifies(judged, evidence):
    """A passing static check or document is shown as unproven, with its kind."""
    found = judged(carried(), evidence=evidence)
    assert found.status is Status.UNPROVEN
    assert evidence in found.note


def test_scaled_evidence_verifies(judged):
    """Scaled evidence counts, and is shown as such."""
    assert judged(carried(), evidence="scaled").status is Status.VERIFIED


@pytest.mark.parametrize(
    ("check", "defects"),
    [
        ("trial.check", ("drop-write",)),
        ("trial.check.part", ("drop-write",)),
        ("trial.checker", ()),
        ("suites/e2e/test_x.py::test_y[1]", ("off-by-one",)),
        ("other", ()),
    ],
)
def test_a_defect_counts_for_the_check_it_turned_red(judged, check, defects):
    """Keys are ids or beginnings of ids that end at a word's end; without a defect the requirement is unproven."""
    found = judged(carried(check))
    assert found.defects == defects
    assert found.status is (Status.VERIFIED if defects else Status.UNPROVEN)
    assert found.note == ("" if defects else "passing, no seeded defect yet")


def test_rows_with_unknown_ids_are_refused():
    """A row that carries an id nobody registered is an error that names both."""
    with pytest.raises(UsageError, match=r"r\.tsv: row trial\.check names the unknown requirement 'A-9'"):
        build_matrix(register(), [carried("trial.check", Verdict.PASS, "A-9")])


@pytest.mark.parametrize("content", ["", "[]", '{"a": "b"}', '{"checks": {"a": [1]}}'])
def test_a_broken_detections_file_is_refused(tmp_path, content):
    """It is written by the bar of the defects and by nothing else."""
    path = tmp_path / "detections.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="make bars"):
        build_matrix(register(), [], path)


def test_lines_count_by_evidence_and_list_ids(judged):
    """The terminal shows the counts, the touched ids, and the untested ones when asked."""
    matrix = build_matrix(register(), [carried("x", Verdict.FAIL)])
    lines = matrix.lines()
    assert lines[0].split() == ["evidence", "verified", "unproven", "failing", "vacuous", "blocked", "untested", "all"]
    assert lines[1].split() == ["executed", "0", "0", "1", "0", "0", "1", "2"]
    assert any("A-1" in line and "why" in line for line in lines)
    assert not any("A-2" in line for line in lines)
    assert any("A-2" in line for line in matrix.lines(everything=True))
    assert matrix.as_json()["counts"]["failing"] == 1


def test_the_matrix_is_written_into_the_run_folder(tmp_path):
    """The publisher leaves requirements.json for the page, and nothing where the project has no register."""
    path = tmp_path / "r.tsv"
    path.write_text("id\tgroup\ttext\tthreshold\tevidence\nA-1\tg\tt\t\texecuted\n")

    class Summary:
        rows = (carried(),)

    matrix_publisher(path)(tmp_path, Summary())
    assert decode_matrix((tmp_path / "requirements.json").read_bytes()).rows[0].status is Status.UNPROVEN
    (tmp_path / "requirements.json").unlink()
    matrix_publisher(tmp_path / "none.tsv")(tmp_path, Summary())
    assert not (tmp_path / "requirements.json").exists()
