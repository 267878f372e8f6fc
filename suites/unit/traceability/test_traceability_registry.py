"""The register of requirements is read strictly; marks with wrong ids are errors before any test runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.core.errors import UsageError
from harness.traceability.registry import EVIDENCE, check_marker_ids, load_requirements, requirement_ids

REGISTER = Path(__file__).parents[3] / "docs" / "requirements.tsv"
HEADER = "id\tgroup\ttext\tthreshold\tevidence\n"


def test_the_register_of_this_project_is_whole():
    """315 requirements of five families, each with words and an evidence kind."""
    found = load_requirements(REGISTER)
    assert Counter(item.id.split("-")[0] for item in found) == {"OPS": 30, "INF": 85, "DEV": 69, "M18": 47, "RES": 84}
    assert {item.evidence for item in found} == set(EVIDENCE)
    assert len({item.text for item in found}) > 300


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("A-1\tg\tt\t\texecuted\nA-1\tg\tt\t\texecuted\n", "r.tsv:3: A-1 stands twice; remove one of the lines"),
        ("A-1\tg\tt\texecuted\n", "r.tsv:2: 4 columns instead of 5"),
        ("a 1\tg\tt\t\texecuted\n", "r.tsv:2: 'a 1' is no requirement id"),
        ("A-1\tg\tt\t\texecute\n", "r.tsv:2: unknown evidence 'execute' (did you mean 'executed'?)"),
        ("A-1\tg\t \t\tstatic\n", "r.tsv:2: A-1 has no group or no text"),
        ("\n", "r.tsv:2: 1 columns instead of 5"),
    ],
)
def test_a_wrong_line_is_named_with_its_remedy(tmp_path, lines, said):
    """Duplicate, malformed and incomplete lines give file:line and what to do."""
    path = tmp_path / "r.tsv"
    path.write_text(HEADER + lines)
    with pytest.raises(UsageError) as caught:
        load_requirements(path)
    assert said in str(caught.value)


def test_all_wrong_lines_are_listed_at_once(tmp_path):
    """A person corrects the file in one go."""
    path = tmp_path / "r.tsv"
    path.write_text(HEADER + "x\nA-1\tg\tt\t\tnothing\n")
    with pytest.raises(UsageError) as caught:
        load_requirements(path)
    assert str(caught.value).count("r.tsv:") == 2


@pytest.mark.parametrize("content", [b"", b"id\ttext\n", b"\xff\xfe\x00"])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    """No header, or no text at all."""
    path = tmp_path / "r.tsv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"r\.tsv"):
        load_requirements(path)


def test_a_missing_register_is_said_or_empty(tmp_path):
    """Loading says that it is not there; asking for ids gives none, for projects without a register."""
    with pytest.raises(UsageError, match="cannot be read"):
        load_requirements(tmp_path / "none.tsv")
    assert requirement_ids(tmp_path / "none.tsv") == frozenset()
    assert "OPS-2.1" in requirement_ids(REGISTER)


def marked(node: str, *ids: str):
    return SimpleNamespace(nodeid=node, iter_markers=lambda name: [SimpleNamespace(args=ids)] if name == "requirement" else [])


def test_marks_are_checked_against_the_register():
    """Known ids pass; unknown and repeated ones are all named with their test and the nearest right id."""
    ids = frozenset({"OPS-2.1", "OPS-2.3"})
    check_marker_ids([marked("a", "OPS-2.1", "OPS-2.3"), marked("b")], ids)
    with pytest.raises(UsageError) as caught:
        check_marker_ids([marked("c", "OPS-2.2"), marked("d", "OPS-2.1", "OPS-2.1")], ids)
    assert "c: unknown requirement 'OPS-2.2' (did you mean 'OPS-2." in str(caught.value)
    assert "d: requirement OPS-2.1 is named twice" in str(caught.value)
