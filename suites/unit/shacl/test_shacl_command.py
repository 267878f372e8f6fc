"""``harness shacl`` as a user calls it: one case of each kind, by its exit code and what it prints."""

from __future__ import annotations

import argparse
import gzip
from typing import Any

import pytest

from harness.cli.shacl import arguments, execute
from harness.core.errors import UsageError

BORE = "sh:property [ sh:path k:bore ; sh:minCount 1 ] ."
VALVE = "k:Valve sh:targetClass k:valve ; "
OTHER = " k:Other sh:targetClass k:valve ; sh:property [ sh:path k:extra ; sh:maxCount 9 ] ."
BARE = "k:v7 a k:valve ."


@pytest.fixture
def command(put: Any, capsys: Any) -> Any:
    """Exit code and text of the command."""

    def call(shapes: str | bytes, data: str | bytes, *options: str, name: str = "data.ttl") -> tuple[int, str]:
        parser = argparse.ArgumentParser()
        arguments(parser, "shacl")
        code = execute(parser.parse_args([str(put(data, name)), str(put(shapes, "shapes.ttl")), *options]))
        return code, " ".join(capsys.readouterr().out.split())

    return call


NAMED = "<urn:k:v7> <http://www.w3.org/1999/02/22-rdf-syntax-ns#type> <urn:k:valve> <urn:k:g> .\n"
SIZE = "k:S sh:targetSubjectsOf k:size ; sh:property [ sh:path k:size ; "


@pytest.mark.parametrize(
    ("shapes", "data", "name", "code", "words"),
    [
        (VALVE + BORE, NAMED, "d.nq", 1, "1 violations"),
        (VALVE + BORE, "k:g { k:v7 a k:valve . }", "d.trig", 1, "1 violations"),
        ("k:valve a <http://www.w3.org/2002/07/owl#Class> ; " + BORE, BARE, "d.ttl", 1, "1 violations"),
        ("k:Kind rdfs:subClassOf rdfs:Class . k:valve a k:Kind , sh:NodeShape ; " + BORE, BARE, "d.ttl", 1, "1 violations"),
        (VALVE + "sh:node k:In . k:In " + BORE, BARE, "d.ttl", 1, "1 violations"),
        (VALVE + "sh:deactivated true ; " + BORE, BARE, "d.ttl", 4, "Valve: it is deactivated"),
        (
            VALVE + "sh:property [ sh:path k:bore ; sh:minCount 1 ; sh:deactivated true ] .",
            BARE,
            "d.ttl",
            4,
            "urn:k:bore of urn:k:Valve: it is deact",
        ),
        (VALVE + "sh:name 'valve' .", BARE, "d.ttl", 4, "Valve: it has no constraint"),
        ("k:Valve a sh:NodeShape ; " + BORE + OTHER, BARE, "d.ttl", 4, "Valve: it has no target"),
        (VALVE + "sh:js [ sh:jsFunctionName 'f' ] .", BARE, "d.ttl", 4, "Valve: sh:js is not evaluated"),
        ("k:Valve sh:target [ sh:select 'SELECT ?this {}' ] ; " + BORE + OTHER, BARE, "d.ttl", 4, "sh:target is not evaluated"),
        (SIZE + 'sh:pattern "^00" ] .', 'k:v k:size "0042"^^xsd:integer .', "d.ttl", 0, "0 violations"),
        (SIZE + "sh:hasValue false ] .", 'k:v k:size "0"^^xsd:boolean .', "d.ttl", 1, "1 violations"),
        (SIZE + "sh:hasValue false ] .", 'k:v k:size "no"^^xsd:boolean .', "d.ttl", 1, "1 violations"),
        (SIZE + "sh:in ( 42 ) ] .", "k:v k:size 0042 .", "d.ttl", 1, "1 violations"),
    ],
)
def test_each_kind_of_fault_ends_with_the_right_code_and_says_why(
    command: Any, shapes: str, data: str, name: str, code: int, words: str
) -> None:
    """Violations 1, shapes that judged nothing 4 with their names, nothing wrong 0."""
    ended, said = command(shapes, data, name=name)
    assert ended == code, said
    assert words in said


def test_the_table_puts_a_result_at_its_owner_with_its_severity(command: Any) -> None:
    """Of two shapes that share a property shape; and the level that fails decides the exit."""
    shapes = (
        "k:Bore sh:path k:bore ; sh:minCount 1 ; sh:severity sh:Warning ."
        " k:A sh:targetClass k:pipe ; sh:property k:Bore . k:B sh:targetClass k:valve ; sh:property k:Bore ."
    )
    data = BARE + " k:p1 a k:pipe ; k:bore 30 ."
    code, said = command(shapes, data)
    assert code == 1
    assert "urn:k:A 1 0 urn:k:B 1 1 1 Warning" in said
    assert command(shapes, data, "--fail-on", "violation")[0] == 0


@pytest.mark.parametrize(
    ("shapes", "data", "name", "words"),
    [
        (VALVE + "sh:property [\n sh:path k:bore ;\n sh:mincount 1 ] .", BARE, "d.ttl", r"shapes\.ttl:8: .*did you mean 'sh:minCount'"),
        (VALVE + "sh:property [\n sh:path k:bore ;\n sh:minCount -1 ] .", BARE, "d.ttl", r"shapes\.ttl:8: .*a whole number"),
        (VALVE + "\n sh:or () .", BARE, "d.ttl", r"shapes\.ttl:7: .*empty list"),
        (VALVE + "\n sh:property [ sh:path k:bore ; sh:pattern '(' ] .", BARE, "d.ttl", r"shapes\.ttl:7: .*sh:pattern"),
        (VALVE + BORE, gzip.compress(b"<urn:k:a> <urn:k:b> 1 .\n" * 90)[:-12], "d.ttl.gz", r"d\.ttl\.gz: cannot be read"),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(command: Any, shapes: str, data: Any, name: str, words: str) -> None:
    """A usage error (exit 2) through the process that validates."""
    with pytest.raises(UsageError, match=words):
        command(shapes, data, name=name)


def test_both_engines_and_one_alone_are_named(command: Any) -> None:
    """By --both and --engine, which exclude each other."""
    good = BARE + " k:v7 k:bore 40 ."
    assert "by shacl 0" in command(VALVE + BORE, good, "--both")[1]
    assert "and pySHACL" in command(VALVE + BORE, good, "--both")[1]
    assert "by pySHACL" in command(VALVE + BORE, good, "--engine", "pyshacl")[1]
    with pytest.raises(UsageError, match="exclude each other"):
        command(VALVE + BORE, good, "--both", "--engine", "shacl")
