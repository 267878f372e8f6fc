"""Fixtures: hand-written studies that ship with the project, and the real ones where they are present."""

from __future__ import annotations

import gzip
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from system.evidence.extraction.registry import extract_registry
from system.evidence.ir import Document
from system.evidence.records import Extraction
from system.evidence.sources.ctgov import parse_ctgov

ROOT = Path(__file__).resolve().parents[3]
FIXTURES = ROOT / "suites" / "fixtures" / "ctgov"

Read = Callable[[bytes], tuple[Document, Extraction]]


def _data_dir() -> Path | None:
    named = os.environ.get("HARNESS_DATA_DIR")
    if named:
        return Path(named)
    local = ROOT / "harness.local.toml"
    if not local.is_file():
        return None
    tables = tomllib.loads(local.read_text(encoding="utf-8"))
    folder = tables.get("data", {}).get("dir") or tables.get("data_dir")
    return Path(folder) if folder else None


@pytest.fixture
def read() -> Read:
    def both(raw: bytes) -> tuple[Document, Extraction]:
        document = parse_ctgov("", raw)
        return document, extract_registry(document, raw)

    return both


@pytest.fixture(scope="session")
def two_arms() -> bytes:
    return (FIXTURES / "two_arms.json").read_bytes()


@pytest.fixture(scope="session")
def observational() -> bytes:
    return (FIXTURES / "observational.json").read_bytes()


@pytest.fixture(scope="session")
def real() -> dict[str, bytes]:
    """The raw bytes of the real studies by NCT number."""
    folder = _data_dir()
    file = folder / "clinicaltrials_gov" / "studies.v2.jsonl.gz" if folder else None
    if file is None or not file.is_file():
        pytest.skip("no clinicaltrials_gov data: set HARNESS_DATA_DIR or data.dir in harness.local.toml")
    lines = gzip.decompress(file.read_bytes()).splitlines()
    return {json.loads(line)["protocolSection"]["identificationModule"]["nctId"]: line for line in lines}


@pytest.fixture(scope="session")
def real_read(real: dict[str, bytes]) -> dict[str, tuple[Document, Extraction, dict[str, Any]]]:
    """Document, records and the plain JSON of every real study."""
    made = {}
    for native_id, raw in real.items():
        document = parse_ctgov("", raw)
        made[native_id] = (document, extract_registry(document, raw), json.loads(raw))
    return made
