"""The exception tree of ``system``. Every error a person can meet says what, where and what to do."""

from __future__ import annotations

from collections.abc import Mapping


class PlatformError(Exception):
    """Base of everything ``system`` raises on purpose."""


class Unavailable(PlatformError):
    """A store or model server cannot be reached or did not answer in time; trying again later may help."""

    def __init__(self, service: str, detail: str) -> None:
        super().__init__(f"{service} is unavailable: {detail}")
        self.service = service
        self.detail = detail


class BadInput(PlatformError):
    """A payload, document or request that cannot be used. ``place`` is a path, XPath, JSON pointer or offset."""

    def __init__(self, error: str, place: str, remedy: str) -> None:
        super().__init__(f"{error} (at {place}): {remedy}")
        self.error = error
        self.place = place
        self.remedy = remedy

    def reason(self) -> dict[str, str]:
        """The form kept in the ledger: error, place, remedy."""
        return {"error": self.error, "place": self.place, "remedy": self.remedy}


class Conflict(PlatformError):
    """A compare-and-set lost, or an idempotency key was reused with another body."""


class MarkMoved(Conflict):
    """The document was superseded, or came back, while a step worked on it: the step begins anew."""


class IllegalTransition(PlatformError):
    """A ledger edge that the state machine does not have."""


class NotFound(PlatformError):
    """What was asked for by id is not there."""


class GateRefused(PlatformError):
    """A graph batch that breaks a shape: nothing was written; ``issues`` name focus node, path, value and shape."""

    def __init__(self, issues: tuple[GateIssue, ...]) -> None:
        super().__init__(f"{len(issues)} SHACL violation(s); first: {issues[0].message if issues else 'none'}")
        self.issues = issues


class EnginesDiffer(PlatformError):
    """The gate's engines do not give the same report on a batch: nothing was decided. ``reports`` has each engine's violations."""

    def __init__(self, supporter: str, reports: Mapping[str, tuple[GateIssue, ...]], *, written: bool = False) -> None:
        found = ", ".join(f"{engine} {len(issues)} violation(s)" for engine, issues in reports.items())
        super().__init__(f"the SHACL engines differ on {supporter}: {found}; the batch was {'written' if written else 'not written'}")
        self.reports = reports


class GateIssue:
    """One violation: which node, which path, which value, which shape, and what to do."""

    __slots__ = ("focus_node", "message", "path", "shape", "value")

    def __init__(self, focus_node: str, path: str, value: str, shape: str, message: str) -> None:
        self.focus_node = focus_node
        self.path = path
        self.value = value
        self.shape = shape
        self.message = message
