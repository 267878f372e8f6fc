"""Chunking: a document in pieces that are embedded and retrieved. The same document always gives the same chunks."""

from system.evidence.chunking.cutter import chunk
from system.evidence.chunking.policy import POLICIES, Policy

__all__ = ["POLICIES", "Policy", "chunk"]
