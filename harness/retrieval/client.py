"""The routes an evaluated system offers: JSON Lines passages in, jobs to wait for, ranked passages out.

``POST /v1/ingest/passages`` answers 202 ``{"job_id"}``; ``GET /v1/jobs/{id}`` gives ``state`` and ``documents[].state``;
``POST /v1/retrieve`` takes ``query, top_k, retrievers, fusion, filters.sources`` and gives ``results[].native_id``, best first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

import httpx
import msgspec

from harness.core.errors import HarnessError
from harness.retrieval.beir import Passage
from harness.run.protocols import Target

SOURCE = "passages"
BATCH = 200
TIMEOUT_S = 60.0
FINAL = frozenset({"completed", "failed"})


class Searched:
    """A client with one key for all; raises ``HarnessError`` for what the system refuses."""

    def __init__(self, target: Target, role: str, expired: Callable[[], bool], wait: Callable[[float], None]) -> None:
        key = target.keys.get(role, "")
        self._http = httpx.Client(base_url=target.base_url, headers={target.key_header: key} if key else {}, timeout=TIMEOUT_S)
        self._expired, self._wait = expired, wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    def ingest(self, documents: Sequence[Passage], identity: str, done: Callable[[int], None]) -> None:
        """Send all documents in batches and wait until each is final; one that failed is an error with its reason.

        ``done`` hears how many are in the system, after each batch.
        """
        jobs = []
        for start in range(0, len(documents), BATCH):
            payload = b"\n".join(msgspec.json.encode(document) for document in documents[start : start + BATCH])
            headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": f"{identity}-{start:06d}"}
            jobs.append(str(self._answer("POST", f"/v1/ingest/{SOURCE}", content=payload, headers=headers)["job_id"]))
        for number, job in enumerate(jobs, 1):
            self._await(job)
            done(min(number * BATCH, len(documents)))

    def _await(self, job: str) -> None:
        while True:
            found = self._answer("GET", f"/v1/jobs/{job}")
            states = {item["state"] for item in found["documents"]}
            if found["state"] in FINAL and states <= FINAL:
                break
            if self._expired():
                raise HarnessError(f"job {job} was not done in time: {found['state']}, documents {sorted(states)}")
            self._wait(0.1)
        failed = [item for item in found["documents"] if item["state"] == "failed"]
        if failed:
            raise HarnessError(f"{len(failed)} passages of job {job} failed, first {failed[0]['doc_id']}: {failed[0].get('reason')}")

    def stored(self) -> Iterator[str]:
        """Native ids of all passages the system holds."""
        after = ""
        while True:
            page = self._answer("GET", "/v1/documents", params={"source": SOURCE, "after": after, "limit": 500})
            yield from (str(row["native_id"]) for row in page["documents"] if row["state"] == "completed")
            after = page.get("next_after") or ""
            if not after:
                return

    def rank(self, queries: Mapping[str, str], retrievers: Sequence[str], depth: int, threads: int) -> Mapping[str, Sequence[str]]:
        """The document ids of each query, best first, each once."""
        gone = threading.Event()

        def ask(text: str) -> Sequence[str]:
            if gone.is_set() or self._expired():
                gone.set()
                raise HarnessError(f"not all queries were answered in time ({'+'.join(retrievers)})")
            return self._ask(text, retrievers, depth)

        with ThreadPoolExecutor(threads, thread_name_prefix="retrieval") as pool:
            return dict(zip(queries, pool.map(ask, queries.values()), strict=True))

    def _ask(self, text: str, retrievers: Sequence[str], depth: int) -> Sequence[str]:
        body = {"query": text, "top_k": depth, "retrievers": list(retrievers), "fusion": "minmax", "filters": {"sources": [SOURCE]}}
        found = self._answer("POST", "/v1/retrieve", json=body)
        meta = found.get("meta", {})
        used = meta.get("retrievers_used", list(retrievers))
        if set(used) != set(retrievers) or meta.get("degraded"):
            raise HarnessError(f"a degraded answer is no measurement: {used} of {list(retrievers)}: {found.get('warnings')}")
        return _once(str(item["native_id"]) for item in found["results"])

    def _answer(self, method: str, path: str, **more: Any) -> Any:
        answer = self._http.request(method, path, **more)
        if answer.is_error:
            raise HarnessError(f"{method} {path}: status {answer.status_code}: {answer.text[:300]}")
        return answer.json()


def _once(ids: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(ids))
