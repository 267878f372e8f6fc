"""Randomness: one seed a run, one independent stream a name. The same seed gives the same draws on every machine."""

from __future__ import annotations

import hashlib
import random
import secrets

SEED_BITS = 63


class Seeds:
    """Streams of random numbers derived from one root; asking for one stream never disturbs another."""

    __slots__ = ("root",)

    def __init__(self, root: int) -> None:
        if not 0 <= root < 2**SEED_BITS:
            raise ValueError(f"a seed is a whole number from 0 to 2**{SEED_BITS}-1, not {root}")
        self.root = root

    def derive(self, name: str) -> int:
        """A seed of its own for the subsystem ``name``."""
        digest = hashlib.sha256(f"{self.root}\n{name}".encode()).digest()
        return int.from_bytes(digest[:8], "big") >> 1

    def stream(self, name: str) -> random.Random:
        """A generator of its own for the subsystem ``name``; always starts at the same point."""
        return random.Random(self.derive(name))


def fresh_seed() -> int:
    """A seed nobody chose, short enough to be typed again."""
    return secrets.randbelow(2**31)
