"""Deterministic keys and comparable names of graph nodes."""

from __future__ import annotations

import hashlib
import unicodedata

NAME_LIMIT_CHARS = 200


def normal_name(text: str) -> str:
    """The key of a named thing: NFC, case folded, white space collapsed; long names end in a digest of the whole."""
    name = " ".join(unicodedata.normalize("NFC", text).casefold().split())
    if len(name) <= NAME_LIMIT_CHARS:
        return name
    return f"{name[: NAME_LIMIT_CHARS - 21]}~{sha20(name)}"


def sha20(*parts: str) -> str:
    """SHA-256 of the parts joined with NUL, first 20 hex digits."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
