"""Simulated days of memory and latency: noise that remembers, garbage collection, steps; with and without a leak or a drift. Seeded."""

from __future__ import annotations

import math

import numpy as np

from harness.load.soak.windows import Floats

SAMPLES = 1_440  # a day, one a minute
MEMORIES = (0.0, 0.5, 0.9, 0.97)
KINDS = ("plain", "saw-tooth", "steps", "all")


def day_s() -> Floats:
    """Times of the samples, seconds."""
    return np.arange(SAMPLES, dtype=np.float64) * 60.0


def remembering(random: np.random.Generator, phi: float, count: int = SAMPLES) -> Floats:
    """AR(1) noise of unit variance."""
    values = random.standard_normal(count)
    for place in range(1, count):
        values[place] = phi * values[place - 1] + math.sqrt(1 - phi * phi) * values[place]
    return values


def saw_tooth(random: np.random.Generator, height: float, period: float) -> Floats:
    """Garbage that grows and is collected: cycles of about ``period`` samples, each to about ``height``, never twice the same."""
    values = np.empty(SAMPLES)
    place = -int(random.integers(0, max(int(period), 1)))
    while place < SAMPLES:
        length = max(3, int(period * random.uniform(0.6, 1.4)))
        rise = np.linspace(0, height * random.uniform(0.7, 1.3), length)
        begin, end = max(place, 0), min(place + length, SAMPLES)
        if end > begin:
            values[begin:end] = rise[begin - place : end - place]
        place += length
    return values


def steps(random: np.random.Generator, size: float) -> Floats:
    """One to three lasting jumps, mostly up: a cache that fills, a worker that starts or ends."""
    values = np.zeros(SAMPLES)
    for place in random.integers(SAMPLES // 12, SAMPLES - SAMPLES // 12, size=int(random.integers(1, 4))):
        values[place:] += size * random.uniform(0.3, 1.0) * random.choice([1, 1, -1])
    return values


def memory_mb(random: np.random.Generator, kind: str, leak_mb_per_hour: float = 0.0) -> Floats:
    """A day of a process's memory, MB."""
    values = random.uniform(400, 3000) + random.uniform(1, 8) * remembering(random, float(random.choice(MEMORIES)))
    if kind in {"saw-tooth", "all"}:
        values += saw_tooth(random, random.uniform(40, 300), random.uniform(4, 90))
    if kind in {"steps", "all"}:
        values += steps(random, random.uniform(50, 300))
    return values + leak_mb_per_hour * day_s() / 3600


def pauses(random: np.random.Generator) -> Floats:
    """What collections do to a p99: every few minutes one that is up to three times as long."""
    values = np.zeros(SAMPLES)
    places = np.cumsum(random.uniform(0.5, 1.5, SAMPLES) * random.uniform(4, 60)).astype(np.int64)
    places = places[places < SAMPLES]
    values[places] = random.uniform(0.2, 2.0, len(places))
    return values


def latency_ms(random: np.random.Generator, kind: str, drift_per_hour: float = 0.0) -> Floats:
    """A day of p99 a minute, ms: noise of 2 to 10 %, pauses and slow waves of the collector, lasting steps of the level."""
    noise = random.uniform(0.02, 0.10) * remembering(random, float(random.choice(MEMORIES[:3])))
    shape = np.ones(SAMPLES)
    if kind in {"saw-tooth", "all"}:
        shape += pauses(random) + saw_tooth(random, random.uniform(0.0, 0.2), random.uniform(4, 60))
    if kind in {"steps", "all"}:
        shape *= np.maximum(1 + steps(random, 0.3), 0.3)
    return np.asarray(random.uniform(0.5, 500) * shape * np.exp(noise) * (1 + drift_per_hour * day_s() / 3600))
