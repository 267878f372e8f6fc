"""What the reference server does, written down before it starts: the plan file of ``harness.load.certify.server``."""

from __future__ import annotations

import msgspec

BASE_MS = 20.0


class StallWindow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The server stands still like a stopped process: for ``length_s``, from ``after_s`` after the first request's arrival."""

    after_s: float
    length_s: float


class ServerScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Shares are of the request ids, drawn by a hash of the id and the seed: the same ids in every run, whatever their order."""

    seed: int
    base_ms: float = BASE_MS
    stalls: tuple[StallWindow, ...] = ()
    tail_share: float = 0.0
    tail_ms: float = 0.0
    reset_share: float = 0.0
    limit_share: float = 0.0
