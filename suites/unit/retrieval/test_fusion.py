"""Fusing ranked lists."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from system.evidence.fusion import lift, minmax, normalised, rrf, uninformative
from system.platform.ports import Hit

NAMES = ("bm25", "dense", "sparse")
WEIGHTS = {"bm25": 0.3, "dense": 0.4, "sparse": 0.3}
IDS = st.sampled_from([f"c{n}" for n in range(30)])


@st.composite
def hit_list(draw: st.DrawFn) -> list[Hit]:
    ids = draw(st.lists(IDS, unique=True, max_size=20))
    scores = sorted((draw(st.integers(-50, 50)) / 7 for _ in ids), reverse=True)
    return [Hit(*one) for one in zip(ids, scores, strict=True)]


LISTS = st.dictionaries(st.sampled_from(NAMES), hit_list(), min_size=1)


@given(hit_list())
def test_normalised_scores_span_zero_to_one(hits: list[Hit]) -> None:
    """The best is 1, the worst 0, the order stays; equal scores are all 1."""
    values = normalised(hits)
    ordered = [values[hit.chunk_id] for hit in hits]
    assert ordered == sorted(ordered, reverse=True)
    if hits:
        assert max(ordered) == 1.0
        assert min(ordered) == (1.0 if hits[0].score == hits[-1].score else 0.0)


@given(LISTS)
def test_fusion_is_the_union_in_a_fixed_order(lists: dict[str, list[Hit]]) -> None:
    """Every chunk of any list appears once, best first, ties by id; the order of the lists does not matter."""
    turned = dict(reversed(lists.items()))
    for fused, other in ((minmax(lists, WEIGHTS), minmax(turned, WEIGHTS)), (rrf(lists), rrf(turned))):
        assert fused == other
        assert sorted(hit.chunk_id for hit in fused) == sorted({hit.chunk_id for hits in lists.values() for hit in hits})
        assert fused == sorted(fused, key=lambda hit: (-hit.score, hit.chunk_id))


@given(LISTS)
def test_minmax_scores_stay_within_bounds(lists: dict[str, list[Hit]]) -> None:
    """Whatever lists are missing, a fused score is between 0 and 1, and 1 only for what is best everywhere."""
    for hit in minmax(lists, WEIGHTS):
        assert -1e-12 <= hit.score <= 1 + 1e-12
        if math.isclose(hit.score, 1.0):
            assert all(normalised(hits).get(hit.chunk_id) == 1.0 for hits in lists.values())


@given(LISTS, st.floats(0.1, 10), st.floats(-100, 100))
def test_minmax_does_not_see_the_scale_of_a_retriever(lists: dict[str, list[Hit]], factor: float, shift: float) -> None:
    """Stretching and shifting one retriever's raw scores moves no fused score: raw scores are never compared."""
    name = min(lists)
    stretched = {**lists, name: [Hit(hit.chunk_id, hit.score * factor + shift) for hit in lists[name]]}
    before = {hit.chunk_id: hit.score for hit in minmax(lists, WEIGHTS)}
    after = {hit.chunk_id: hit.score for hit in minmax(stretched, WEIGHTS)}
    assert all(math.isclose(before[one], after[one], abs_tol=1e-6) for one in before)


@given(hit_list())
def test_one_list_keeps_its_order(hits: list[Hit]) -> None:
    """RRF of a single list is that list; min-max may only reorder equals."""
    assert [hit.chunk_id for hit in rrf({"bm25": hits})] == [hit.chunk_id for hit in hits]
    raw = {hit.chunk_id: hit.score for hit in hits}
    fused = [raw[hit.chunk_id] for hit in minmax({"bm25": hits}, WEIGHTS)]
    assert fused == sorted(fused, reverse=True)


def test_known_values() -> None:
    """A small case by hand: weights re-normalised to 3/7 and 4/7, missing chunks count 0."""
    lists = {"bm25": [Hit("a", 10.0), Hit("b", 5.0), Hit("c", 0.0)], "dense": [Hit("b", 0.9), Hit("d", 0.1)]}
    assert {hit.chunk_id: round(hit.score, 6) for hit in minmax(lists, WEIGHTS)} == {
        "b": round(0.5 * 3 / 7 + 4 / 7, 6),
        "a": round(3 / 7, 6),
        "c": 0.0,
        "d": 0.0,
    }
    assert [(hit.chunk_id, round(hit.score, 6)) for hit in rrf(lists)][:2] == [("b", round(1 / 62 + 1 / 61, 6)), ("a", round(1 / 61, 6))]


def test_equal_scores_say_nothing() -> None:
    """Only when no list tells its hits apart is the score of no use."""
    flat, steep = [Hit("a", 1.0), Hit("b", 1.0)], [Hit("a", 2.0), Hit("b", 1.0)]
    assert uninformative({"bm25": flat, "dense": flat})
    assert not uninformative({"bm25": flat, "dense": steep})
    assert not uninformative({"bm25": [Hit("a", 1.0)]})
    assert not uninformative({})


@given(st.lists(IDS, unique=True), st.lists(IDS, unique=True, max_size=6), st.integers(1, 12))
def test_lifting_keeps_everything_and_its_promise(ids: list[str], wanted: list[str], floor: int) -> None:
    """Nothing is lost or doubled, wanted chunks stand at the floor or better, the others keep their order."""
    ranked = [Hit(one, float(-rank)) for rank, one in enumerate(ids)]
    lifted = [hit.chunk_id for hit in lift(ranked, wanted, floor)]
    present = [one for one in ids if one in wanted]
    assert sorted(lifted) == sorted(ids)
    assert set(present[:floor]) <= set(lifted[:floor])
    assert [one for one in lifted if one not in wanted] == [one for one in ids if one not in wanted]
    if all(one in ids[:floor] for one in present[:floor]):
        assert lifted == ids
