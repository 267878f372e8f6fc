"""Fixtures of the layered suites: the corpus of this run, ingested once, and clients of the platform."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from harness.plugin.session import Session
from harness.run.protocols import Target
from suites.wing.api import Api
from suites.wing.corpus import Corpus, load_corpus, sample_corpus

SMALL_ENOUGH = 8  # completed documents that make a layer worth running on its own
INGEST_LIMIT_S = 240.0


@pytest.fixture(scope="session")
def corpus(harness_session: Session) -> Corpus:
    """The corpus of this run: real data where there are any, else the sample corpus; journaled as data used."""
    project = harness_session.project
    chosen = load_corpus(project.data_dir(), project.sample_dir())
    harness_session.use_data(chosen.data_set())
    return chosen


@pytest.fixture(scope="session")
def api(target: Target) -> Iterator[Api]:
    """A client with the admin key."""
    with Api(target, "admin") as client:
        yield client


@pytest.fixture(scope="session")
def ingested(harness_session: Session, api: Api) -> int:
    """Documents to work on: those of an earlier layer, else the sample corpus is ingested now. Gives how many are completed."""
    done = int(api.get("/v1/counts")["records"].get("documents.completed", 0))
    if done >= SMALL_ENOUGH:
        return done
    sample = sample_corpus(harness_session.project.sample_dir())
    harness_session.use_data(sample.data_set())
    until = time.monotonic() + INGEST_LIMIT_S
    jobs = [api.ingest(payload.source, payload.content) for payload in sample.payloads]
    pause = harness_session.run.clock
    for job in jobs:
        api.wait_job(job, lambda seconds: pause.wait(seconds) and None, lambda: time.monotonic() > until)
    return int(api.get("/v1/counts")["records"]["documents.completed"])
