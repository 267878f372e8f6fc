"""A small part of the bar ``shacl_fuzz``, and what the bar found."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli.shacl import arguments, execute
from harness.core.errors import UsageError
from harness.shacl.engines import INSTALLED, engines
from harness.shacl.judging import judge
from harness.shacl.reading import RdfFile
from harness.shacl.shapes import ShapesGraph
from scripts.bars.shacl_fuzz import Tally, judge_shapes
from scripts.bars.shacl_random import shapes_file

PREFIXES = "@prefix sh: <http://www.w3.org/ns/shacl#> . @prefix x: <urn:x:> . @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .\n"
needs_both = pytest.mark.skipif(not INSTALLED, reason="the Rust engine is not installed here")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """rdflib tells of every ill-typed literal."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def _file(text: str) -> RdfFile:
    return RdfFile(Path("given.ttl"), (PREFIXES + text).encode(), "turtle")


@needs_both
def test_random_shapes_and_data_give_no_difference_that_is_not_known() -> None:
    tally = Tally()
    for seed in range(9_000_000, 9_000_080):
        judge_shapes(seed, 4, tally)
    assert tally.unexplained == []
    assert tally.pairs >= 300
    assert tally.results > 300


def test_the_same_seed_gives_the_same_shapes() -> None:
    assert shapes_file(17).content == shapes_file(17).content != shapes_file(18).content


@pytest.mark.parametrize("closed", ["", "sh:closed false ;"])
def test_ignored_properties_of_a_shape_that_is_not_closed_say_nothing_to_any_engine(closed: str) -> None:
    shapes = ShapesGraph([_file(f"x:S a sh:NodeShape ; {closed} sh:targetNode x:n ; sh:nodeKind sh:IRI ; sh:ignoredProperties ( x:p ) .")])
    for engine in engines():
        assert engine.judge(shapes, _file("x:n x:q x:m .")).results == ()


def test_a_property_shape_as_value_of_node_is_refused_with_its_line() -> None:
    shapes = ShapesGraph(
        [_file("x:S a sh:NodeShape ; sh:targetNode x:n ;\n sh:node x:P .\nx:P a sh:PropertyShape ; sh:path x:p ; sh:minCount 1 .")]
    )
    with pytest.raises(UsageError, match=r"sh:node is the property shape urn:x:P") as told:
        judge(shapes, _file("x:n x:q x:m ."))
    assert "given.ttl:3" in str(told.value)


def test_names_that_look_like_a_picture_or_like_markup_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shapes, data = tmp_path / "shapes.ttl", tmp_path / "data.ttl"
    shapes.write_text(PREFIXES + "x:Sound a sh:NodeShape ; sh:targetNode x:n ; sh:nodeKind sh:IRI .", encoding="utf-8")
    data.write_text(PREFIXES + "x:n x:p 1 .", encoding="utf-8")
    parser = argparse.ArgumentParser()
    arguments(parser, "shacl")
    assert execute(parser.parse_args([str(data), str(shapes)])) == 0
    assert "urn:x:Sound" in capsys.readouterr().out


@needs_both
def test_a_closed_property_shape_is_never_accepted_on_the_word_of_the_engine_that_closes_other_nodes() -> None:
    shapes = ShapesGraph(
        [_file("x:S a sh:PropertyShape ; sh:targetNode x:n ; sh:path x:p ; sh:closed true ; sh:ignoredProperties ( x:p ) .")]
    )
    report = judge(shapes, _file("x:n x:p x:m . x:m x:q x:o ."))
    assert report.differences, "the value node x:m has a property too many"
