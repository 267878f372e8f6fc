"""The first failed request of each kind with its answer: raw while the plan is walked, cut and redacted when it is over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.core.secrets import redacted
from harness.core.text import outside
from harness.journal.events import LoadFailure
from harness.journal.segments import OUTCOMES
from harness.load.engine.plan import EnginePlan
from harness.load.engine.verify import Prepared

KINDS_MAX = 40  # kinds of failures of one step that are kept
RAW_MAX = 8_192  # bytes of an answer
BODY_MAX, LINE_MAX = 500, 200  # characters shown
HEADERS = frozenset({"accept", "content-type", "content-length", "retry-after", "server", "date", "x-request-id", "transfer-encoding"})
Kind = tuple[str, int, int, str]  # operation, outcome, status, role


class FirstFailures:
    """``see`` is called for failed requests only; ``secrets`` are the keys that are sent."""

    def __init__(self, plan: EnginePlan, secrets: Sequence[str]) -> None:
        self._plan, self._secrets = plan, secrets
        self._first: dict[Kind, tuple[Prepared, bytes, str]] = {}

    def see(self, request: Prepared, outcome: int, status: int, answer: bytes, cause: str) -> None:
        """Keep it where it is the first of its kind."""
        kind = (request.kind.op, outcome, status, self._plan.requests[request.number].role)
        if kind not in self._first and len(self._first) < KINDS_MAX:
            self._first[kind] = (request, answer[:RAW_MAX], cause)

    def events(self) -> Iterator[LoadFailure]:
        """What was kept, without anything secret."""
        for (op, outcome, status, role), (request, answer, cause) in self._first.items():
            yield LoadFailure(
                trial=self._plan.trial,
                step=self._plan.step,
                op=op,
                outcome=OUTCOMES[outcome],
                status=status,
                role=role,
                cause=cause,
                request=self._shown(request.payload),
                response=self._shown(answer),
            )

    def _shown(self, message: bytes) -> str:
        """First line, chosen headers and the beginning of the body of an HTTP message."""
        head, _, body = message.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        chosen = [line for line in lines if line.partition(":")[0].strip().lower() in HEADERS and line.partition(":")[2].strip()]
        shown = [outside(redacted(line, self._secrets), LINE_MAX) for line in (first, *chosen)]
        text = outside(redacted(_text(body), self._secrets), BODY_MAX)
        return "\n".join([*shown, *(["", text] if text else [])])


def _text(body: bytes) -> str:
    """The body, or its size where it is no text (the end may be cut within a character)."""
    text = body.decode("utf-8", "replace")
    strange = text.count("\ufffd") + text.count("\x00")
    return text if strange <= 1 else f"({len(body)} bytes that are no text)"
