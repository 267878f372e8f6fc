"""One HTTP request to a peer: bounded in time and size, without redirects, proxies or surprises. Every failure is one exception."""

from __future__ import annotations

import time
from collections.abc import Mapping

import httpx

from harness.core.errors import HarnessError
from harness.core.text import one_line
from harness.load.publish.settings import Peer

ANSWER_MAX_BYTES = 1 << 16
RETRY_AFTER_S = (0.2, 1.0)  # before the second and third attempt
AGENT = "evidence-harness"


class NotSent(HarnessError):
    """What could not be sent, and why; ``status`` is 0 where there was no answer. ``final``: trying again would not help."""

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.reason, self.status = reason, status

    @property
    def final(self) -> bool:
        """A 4xx says that the request itself is wrong; 429 and 5xx may pass."""
        return 400 <= self.status < 500 and self.status != 429


class Sender:
    """Speaks to one peer. Not thread-safe; ``close`` it."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        headers = {"User-Agent": AGENT}
        if peer.token:
            headers["Authorization"] = f"Bearer {peer.token.reveal()}"
        # No proxy and no .netrc of the environment: the address that was checked is the one that is spoken to. A connection a request:
        # minutes may lie between two of them, and one that the peer closes in that moment would cost a request that cannot be repeated.
        self._client = httpx.Client(
            headers=headers,
            timeout=peer.timeout_s,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def send(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> bytes:
        """One attempt; the body of a 2xx answer. ``NotSent`` for anything else, within the peer's time-out."""
        until = time.monotonic() + self._peer.timeout_s
        try:
            with self._client.stream(method, self._peer.url + path, content=content, headers=dict(headers)) as answer:
                body = _body(answer, until)
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise NotSent(one_line(f"{type(error).__name__}: {error}")) from None
        if not 200 <= status < 300:
            said = one_line(body.decode("utf-8", "replace"))
            raise NotSent(f"answered {status}{f': {said}' if said else ''}", status)
        return body

    def send_patiently(self, method: str, path: str, content: bytes, headers: Mapping[str, str], until: float) -> bytes:
        """As ``send``, tried again after what may pass, until the moment ``until`` (monotonic, s)."""
        for pause_s in RETRY_AFTER_S:
            try:
                return self.send(method, path, content, headers)
            except NotSent as error:
                if error.final or time.monotonic() + pause_s >= until:
                    raise
            time.sleep(pause_s)
        return self.send(method, path, content, headers)

    def close(self) -> None:
        self._client.close()


def _body(answer: httpx.Response, until: float) -> bytes:
    """The body, however slowly it comes: bounded by size and by time."""
    found = bytearray()
    for part in answer.iter_bytes():
        found += part
        if len(found) > ANSWER_MAX_BYTES:
            raise NotSent("the answer is longer than any of this kind", answer.status_code)
        if time.monotonic() > until:
            raise NotSent("the answer did not end in time")
    return bytes(found)
