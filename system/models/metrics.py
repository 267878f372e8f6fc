"""Counters of one model server, in a registry of their own."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_BATCH_BUCKETS = (1, 2, 4, 8, 12, 16)


class ModelMetrics:
    """What ``/metrics`` shows; all names begin with ``eh_model_``."""

    def __init__(self, model: str, waiting: Callable[[], int], cache_written: Callable[[], int]) -> None:
        registry = self._registry = CollectorRegistry()
        Gauge("eh_model_info", "The model this server serves.", ["model"], registry=registry).labels(model).set(1)
        self.requests = Counter("eh_model_requests", "Requests by route and status.", ["route", "status"], registry=registry)
        self.batch_texts = Histogram("eh_model_batch_texts", "Texts in one inference.", buckets=_BATCH_BUCKETS, registry=registry)
        self.inference_seconds = Histogram("eh_model_inference_seconds", "Seconds of one inference.", registry=registry)
        self.cache_hits = Counter("eh_model_cache_hits", "Texts answered from the vector cache.", registry=registry)
        self.cache_misses = Counter("eh_model_cache_misses", "Texts that had to be computed.", registry=registry)
        Gauge("eh_model_waiting_texts", "Texts waiting for an inference.", registry=registry).set_function(waiting)
        Gauge("eh_model_cache_written", "Entries this server has committed to the cache.", registry=registry).set_function(cache_written)

    def observe_batch(self, texts: int, seconds: float) -> None:
        self.batch_texts.observe(texts)
        self.inference_seconds.observe(seconds)

    def text(self) -> bytes:
        return generate_latest(self._registry)
