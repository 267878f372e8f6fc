"""The W3C SHACL core suite through the path of ``harness shacl``: by the default, by pySHACL alone and by both; some through the process.

The suite is not part of the project. ``python -m scripts.bars.shacl_suite FOLDER`` or ``HARNESS_SHACL_SUITE``: the folder that holds
``core/manifest.ttl`` (``data-shapes-test-suite/tests`` of w3c/data-shapes).
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from rdflib import RDF, SH, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from harness.core.errors import HarnessError
from harness.shacl.engines import INSTALLED, Result, engines
from harness.shacl.judging import USES, Use, judge
from harness.shacl.process import validate_files
from harness.shacl.reading import read_file
from harness.shacl.report import ShaclReport
from harness.shacl.shapes import SKOLEM, ShapesGraph
from harness.shacl.terms import comparable, keep_literals, of_node
from scripts.bars.support import ended, listed, result, say

VARIABLE: Final = "HARNESS_SHACL_SUITE"
TESTS: Final = 98
IN_PROCESS: Final = 10  # every tenth test goes through the validating process too
MF: Final = Namespace("http://www.w3.org/2001/sw/DataAccess/tests/test-manifest#")
SHT: Final = Namespace("http://www.w3.org/ns/shacl-test#")
Row = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Case:
    """A test of the suite. ``rows`` is None where the suite expects a failure."""

    name: str
    data: Path
    shapes: Path
    conforms: bool
    rows: Counter[Row] | None


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.shacl_suite", description=__doc__)
    parser.add_argument("folder", nargs="?", default=os.environ.get(VARIABLE, ""))
    folder = Path(parser.parse_args(arguments).folder or "/dev/null")
    if not (folder / "core" / "manifest.ttl").is_file():
        return result(f"no W3C suite here: give the folder with core/manifest.ttl, or {VARIABLE}", passed=None)
    if not INSTALLED:
        return result("the Rust engine is not installed here", passed=None)
    logging.disable()
    cases = [case for file in sorted((folder / "core").rglob("*.ttl")) for case in read_cases(file)]
    passed: Counter[str] = Counter()
    problems: list[str] = []
    for number, case in enumerate(cases):
        for use in USES:
            wrong = judge_case(case, use)
            passed[use] += not wrong
            problems += [f"{case.name}, {use}: {line}" for line in wrong]
        if number % IN_PROCESS == 0:
            wrong = through_process(case)
            passed["in a process"] += not wrong
            problems += [f"{case.name}, process: {line}" for line in wrong]
    say(f"{len(cases)} tests: {dict(passed)}")
    figure = ", ".join(f"{use} {passed[use]} of {len(cases)}" for use in USES) + f"; process {passed['in a process']}"
    whole = len(cases) == TESTS and all(passed[use] == TESTS for use in USES)
    return result(figure, passed=whole and not problems, detail=listed(problems))


def read_cases(file: Path) -> Iterator[Case]:
    keep_literals()
    graph = Graph().parse(file, format="turtle", publicID=file.resolve().as_uri())
    for test in graph.subjects(RDF.type, SHT.Validate):
        action, expected = graph.value(test, MF.action), graph.value(test, MF.result)
        data, shapes = (_path(graph.value(action, word)) for word in (SHT.dataGraph, SHT.shapesGraph))
        rows = None if expected == SHT.Failure else Counter(_expected(graph, row) for row in graph.objects(expected, SH.result))
        conforms = str(graph.value(expected, SH.conforms)) == "true"
        yield Case(f"{file.parent.name}/{file.stem}", data, shapes, conforms, rows)


def _path(node: Node | None) -> Path:
    return Path(unquote(urlsplit(str(node)).path))


def _expected(graph: Graph, row: Node) -> Row:
    source, path = graph.value(row, SH.sourceShape), graph.value(row, SH.resultPath)
    words = (SH.focusNode, SH.value, SH.sourceConstraintComponent, SH.resultSeverity)
    return (*(comparable(of_node(graph.value(row, word))) for word in words), _source(source), _shown_path(graph, path))


def _source(shape: Node | None) -> str:
    """The name of a shape; those without one are alike."""
    return of_node(shape) if isinstance(shape, URIRef) and not str(shape).startswith(SKOLEM) else "_:"


def _shown_path(graph: Graph, path: Node | None) -> str:
    """A path with all that it is made of, in a form that does not depend on labels."""
    if path is None or isinstance(path, URIRef | Literal):
        return of_node(path)
    is_list = (path, RDF.first, None) in graph  # whatever stands beside it (path-strange-001)
    stated = [(word, value) for word, value in graph.predicate_objects(path) if not is_list or word in {RDF.first, RDF.rest}]
    parts = sorted(f"{of_node(word)} {_shown_path(graph, value)}" for word, value in stated)
    return f"[{' ; '.join(parts)}]"


def judge_case(case: Case, use: Use) -> list[str]:
    """What is wrong with the answer of one way of judging."""
    try:
        shapes, data = ShapesGraph([read_file(case.shapes)]), read_file(case.data)
        report = judge(shapes, data, use)
        engine = engines()[1 if use == "pyshacl" else 0]
        found = engine.judge(shapes, data).results
    except HarnessError as error:
        return [] if case.rows is None else [str(error)]
    if case.rows is None:
        return ["the suite expects a failure"]
    got = Counter(_found(shapes, one) for one in found)
    wrong = [f"missing {row}" for row in case.rows - got] + [f"too much {row}" for row in got - case.rows]
    return wrong + _of_report(case, report)


def _found(shapes: ShapesGraph, one: Result) -> Row:
    source = URIRef(one.shape[1:-1])
    path = _shown_path(shapes.graph, shapes.graph.value(source, SH.path))
    if one.component == str(SH.ClosedConstraintComponent):
        path = f"<{one.path.strip('<>')}>"  # the property that is too much
    words = (comparable(one.focus), comparable(one.value), f"<{one.component}>", f"<{one.severity}>")
    return (*words, _source(source), path)


def _of_report(case: Case, report: ShaclReport) -> list[str]:
    """Whether the report itself says what the suite says."""
    wrong = [f"conforms is {report.conforms}"] if report.conforms != case.conforms else []
    least = sum((case.rows or Counter[Row]()).values())
    wrong += [f"{report.violation_count} results instead of {least}"] if report.violation_count < least else []
    return wrong + [f"the engines differ: {line}" for line in report.differences]


def through_process(case: Case) -> list[str]:
    try:
        report = validate_files(case.data, [case.shapes])
    except HarnessError as error:
        return [] if case.rows is None else [str(error)]
    return ["the suite expects a failure"] if case.rows is None else _of_report(case, report)


if __name__ == "__main__":
    raise SystemExit(ended(main))
