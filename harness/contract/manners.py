"""The driver ``api_manners``: on every operation, requests that must be refused, and how they are refused.

No key, a wrong key, a key that lacks the scope, a body that is no JSON; on every path a method it does not have; a path nobody has.
None of them may change anything: each is refused before it acts, or the check fails.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import httpx
import msgspec

from harness.contract.fuzzing import fetch_openapi
from harness.contract.openapi import Operation, operations, server_path
from harness.contract.problem import faults
from harness.contract.settings import ContractTable, contract_table, openapi_path
from harness.core import jsonio
from harness.core.text import outside
from harness.journal.events import OperationChecked
from harness.run.context import store_evidence
from harness.run.errors import UsageError
from harness.run.protocols import MetricSpec, StepContext

TIMEOUT_S = 10.0
WRONG_METHODS = ("PATCH", "PUT", "DELETE", "POST", "GET")
UNKNOWN_PATH = "/no-such-path-of-this-api"
BROKEN_JSON = b'{"a": '


class Manners(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A step without parameters: everything stands in [contract]."""


class MannersDriver:
    """Emits ``contract.operation`` with checks no_key, wrong_key, lacking_scope, no_json, wrong_method, unknown_path."""

    name: ClassVar[str] = "api_manners"
    parameters: ClassVar[type[msgspec.Struct]] = Manners
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: Manners) -> None:
        """Raises ``HarnessError`` for an unreadable document, ``httpx.TransportError`` when the system does not answer at all."""
        del parameters
        table = contract_table(context.configuration)
        document, location = fetch_openapi(context), openapi_path(context.configuration)
        found = operations(document, location)
        _check_names(table, found)
        with httpx.Client(base_url=context.target.base_url, timeout=TIMEOUT_S) as http:
            asker = _Asker(context, table, http, server_path(document, location) or "")
            for operation in found:
                if context.stop():
                    return
                asker.ask_operation(operation)
            asker.ask_paths(found)
            asker.store()


def _check_names(table: ContractTable, found: Sequence[Operation]) -> None:
    known = {operation.label for operation in found}
    for name in (*table.lesser_role_may, *table.exclude, *table.may_refuse):
        if name not in known:
            raise UsageError(
                f"the API has no operation {name!r}", file="harness.toml", place="[contract]", remedy=f"known: {', '.join(sorted(known))}"
            )


class _Asker:
    """Sends one request after the other and journals how each was refused."""

    def __init__(self, context: StepContext, table: ContractTable, http: httpx.Client, base_path: str) -> None:
        self._context, self._table, self._http, self._base_path = context, table, http, base_path
        self._secrets = [key for key in context.target.keys.values() if key]
        self._random = random.Random(context.seed)
        self._transcript: list[dict[str, Any]] = []

    def ask_operation(self, operation: Operation) -> None:
        """All checks that make sense for one operation; an open one must answer without a key."""
        if not operation.secured:
            self._open(operation)
            return
        body = b"{}" if operation.takes_json else b"x" if operation.body else None
        self._refused(operation, "no_key", (401,), body, key=None)
        self._refused(operation, "wrong_key", (401,), body, key=f"wrong-{self._random.getrandbits(128):032x}")
        if self._lacks(operation):
            self._refused(operation, "lacking_scope", (403,), body, key=self._key(self._table.lesser_role))
        if operation.takes_json:
            self._refused(operation, "no_json", self._table.invalid_status, BROKEN_JSON, key=self._key(self._table.role))

    def ask_paths(self, found: Sequence[Operation]) -> None:
        """A method that each path does not have, and a path that nobody has."""
        for path in dict.fromkeys(operation.path for operation in found):
            here = [operation for operation in found if operation.path == path]
            offered = {operation.method for operation in here}
            method = next((name for name in WRONG_METHODS if name not in offered), None)
            if method is not None:
                answer, problems = self._send(method, here[0].url_path, (405,), None, self._key(self._table.role))
                allowed = {name.strip() for name in answer.headers.get("allow", "").split(",")}
                problems += [f"Allow does not name {name}" for name in sorted(offered - allowed)]
                self._journal(f"{method} {path}", "wrong_method", problems)
        unknown = self._base_path + UNKNOWN_PATH
        _, problems = self._send("GET", unknown, (404,), None, self._key(self._table.role))
        self._journal(f"GET {unknown}", "unknown_path", problems)

    def store(self) -> None:
        """What was asked and answered, as evidence."""
        store_evidence(self._context, "api_manners", f"{self._context.step}.manners.json", jsonio.pretty(self._transcript))

    def _lacks(self, operation: Operation) -> bool:
        role = self._table.lesser_role
        documented = "403" in operation.statuses and operation.method != "GET"
        return bool(role) and documented and operation.label not in self._table.lesser_role_may

    def _open(self, operation: Operation) -> None:
        answer, problems = self._send(operation.method, operation.url_path, (), None, None, judge=False)
        problems += [f"status {answer.status_code} without a key, though the document asks for none"] * (answer.status_code in {401, 403})
        self._journal(operation.label, "open", problems)

    def _refused(self, operation: Operation, check: str, expected: Sequence[int], body: bytes | None, key: str | None) -> None:
        answer, problems = self._send(operation.method, operation.url_path, expected, body, key, kind=operation.body)
        if 401 in expected and not answer.headers.get("www-authenticate"):
            problems.append("no WWW-Authenticate")
        problems += _undocumented(operation, answer)
        self._journal(operation.label, check, problems)

    def _key(self, role: str) -> str | None:
        return self._context.target.keys.get(role) or None

    def _send(
        self, method: str, path: str, expected: Sequence[int], body: bytes | None, key: str | None, *, kind: str = "", judge: bool = True
    ) -> tuple[httpx.Response, list[str]]:
        header = self._table.request_id_header
        identity = {header: f"manners-{self._random.getrandbits(64):016x}"} if header else {}
        headers = {**identity, **({"Content-Type": kind} if kind else {}), **({self._context.target.key_header: key} if key else {})}
        answer = self._http.request(method, path, content=body, headers=headers)
        problems = faults(answer, expected, identity, self._secrets) if judge else []
        entry = {"request": f"{method} {path}", "key": bool(key), "status": answer.status_code, "headers": _headers(answer)}
        self._transcript.append({**entry, "body": self._hidden(outside(answer.text, 1000)), "faults": problems})
        return answer, problems

    def _hidden(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        return text

    def _journal(self, operation: str, check: str, problems: Sequence[str]) -> None:
        detail = outside("; ".join(problems))
        event = OperationChecked(
            trial=self._context.trial, operation=operation, check=check, cases=1, failures=len(problems), detail=self._hidden(detail)
        )
        self._context.journal.emit(event)


def _undocumented(operation: Operation, answer: httpx.Response) -> Iterator[str]:
    if not {str(answer.status_code), f"{answer.status_code // 100}XX", "default"} & operation.statuses:
        yield f"the document does not name the status {answer.status_code}"


def _headers(answer: httpx.Response) -> dict[str, str]:
    kept = ("content-type", "www-authenticate", "allow", "retry-after", "x-request-id")
    return {name: outside(value, 200) for name, value in answer.headers.items() if name.lower() in kept}
