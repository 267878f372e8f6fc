"""The page of known defects names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "known-defects.md"
NODE = re.compile(r"`(suites/[\w/]+\.py)::(\w+)`")


def rows() -> list[tuple[str, str]]:
    """(defect, kept out by) of every row of the page's tables."""
    found = []
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and cells[0] != "defect":
            assert len(cells) == 2, line
            found.append((cells[0], cells[1]))
    return found


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")}


def missing(page_rows: list[tuple[str, str]]) -> list[str]:
    """What is wrong with the rows: no test, or one that is not there."""
    wrong = []
    for defect, kept in page_rows:
        nodes = NODE.findall(kept)
        left = re.sub(r"[,\s]", "", NODE.sub("", kept))
        if bool(nodes) == kept.startswith("later issue: ") or (nodes and left):
            wrong.append(f"{defect}: neither tests nor a later issue: {kept}")
        wrong += [
            f"{file}::{name} does not exist" for file, name in nodes if not (ROOT / file).is_file() or name not in functions_of(ROOT / file)
        ]
    return wrong


def test_every_defect_has_a_test_that_exists_or_a_later_issue() -> None:
    """Each row names test functions that are there, or the issue that will bring one; no defect stands twice."""
    found = rows()
    assert len(found) > 50
    assert missing(found) == []
    assert len({defect for defect, _ in found}) == len(found)


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "soon",
        "`suites/unit/none.py::test_x`",
        "`suites/unit/regressions/test_page.py::test_none`",
        "later issue: x, `suites/unit/a.py::test_b`",
    ],
)
def test_a_row_without_a_real_test_is_found(kept: str) -> None:
    """Seeded: an empty cell, a promise, a file or function that is not there, and both at once."""
    assert missing([("a defect", kept)])
