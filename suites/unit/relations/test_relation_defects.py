"""The defects under which the relations are tried, and the bar that tries them."""

from __future__ import annotations

import functools
import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scripts.bars.metamorphic import LEAST, OTHERS, UNDONE, Tried, candidates, main, write_table
from suites.e2e.agreement import Judged
from suites.e2e.relations import RELATIONS
from suites.unit.relations.conftest import told
from system.seeded import contract_patches, defects, patches, relation_patches
from system.seeded_relations import RELATIONS as SEEDED


def _there(target: str) -> Any:
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    return vars(functools.reduce(getattr, outer, importlib.import_module(module)))[name]


@pytest.mark.parametrize("defect", SEEDED, ids=lambda defect: defect.id)
def test_undoing_puts_back_what_was_there(defect: Any) -> None:
    """Every target is another object while the defect is armed, and the very same one afterwards."""
    before = [_there(target) for target in defect.targets]
    undo = defect.activate()
    assert all(_there(target) is not was for target, was in zip(defect.targets, before, strict=True))
    undo()
    assert all(_there(target) is was for target, was in zip(defect.targets, before, strict=True))


def test_every_relation_has_its_mend_undone_and_two_more() -> None:
    """Only what the removal of documents leaves is no relation of a mend; ids stand once over all catalogues."""
    tried = Counter(candidates().values())
    assert set(tried) == set(UNDONE) == set(RELATIONS) - {"nothing is left"}
    assert min(tried.values()) >= LEAST
    assert not relation_patches().keys() & {*defects(), *patches(), *contract_patches()}
    assert set(OTHERS) <= set(patches())


@pytest.mark.parametrize("name", ["eligibility: sides by the old reader", "doses: not in the key", "studies: by registration number alone"])
def test_a_mend_undone_is_red_by_its_relation(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The story told with the defect armed breaks the relation of its kind."""
    request.addfinalizer(relation_patches()[name].activate())
    assert RELATIONS[candidates()[name]](told(tmp_path)).problems


def test_an_unknown_defect_is_an_error_of_usage() -> None:
    """With the nearest name."""
    with pytest.raises(Exception, match="doses: not in the key"):
        main(["--only", "doses: not in the keys"])


def test_a_story_that_cannot_be_told_finds_nothing() -> None:
    """Neither does a relation that compared nothing on a clean story, nor another relation than the one of the defect's kind."""
    red, nothing = Judged(3, ("wrong",)), Judged(0)
    assert not Tried("d", "a", {}, 1.0, "it broke").right
    assert not Tried("d", "a", {"b": red}, 1.0).right
    assert Tried("d", "a", {"a": red}, 1.0).right
    assert not Tried("", "", {"a": nothing}, 1.0).right
    assert Tried("", "", {"a": Judged(3)}, 1.0).right


def test_the_table_names_what_was_not_red(tmp_path: Path) -> None:
    """A row a defect, with the first problem; the clean story says how much it compared."""
    tried = [
        Tried("", "", {"a": Judged(3)}, 1.0),
        Tried("d", "a", {"a": Judged(3, ("x | y",))}, 1.0),
        Tried("e", "a", {"a": Judged(3)}, 1.0),
    ]
    write_table(tmp_path / "t.md", tried)
    text = (tmp_path / "t.md").read_text()
    assert "| a | d | planted, red | 1 | x \\| y |" in text
    assert "| a | e | planted, NOT RED | 0 |" in text
    assert "green | 0 | compared: a 3 |" in text
