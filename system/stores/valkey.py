"""Clients of a Valkey server with bounded waits and no hidden retries: whoever calls decides what a failure means."""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def client(url: str, password: str, timeout_s: float) -> redis.Redis:
    """A thread-safe client; every wait ends after ``timeout_s`` seconds with a ``redis.RedisError``."""
    return redis.Redis.from_url(
        url,
        password=password,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(timeout_s, 2.0),
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        decode_responses=False,
    )
