"""``junit.xml``: a suite a layer, a case a row. Not passing is never silent: BLOCKED is skipped, doubt is an error, FAIL a failure."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.core import jsonio
from harness.core.text import clean, one_line
from harness.core.verdict import Verdict
from harness.journal.events import TestOutcome
from harness.journal.summary import Row, Summary
from harness.report.folder import RunFolder
from harness.report.tests import parent_and_name, tests_by_row

JUNIT = "junit.xml"
ELEMENTS = {Verdict.FAIL: "failure", Verdict.BLOCKED: "skipped"}  # others that are not PASS: error


def publish_junit(folder: Path, summary: Summary) -> None:
    """Write ``junit.xml`` into the run folder."""
    jsonio.write_atomic(folder / JUNIT, encoded(summary, tests_by_row(RunFolder(folder))))


def encoded(summary: Summary, tests: Mapping[str, TestOutcome]) -> bytes:
    """The document as bytes; the same summary gives the same bytes."""
    by_layer: dict[str, list[Row]] = defaultdict(list)
    for row in summary.rows:
        by_layer[row.layer or "run"].append(row)
    root = ET.Element("testsuites", {"name": "evidence-harness", **_counts(summary.rows), "time": _time(summary.duration_s)})
    for layer in summary.layers:
        by_layer.setdefault(layer.layer, [])
    took = {layer.layer: layer.duration_s for layer in summary.layers}
    for layer_name, rows in by_layer.items():
        facts = {"name": clean(layer_name), **_counts(rows), "time": _time(took.get(layer_name)), "timestamp": clean(summary.started)[:19]}
        suite = ET.SubElement(root, "testsuite", facts)
        _properties(suite, summary)
        for row in rows:
            _case(suite, row, tests)
    ET.indent(root, " ")
    text: str = ET.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'.encode()


def _counts(rows: Sequence[Row]) -> dict[str, str]:
    failures = sum(row.verdict is Verdict.FAIL for row in rows)
    skipped = sum(row.verdict is Verdict.BLOCKED for row in rows)
    errors = sum(row.verdict is not Verdict.PASS for row in rows) - failures - skipped
    return {"tests": str(len(rows)), "failures": str(failures), "errors": str(errors), "skipped": str(skipped)}


def _time(seconds: float | None) -> str:
    return f"{seconds or 0.0:.3f}"


def _properties(suite: ET.Element, summary: Summary) -> None:
    properties = ET.SubElement(suite, "properties")
    facts = {
        "run": summary.run,
        "seed": str(summary.seed),
        "profile": summary.profile,
        "mode": summary.mode,
        "verdict": str(summary.verdict),
        "coverage": summary.coverage,
        "sample_data": str(summary.sample_data).lower(),
        "journal_last_hash": summary.journal_last_hash,
    }
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=clean(value))


def _case(suite: ET.Element, row: Row, tests: Mapping[str, TestOutcome]) -> None:
    classname, name = parent_and_name(row.check, tests)
    took = tests[row.check].duration_s if row.check in tests else None
    case = ET.SubElement(
        suite,
        "testcase",
        classname=clean(classname or row.trial or row.layer or "run"),
        name=clean(name),
        time=_time(took),
    )
    facts = [("requirement", requirement) for requirement in dict.fromkeys(row.requirements)]
    facts += [(label, value) for label, value in (("value", row.value), ("limit", row.limit)) if value]
    if facts:
        properties = ET.SubElement(case, "properties")
        for label, value in facts:
            ET.SubElement(properties, "property", name=label, value=clean(value))
    if row.verdict is not Verdict.PASS:
        message = one_line(row.reason or f"{row.value} (limit {row.limit})", 500)
        found = ET.SubElement(case, ELEMENTS.get(row.verdict, "error"), type=str(row.verdict), message=f"{row.verdict}: {message}")
        found.text = clean(row.reason)
