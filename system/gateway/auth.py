"""API keys with scopes. Keys are random per stack, compared by hash in constant time, and never logged."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, HTTPException, Request, Security
from fastapi.security import APIKeyHeader

from system.platform.errors import BadInput
from system.platform.settings import Settings

API_KEY = APIKeyHeader(name="X-API-Key", auto_error=False, description="one of the keys of this stack")


class Scope(enum.StrEnum):
    """What a key may do."""

    INGEST_READ = "ingest:read"
    INGEST_WRITE = "ingest:write"
    CHUNK_WRITE = "chunk:write"
    EXTRACT_WRITE = "extract:write"
    RETRIEVE_READ = "retrieve:read"
    BRIEFING_READ = "briefing:read"
    KG_READ = "kg:read"
    KG_WRITE = "kg:write"
    ADMIN = "admin:*"


READ = frozenset({Scope.INGEST_READ, Scope.RETRIEVE_READ, Scope.BRIEFING_READ, Scope.KG_READ})
ROLES: Mapping[str, frozenset[Scope]] = {
    "reader": READ,
    "writer": READ | {Scope.INGEST_WRITE, Scope.CHUNK_WRITE, Scope.EXTRACT_WRITE, Scope.KG_WRITE},
    "admin": frozenset(Scope),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, and what the key allows."""

    name: str
    scopes: frozenset[Scope]


class KeyRing:
    """The keys of this stack by the SHA-256 of the key: the keys themselves are not kept."""

    def __init__(self, principals: Mapping[bytes, Principal]) -> None:
        self._principals = dict(principals)

    @classmethod
    def of(cls, settings: Settings) -> KeyRing:
        """Read ``api_key_<role>`` secrets; a missing one is an error at start, never a default key."""
        principals: dict[bytes, Principal] = {}
        for role, scopes in ROLES.items():
            key = settings.secret(f"api_key_{role}")
            if len(key) < 20:
                raise BadInput(f"api_key_{role} is shorter than 20 characters", f"secret api_key_{role}", "let `harness up` generate it")
            digest = hashlib.sha256(key.encode()).digest()
            if digest in principals:
                raise BadInput(
                    f"api_key_{role} is also the key of another role", f"secret api_key_{role}", "give each role a key of its own"
                )
            principals[digest] = Principal(role, scopes)
        return cls(principals)

    def principal(self, key: str) -> Principal | None:
        """The principal of ``key``; every entry is compared, so that timing tells nothing."""
        digest = hashlib.sha256(key.encode()).digest()
        found: Principal | None = None
        for known, principal in self._principals.items():
            if hmac.compare_digest(known, digest):
                found = principal
        return found


def require(scope: Scope) -> Callable[[Request, str | None], Principal]:
    """A dependency: 401 without a valid key, 403 without the scope."""

    def check(request: Request, key: Annotated[str | None, Security(API_KEY)] = None) -> Principal:
        ring: KeyRing = request.app.state.keys
        principal = ring.principal(key) if key else None
        if principal is None:
            raise HTTPException(401, "no valid API key: send the header X-API-Key", {"WWW-Authenticate": 'ApiKey realm="evidence"'})
        if scope not in principal.scopes and Scope.ADMIN not in principal.scopes:
            raise HTTPException(403, f"this key lacks the scope {scope.value}")
        return principal

    return check


Reader = Annotated[Principal, Depends(require(Scope.RETRIEVE_READ))]
IngestReader = Annotated[Principal, Depends(require(Scope.INGEST_READ))]
IngestWriter = Annotated[Principal, Depends(require(Scope.INGEST_WRITE))]
Extractor = Annotated[Principal, Depends(require(Scope.EXTRACT_WRITE))]
Chunker = Annotated[Principal, Depends(require(Scope.CHUNK_WRITE))]
GraphReader = Annotated[Principal, Depends(require(Scope.KG_READ))]
GraphWriter = Annotated[Principal, Depends(require(Scope.KG_WRITE))]
Briefer = Annotated[Principal, Depends(require(Scope.BRIEFING_READ))]
