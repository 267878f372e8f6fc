"""Layer 1: the API against its own OpenAPI document."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from harness.contract.openapi import operations
from harness.plugin.session import Session
from harness.run.protocols import Target


@pytest.mark.requirement("DEV-2.1")
def test_every_operation_keeps_the_document(scenario: Any) -> None:
    """Authentication and error form on every operation; Schemathesis finds nothing in the time it has."""
    scenario("contract").require_pass()


def test_only_operators_routes_need_no_key(target: Target, harness_session: Session, examined: Any) -> None:
    """Health, readiness, version and metrics are open by declaration; every other operation declares its key."""
    path = harness_session.project.configuration.target.openapi
    found = operations(httpx.get(target.base_url + path, timeout=20).json())
    examined(len(found))
    assert {operation.path for operation in found if not operation.secured} == {"/health", "/ready", "/version", "/metrics"}


def test_the_document_says_how_offsets_count(target: Target, harness_session: Session) -> None:
    """Offsets are Unicode code points, half-open, and the document says so."""
    path = harness_session.project.configuration.target.openapi
    document = httpx.get(target.base_url + path, timeout=20).json()
    assert document["openapi"].startswith("3.1")
    assert "code points" in document["info"]["description"]
    assert "half-open" in document["info"]["description"]
