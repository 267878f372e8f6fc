"""Asks the platform and keeps whatever it answers: here nothing raises, for a wrong answer is what is being looked for."""

from __future__ import annotations

import gzip
import time
from typing import Any, Self

import httpx

from harness.core import jsonio
from harness.run.context import store_evidence
from harness.run.protocols import RunView, StepContext
from suites.wing.api import Api

PAGES_MAX = 60
TIMEOUT_S = 20.0


class Look:
    """A client of one role. ``refused`` keeps every answer that was not expected."""

    def __init__(self, context: StepContext, role: str) -> None:
        self._api = Api(context.target, role)
        self.refused: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._api.close()

    def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """``status`` (0: no answer), ``body`` (decoded, None where it is no JSON), ``seconds``."""
        began = time.monotonic()
        try:
            response = self._api.http.request(method, path, timeout=TIMEOUT_S, **more)
        except httpx.HTTPError as error:
            return {"status": 0, "body": None, "error": type(error).__name__, "seconds": _since(began)}
        try:
            body = response.json() if response.content else None
        except ValueError:
            body = None
        return {"status": response.status_code, "body": body, "seconds": _since(began)}

    def get(self, path: str, **parameters: Any) -> Any:
        """The body of a read that must be answered 200; None, and remembered, where it is not."""
        found = self.ask("GET", path, params=parameters)
        if found["status"] != 200:
            self.refused.append(f"GET {path}: {found['status'] or found.get('error')}")
            return None
        return found["body"]

    def pages(self, path: str, key: str, limit: int, **parameters: Any) -> list[Any]:
        """All items page by page, bounded: a listing that does not end is remembered."""
        items: list[Any] = []
        after = ""
        for _ in range(PAGES_MAX):
            page = self.get(path, after=after, limit=limit, **parameters)
            if page is None:
                return items
            items += page[key]
            if not page["next_after"]:
                return items
            after = page["next_after"]
        self.refused.append(f"GET {path}: does not end after {PAGES_MAX} pages of {limit}")
        return items

    def graph(self, limit: int = 1000) -> dict[str, list[Any]]:
        """The exported nodes and edges."""
        found: dict[str, list[Any]] = {"nodes": [], "edges": []}
        cursor: str | None = ""
        for _ in range(PAGES_MAX * 5):
            page = self.get("/v1/kg/export", cursor=cursor, limit=limit)
            if page is None:
                return found
            found["nodes"] += page["nodes"]
            found["edges"] += page["edges"]
            cursor = page["next_cursor"]
            if cursor is None:
                return found
        self.refused.append("GET /v1/kg/export: does not end")
        return found


def _since(began: float) -> float:
    return round(time.monotonic() - began, 4)


def keep(context: StepContext, probe: str, name: str, value: Any) -> None:
    """Store ``value`` as evidence ``<name>.json.gz``."""
    store_evidence(context, probe, f"{name}.json.gz", gzip.compress(jsonio.canonical(value), compresslevel=6, mtime=0))


def kept(view: RunView, name: str, trial: str) -> Any:
    """What ``keep`` stored; None when the trial did not get there."""
    content = view.evidence(f"{name}.json.gz", trial)
    return None if content is None else _decode(gzip.decompress(content))


def _decode(content: bytes) -> Any:
    import json

    return json.loads(content)
