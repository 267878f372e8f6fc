"""Shapes and data as text in, a report out: in this process, with rdflib's switches put back after the test."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import rdflib
from rdflib.plugins.parsers import notation3

from harness.shacl.judging import Use, judge
from harness.shacl.reading import read_file
from harness.shacl.report import ShaclReport
from harness.shacl.shapes import ShapesGraph

PREFIXES = """@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix k: <urn:k:> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
"""
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Write a file; text of Turtle and TriG gets the prefixes in its first five lines."""

    def write(content: str | bytes, name: str) -> Path:
        path = tmp_path / name
        before = PREFIXES if name.endswith((".ttl", ".trig")) else ""
        path.write_bytes(content if isinstance(content, bytes) else (before + content).encode())
        return path

    return write


@pytest.fixture
def judged(put: Put, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ShaclReport]:
    """The report of both engines on shapes and data; the test fails where they differ and it does not say ``use``."""
    monkeypatch.setattr(rdflib, "NORMALIZE_LITERALS", rdflib.NORMALIZE_LITERALS)
    monkeypatch.setattr(notation3, "long_type", notation3.long_type)  # type: ignore[attr-defined] # a name it does not export
    monkeypatch.setattr(notation3, "Decimal", notation3.Decimal)  # type: ignore[attr-defined] # as above

    def run(shapes: str | bytes, data: str | bytes, name: str = "data.ttl", use: Use | None = None) -> ShaclReport:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rdflib tells of literals that are none of their type
            report = judge(ShapesGraph([read_file(put(shapes, "shapes.ttl"))]), read_file(put(data, name)), use or "both")
        assert use or not report.differences
        return report

    return run
