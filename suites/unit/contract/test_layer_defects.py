"""The defects that only fuzzing finds, and the bar that plants them."""

from __future__ import annotations

import importlib
import json
from typing import Any

import pytest

from harness.core.errors import UsageError
from scripts.bars import layer_defects
from scripts.bars.layer_defects import FUZZING, SYSTEM, Candidate
from scripts.bars.published import merged
from system.evidence import retrieval
from system.evidence.retrieval import MAX_TOP_K
from system.gateway import routes_answers, schemas
from system.seeded import contract_patches, defects, patches
from system.seeded_contract import CONTRACT


@pytest.fixture
def armed(request: pytest.FixtureRequest) -> Any:
    """``armed(id)`` activates a defect until the test ends."""

    def activate(name: str) -> None:
        request.addfinalizer(contract_patches()[name].activate())

    return activate


def meta() -> dict[str, Any]:
    """The meta data of an answer as it goes out."""
    made = schemas.RetrieveMeta(retrievers_used=["bm25"], fusion="rrf", degraded=False, timings_ms={}, reranked=False, mode="normal")
    return dict(json.loads(made.model_dump_json()))


def test_undoing_puts_back_what_was_there() -> None:
    """Every target is another object while the defect is armed, and the very same one afterwards."""
    for defect in CONTRACT:
        places = [target.split(":") for target in defect.targets]
        before = [vars(importlib.import_module(module))[name] for module, name in places]
        undo = defect.activate()
        assert all(vars(importlib.import_module(module))[name] is not was for (module, name), was in zip(places, before, strict=True))
        undo()
        assert all(vars(importlib.import_module(module))[name] is was for (module, name), was in zip(places, before, strict=True))


def test_only_an_answer_by_year_lacks_its_member(armed: Any) -> None:
    """An answer to a question without years keeps the document."""
    armed("fuzz: answer by year lacks a member")
    routes_answers.search_filter(schemas.Filters(kinds=["table"]))
    assert "degraded" in meta()
    routes_answers.search_filter(schemas.Filters(year_from=2001))
    assert "degraded" not in meta()
    routes_answers.search_filter(schemas.Filters())


def test_only_the_largest_top_k_is_unexpected(armed: Any) -> None:
    """One below the bound is taken."""
    armed("fuzz: largest top_k is a 500")
    assert routes_answers.Query(text="a", top_k=MAX_TOP_K - 1).top_k == MAX_TOP_K - 1
    with pytest.raises(ValueError, match="do not fit"):
        routes_answers.Query(text="a", top_k=MAX_TOP_K)


def test_only_what_latin_1_lacks_is_unexpected(armed: Any) -> None:
    """An accented letter is taken, a Greek one is not."""
    armed("fuzz: query beyond Latin-1 is a 500")
    vars(retrieval)["named_identifiers"]("Sjögren")
    with pytest.raises(UnicodeEncodeError):
        vars(retrieval)["named_identifiers"]("TNF-α")


def test_every_planted_defect_is_known_and_fuzzing_finds_its_own() -> None:
    """Ids stand once over all catalogues; those made for fuzzing count only when a fuzzing check is red."""
    known = {**defects(), **patches()}
    assert not known.keys() & contract_patches().keys()
    assert {item.id for item in SYSTEM} <= {*known, *contract_patches()}
    assert {item.id for item in SYSTEM if item.by == FUZZING} == set(contract_patches())


def test_what_was_not_tried_stays_published() -> None:
    """A defect tried again loses the checks it no longer turns red; a check that nothing turns red goes."""
    before = {"a": ["old", "again"], "b": ["again"]}
    assert merged(before, {"again": ["a"], "new": ["a", "c"]}) == {"a": ["again", "new", "old"], "c": ["new"]}


def test_a_defect_counts_by_the_checks_that_were_red_every_time() -> None:
    """One time without any makes it missed."""
    times = iter([["a", "b"], ["b", "c"], ["b"], []])
    candidate = Candidate("d", "contract", lambda: next(times))
    assert layer_defects._tried(candidate, 3) == ["b"]
    assert layer_defects._tried(candidate, 1) == []


def test_an_unknown_defect_is_wrong_usage() -> None:
    """The message names the nearest id."""
    with pytest.raises(UsageError, match="largest topk"):
        layer_defects.main(["--only", "fuzz: largest topk is a 500"])
