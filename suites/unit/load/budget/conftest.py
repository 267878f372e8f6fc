"""Requests as a load engine leaves them, made by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pytest

from harness.journal.segments import REQUESTS, plain

MS = 1_000_000
START = 1_000_000_000_000


def row(
    at_ms: float, took_ms: float | None, outcome: str = "ok", *, op: str = "retrieve", step: str = "load", key: str = "", status: int = 200
) -> dict[str, Any]:
    """A request intended ``at_ms`` after the start that took so long from then; None: never answered."""
    intended = START + round(at_ms * MS)
    return {
        "op": op,
        "step": step,
        "intended_ns": intended,
        "sent_ns": None if outcome == "unsent" else intended,
        "first_byte_ns": None,
        "done_ns": None if took_ms is None else intended + round(took_ms * MS),
        "status": status,
        "outcome": outcome,
        "bytes": 1,
        "request_id": "",
        "key": key,
    }


def table(rows: Iterable[dict[str, Any]]) -> Any:
    """The rows as the table that a checker sees."""
    return plain(pa.Table.from_pylist(list(rows), schema=REQUESTS))


@pytest.fixture
def samples() -> Any:
    """``samples.row(at_ms, took_ms, …)`` and ``samples.table(rows)``."""
    return type("Samples", (), {"row": staticmethod(row), "table": staticmethod(table), "START": START, "MS": MS})
