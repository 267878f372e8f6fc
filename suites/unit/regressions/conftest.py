from __future__ import annotations

from suites.unit.gateway.conftest import client, payload, site, world

__all__ = ["client", "payload", "site", "world"]
