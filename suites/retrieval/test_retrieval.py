"""Layer 4: ranking quality over a judged collection, through the running system."""

from __future__ import annotations

from typing import Any

from harness.core.errors import Blocked
from harness.plugin.session import Session


def test_fused_retrieval_beats_every_single_retriever(scenario: Any, harness_session: Session) -> None:
    """nDCG@10 of the fused ranking is at least that of BM25, sparse and dense; on all documents the published limits hold too."""
    data = harness_session.project.data_dir()
    if data is None or not (data / "scifact").is_dir():
        raise Blocked("the collection SciFact is not here: `harness data fetch` or HARNESS_DATA_DIR brings it")
    scenario("retrieval_full" if getattr(harness_session, "full", False) else "retrieval").require_pass()
