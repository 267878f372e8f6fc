"""What is wrong with an error answer: RFC 9457, the echoed request id, nothing that should stay inside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import httpx
import msgspec

MEDIA_TYPE = "application/problem+json"
_INSIDE = re.compile(r'Traceback \(most recent call last\)|File "[^"]+", line \d+|\bat [\w.$]+\([\w]+\.java:\d+\)|site-packages')


class Problem(msgspec.Struct, frozen=True):
    """The five members that every problem has; others may stand beside them."""

    type: str
    title: str
    status: int
    detail: str
    instance: str


def faults(answer: httpx.Response, expected: Sequence[int], request_id: Mapping[str, str], secrets: Sequence[str]) -> list[str]:
    """Every fault of an answer that should be an error with one of the ``expected`` statuses; ``request_id`` is the header sent."""
    found = []
    if answer.status_code not in expected:
        found.append(f"status {answer.status_code} where {' or '.join(map(str, expected))} belongs")
    if answer.status_code >= 400:
        found += _form(answer)
    found += [f"{name} {value} was not echoed" for name, value in request_id.items() if answer.headers.get(name) != value]
    text = answer.text + str(answer.headers)
    if _INSIDE.search(text):
        found.append("the answer shows a stack trace")
    if any(secret and secret in text for secret in secrets):
        found.append("the answer shows a key")
    return found


def _form(answer: httpx.Response) -> Iterator[str]:
    kind = answer.headers.get("content-type", "").partition(";")[0].strip()
    if kind != MEDIA_TYPE:
        yield f"content type {kind or '(none)'} instead of {MEDIA_TYPE}"
        return
    try:
        problem = msgspec.json.decode(answer.content, type=Problem)
    except msgspec.DecodeError as error:
        yield f"no problem details: {error}"
        return
    if problem.status != answer.status_code:
        yield f"member status {problem.status} differs from the status {answer.status_code}"
    yield from (f"member {name} is empty" for name in ("type", "title", "detail", "instance") if not getattr(problem, name))
