"""The driver ``api_manners`` and its checker, against the example service as it is and with seeded defects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.core.verdict import Verdict

DEFECTS = [
    ("no_key", "if role is None:", 'if role is None and self.command != "GET":', "GET /notes"),
    ("wrong_key", 'ROLES.get(self.headers.get("X-API-Key", ""))', '(self.headers.get("X-API-Key") and "writer")', "status"),
    ("lacking_scope", 'if role == "writer" else', "if role else", "where 403 belongs"),
    ("no_json", "return self.problem(400, 'send", "return self.problem(404, 'send", "where 400 belongs"),
    ("wrong_method", "Allow=", "Allowed=", "Allow does not name"),
    ("unknown_path", 'return self.problem(404, "there is nothing', 'return self.send(404, "there is nothing', "content type"),
    ("no_key", "WWW_Authenticate=", "Other=", "no WWW-Authenticate"),
    ("no_key", '"status": status, "detail"', '"status": 400, "detail"', "differs from the status"),
    ("no_key", '"X-Request-ID": self.request_id', '"X-Request-ID": "1"', "was not echoed"),
    ("no_key", '"send a key in the header X-API-Key"', 'f"known keys: {list(ROLES)}"', "shows a key"),
    ("no_key", '"send a key in the header X-API-Key"', '"Traceback (most recent call last): …"', "stack trace"),
    ("open", 'if path != "/health" else "anybody"', "", "the document asks for none"),
]


def test_a_well_mannered_service_passes(service: Callable[..., str], judge: Callable[..., Any]) -> None:
    """Every kind of refusal was tried on every operation it makes sense for, and all are right."""
    judged = judge(service(), "api_manners")
    assert judged.verdict is Verdict.PASS, judged.rows
    assert judged.row("no_key").value == "3 of 3 right"
    assert judged.row("lacking_scope").value == "1 of 1 right"
    assert judged.row("wrong_method").value == "3 of 3 right"


@pytest.mark.parametrize(("kind", "old", "new", "said"), DEFECTS)
def test_a_seeded_defect_is_found(service: Any, judge: Any, kind: str, old: str, new: str, said: str) -> None:
    """Each defect turns its own row red, and the row says what is wrong."""
    judged = judge(service(old, new), "api_manners")
    assert judged.verdict is Verdict.FAIL
    row = judged.row(kind)
    assert row.verdict is Verdict.FAIL
    assert said in row.reason
    assert "reader-0123" not in row.reason


def test_keys_never_reach_the_run_folder(service: Any, judge: Any) -> None:
    """No key stands in the journal or the evidence, also when the service leaks it."""
    judged = judge(service('"send a key in the header X-API-Key"', 'f"known keys: {list(ROLES)}"'), "api_manners")
    judged.run.finish()
    for path in judged.folder.rglob("*"):
        assert not path.is_file() or b"writer-0123456789" not in path.read_bytes(), path


def test_a_kind_that_was_never_tried_is_vacuous(service: Any, judge: Any) -> None:
    """Without a lesser role nobody tried a missing scope: that row is VACUOUS, not PASS."""
    configuration = {"target": {"openapi": "/openapi.json"}, "contract": {"role": "writer"}}
    assert judge(service(), "api_manners", configuration).row("lacking_scope").verdict is Verdict.VACUOUS


def test_a_wrong_contract_table_names_the_key(service: Any, judge: Any) -> None:
    """A misspelt key, or an operation that the API does not have, is an error with its place."""
    wrong = {"target": {"openapi": "/openapi.json"}, "contract": {"rol": "writer"}}
    assert "[contract]" in judge(service(), "api_manners", wrong).result.detail
    unknown = {"target": {"openapi": "/openapi.json"}, "contract": {"exclude": {"GET /nots": "typo"}}}
    assert "GET /notes" in judge(service(), "api_manners", unknown).result.detail
