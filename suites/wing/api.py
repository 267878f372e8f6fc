"""A small client of the platform's HTTP API, for drivers and tests. It reads answers; it does not judge them."""

from __future__ import annotations

import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import httpx

from harness.run.protocols import Target

FINAL = frozenset({"completed", "failed", "skipped", "deleted"})
TIMEOUT_S = 20.0


class Api:
    """One role's view of the platform. Methods return the decoded answer and raise ``httpx.HTTPStatusError`` for 4xx and 5xx."""

    def __init__(self, target: Target, role: str = "admin") -> None:
        headers = {target.key_header: target.keys.get(role, "")}
        self.http = httpx.Client(base_url=target.base_url, headers=headers, timeout=TIMEOUT_S)

    def close(self) -> None:
        self.http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def get(self, path: str, **parameters: Any) -> Any:
        return _json(self.http.get(path, params={name: value for name, value in parameters.items() if value is not None}))

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return _json(self.http.post(path, json=body, headers=headers))

    def ingest(self, source: str, payload: bytes, key: str | None = None) -> str:
        """Submit a payload; the job's id."""
        headers = {"Content-Type": "application/octet-stream", **({"Idempotency-Key": key} if key else {})}
        return str(_json(self.http.post(f"/v1/ingest/{source}", content=payload, headers=headers))["job_id"])

    def job(self, job_id: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.get(f"/v1/jobs/{job_id}")
        return answer

    def documents(self, **filters: Any) -> Iterator[Mapping[str, Any]]:
        """All ledger rows, page by page."""
        after = ""
        while True:
            page = self.get("/v1/documents", after=after, limit=500, **filters)
            yield from page["documents"]
            if not page["next_after"]:
                return
            after = page["next_after"]

    def document(self, doc_id: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.get(f"/v1/documents/{quoted(doc_id)}")
        return answer

    def ir(self, doc_id: str) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = self.get(f"/v1/documents/{quoted(doc_id)}/ir")
        return answer

    def chunks(self, doc_id: str) -> list[Mapping[str, Any]]:
        return list(self.get(f"/v1/documents/{quoted(doc_id)}/chunks")["chunks"])

    def extractions(self, kind: str, doc_id: str | None = None) -> Iterator[Mapping[str, Any]]:
        """Stored records of one kind, a document after the other."""
        after = ""
        while True:
            page = self.get("/v1/extractions", kind=kind, doc_id=doc_id, after=after, limit=100)
            yield from page["extractions"]
            if not page["next_after"]:
                return
            after = page["next_after"]

    def readings(self) -> Iterator[Mapping[str, Any]]:
        """What was read and refused of each document that stands."""
        after: str | None = ""
        while after is not None:
            page = self.get("/v1/readings", after=after, limit=100)
            yield from page["readings"]
            after = page["next_after"]

    def graph(self) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """All stored nodes and edges."""
        nodes: list[Mapping[str, Any]] = []
        edges: list[Mapping[str, Any]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = self.get("/v1/kg/export", cursor=cursor, limit=1000)
            nodes += page["nodes"]
            edges += page["edges"]
            cursor = page["next_cursor"]
        return nodes, edges

    def wait_job(self, job_id: str, wait: Callable[[float], None], expired: Callable[[], bool]) -> Mapping[str, Any]:
        """Poll a job until it and all its documents are final; ``TimeoutError`` names what is not."""
        while True:
            job = self.job(job_id)
            states = {item["state"] for item in job["documents"]}
            if job["state"] in {"completed", "failed"} and states <= FINAL:
                return job
            if expired():
                raise TimeoutError(f"job {job_id} is {job['state']}: {sorted(states)}")
            wait(0.05)


def quoted(identifier: str) -> str:
    """An id as one path segment."""
    return urllib.parse.quote(identifier, safe="")


def _json(response: httpx.Response) -> Any:
    if response.is_error:
        raise httpx.HTTPStatusError(
            f"{response.status_code} for {response.request.url.path}: {response.text[:500]}", request=response.request, response=response
        )
    return response.json() if response.content else None
