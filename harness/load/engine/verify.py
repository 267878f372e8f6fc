"""Requests ready to be sent, and what their answers must be: status, length, and where asked for the body itself."""

from __future__ import annotations

import binascii
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.core.errors import UsageError
from harness.journal.segments import OUTCOMES
from harness.load.requests import ID_DIGITS, ID_LENGTH, ID_STEP, Expected, PlannedRequest, RequestKind, head

OK, HTTP_ERROR, RATE_LIMITED, TIMEOUT, CONNECTION_ERROR, UNSENT, CENSORED, BAD_BODY = range(len(OUTCOMES))
Check = Callable[[bytes], bool]
Identify = Callable[[int], bytes]
TOO_MANY = 429
ANY_LENGTH = -1


class Prepared:
    """A request as bytes, shared by all arrivals that choose it."""

    __slots__ = (
        "after",
        "any_length",
        "before",
        "check",
        "expect_bytes",
        "expect_status",
        "identify",
        "keep",
        "kind",
        "number",
        "payload",
        "reads_body",
        "replayable",
    )

    def __init__(self, number: int, kind: RequestKind, before: bytes, after: bytes, identify: Identify | None, check: Check | None) -> None:
        self.number, self.kind = number, kind
        self.before, self.after, self.payload = before, after, before + after
        self.identify = identify
        self.check = check
        self.expect_status, self.expect_bytes = kind.status, kind.expect_bytes
        self.any_length = kind.expect_bytes == ANY_LENGTH
        self.keep, self.replayable = kind.keep_answers, kind.replayable
        self.reads_body = check is not None or kind.keep_answers

    def outcome(self, status: int, length: int, body: bytes | None = None) -> int:
        """What became of an answer: its place in ``OUTCOMES``."""
        if status == TOO_MANY != self.expect_status:
            return RATE_LIMITED
        if status != self.expect_status:
            return HTTP_ERROR
        if not self.any_length and length != self.expect_bytes:
            return BAD_BODY
        return OK if body is None or self.check is None or self.check(body) else BAD_BODY


def identifier(step: str, first: int, stride: int) -> Identify:
    """Id of the arrival ``i`` of this process, which is ``first + i × stride`` of the plan; as ``requests.request_id`` writes it."""
    prefix = f"{step[:ID_STEP]}-"
    form = f"{prefix}%0{ID_DIGITS}d".encode() + b"x" * (ID_LENGTH - len(prefix) - ID_DIGITS)
    return (lambda index: form % index) if (first, stride) == (0, 1) else (lambda index: form % (first + index * stride))


def prepare(
    kinds: Sequence[RequestKind],
    requests: Sequence[PlannedRequest],
    *,
    host: str,
    keys: Mapping[str, str],
    key_header: str,
    identify: Identify,
    project: Path,
) -> list[Prepared]:
    """Every planned request as bytes, in the plan's order."""
    checks = [body_check(kind, project) for kind in kinds]
    prepared = []
    for number, request in enumerate(requests):
        kind = kinds[request.kind]
        if kind.is_grpc:
            prepared.append(Prepared(number, kind, b"", _message(kind, request.body), None, checks[request.kind]))
            continue
        before, after = head(kind, request.body.encode(), host, keys.get(request.role, ""), key_header)
        prepared.append(Prepared(number, kind, before, after, identify if kind.request_id else None, checks[request.kind]))
    return prepared


def _message(kind: RequestKind, body: str) -> bytes:
    """A gRPC message: the pool's line is a JSON string with its base64."""
    try:
        return binascii.a2b_base64(json.loads(body or '""'), strict_mode=True)
    except (ValueError, TypeError) as error:
        remedy = 'each line is a JSON string: "base64 of the serialized message"'
        raise UsageError(f"this is no gRPC message: {error}", file=kind.pool, place=body[:60], remedy=remedy) from None


def body_check(kind: RequestKind, project: Path) -> Check | None:
    """What looks at the bodies of one kind; None when they need not be read."""
    expected = kind.expect if not kind.expect_nonempty else msgspec.structs.replace(kind.expect, nonempty=kind.expect_nonempty)
    looks = expected.schema or expected.nonempty or expected.descending
    return _Reads(expected, _validator(expected.schema, project)) if looks else None


class _Reads:
    """Decodes a body once and looks at it."""

    def __init__(self, expected: Expected, validator: Any) -> None:
        self._expected, self._validator = expected, validator
        self._list, _, self._member = expected.descending.partition(".")

    def __call__(self, body: bytes) -> bool:
        try:
            answer = msgspec.json.decode(body)
            return self._nonempty(answer) and self._descending(answer) and self._valid(answer)
        except (msgspec.DecodeError, KeyError, TypeError, IndexError):
            return False

    def _nonempty(self, answer: Any) -> bool:
        name = self._expected.nonempty
        return not name or (isinstance(answer[name], list) and bool(answer[name]))

    def _descending(self, answer: Any) -> bool:
        if not self._member:
            return True
        values = [item[self._member] for item in answer[self._list]]
        return all(earlier >= later for earlier, later in itertools.pairwise(values))

    def _valid(self, answer: Any) -> bool:
        return self._validator is None or bool(self._validator.is_valid(answer))


def _validator(path: str, project: Path) -> Any:
    if not path:
        return None
    import jsonschema  # a tenth of the process's start, and seldom needed

    try:
        schema = json.loads((project / path).read_bytes())
        validator = jsonschema.validators.validator_for(schema)
        validator.check_schema(schema)
    except OSError as error:
        raise UsageError(f"the schema cannot be read: {error.strerror}", file=path, remedy="correct `expect.schema`") from None
    except (ValueError, jsonschema.SchemaError) as error:
        raise UsageError(f"this is no JSON Schema: {error}", file=path) from None
    return validator(schema)
