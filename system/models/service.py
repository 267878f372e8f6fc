"""Texts to vectors: cache, tokeniser, scheduler and a health check that runs the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from system.models.encoder import Encoder, TokenIds
from system.models.messages import EmbeddingRequest, RequestError, decode_request, encode_response
from system.models.metrics import ModelMetrics
from system.models.scheduler import Limits, Overloaded, Scheduler
from system.models.vector_cache import Entry, VectorCache, cache_key

_REQUEST_LIMIT_S = 60
_HEALTH_FRESH_S = 2.0
_HEALTH_LIMIT_S = 3.0


class EmbeddingService:
    """One model behind one route. Use inside ``running()``."""

    def __init__(self, encoder: Encoder, cache: VectorCache, limits: Limits) -> None:
        self.encoder = encoder
        self.spec = encoder.spec
        self._cache = cache
        self._scheduler = Scheduler(encoder.infer, limits, self._observe)
        self.metrics = ModelMetrics(self.spec.name, lambda: self._scheduler.waiting, lambda: cache.written)
        self._health_lock = asyncio.Lock()
        self._healthy_at = float("-inf")
        self._health_s = 0.0
        self._probe: TokenIds = encoder.tokenise(["ok"])[0]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The scheduler runs within; the cache is closed after."""
        scheduler = asyncio.create_task(self._scheduler.run())
        try:
            yield
        finally:
            scheduler.cancel()
            with suppress(asyncio.CancelledError):
                await scheduler
            await asyncio.to_thread(self._cache.close)

    async def answer(self, body: bytes) -> bytes:
        """The JSON answer to an embeddings request; raises ``RequestError``."""
        request = decode_request(body, self.spec.name, self.spec.width)
        try:
            async with asyncio.timeout(_REQUEST_LIMIT_S):
                entries = await self._entries(request)
        except Overloaded as error:
            raise RequestError(503, str(error), code="overloaded", retry_after_s=error.retry_after_s) from error
        except TimeoutError as error:
            raise RequestError(503, f"not computed within {_REQUEST_LIMIT_S} s", code="timeout", retry_after_s=5) from error
        tokens = sum(min(entry.tokens, self.spec.max_tokens) for entry in entries)
        return encode_response(self.spec.kind, self.spec.name, [entry.vector for entry in entries], tokens, request.encoding_format)

    async def health(self) -> float:
        """Seconds of a one-token inference, at most ``_HEALTH_FRESH_S`` old; raises ``TimeoutError`` or what the model raised."""
        async with self._health_lock:
            started = time.monotonic()
            if started - self._healthy_at > _HEALTH_FRESH_S:
                async with asyncio.timeout(_HEALTH_LIMIT_S):
                    await self._scheduler.submit([self._probe], bounded=False)[0]
                self._healthy_at = time.monotonic()
                self._health_s = self._healthy_at - started
            return self._health_s

    async def _entries(self, request: EmbeddingRequest) -> list[Entry]:
        texts = request.texts()
        keys = [cache_key(self.encoder.fingerprint, text) for text in texts]
        known = dict(await asyncio.to_thread(self._cache.get, keys)) if self._cache.enabled else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.metrics.cache_misses.inc(len(missing))
        self.metrics.cache_hits.inc(len(texts) - len(missing))
        self._scheduler.check_room(len(missing))  # before the work of tokenising
        tokens = await self._tokenise(list(missing.values()))
        if not request.truncate:
            lengths = {key: entry.tokens for key, entry in known.items()} | {
                key: len(ids) for key, ids in zip(missing, tokens, strict=True)
            }
            self._refuse_overlong([lengths[key] for key in keys])
        known.update(await self._compute(list(missing), tokens))
        return [known[key] for key in keys]

    async def _tokenise(self, texts: Sequence[str]) -> list[TokenIds]:
        try:
            return [] if not texts else await asyncio.to_thread(self.encoder.tokenise, texts)
        except (UnicodeError, ValueError, TypeError) as error:
            raise RequestError(400, f"a text is not valid Unicode: {error}", param="input") from error

    async def _compute(self, keys: Sequence[bytes], tokens: Sequence[TokenIds]) -> dict[bytes, Entry]:
        if not keys:
            return {}
        results = self._scheduler.submit([self.encoder.truncated(ids) for ids in tokens])
        try:
            vectors = await asyncio.gather(*results)
        finally:
            for result in results:  # nobody waits any more: the client went away, or one text failed
                result.cancel()
        computed = {key: Entry(len(ids), vector) for key, ids, vector in zip(keys, tokens, vectors, strict=True)}
        self._cache.put(list(computed.items()))
        return computed

    def _refuse_overlong(self, lengths: Sequence[int]) -> None:
        for position, length in enumerate(lengths):
            if length > self.spec.max_tokens:
                message = f"input[{position}] has {length} tokens; this model takes {self.spec.max_tokens} (send truncate: true to cut it)"
                raise RequestError(400, message, param="input", code="context_length_exceeded")

    def _observe(self, texts: int, seconds: float) -> None:
        self.metrics.observe_batch(texts, seconds)
