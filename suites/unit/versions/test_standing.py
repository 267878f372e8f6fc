"""Which version stands: a pure function of the members, whatever order they came in."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from system.platform.lineage import Mark, Member, mark_event, standing

RANKS = st.sampled_from(["", "2021", "2021-05-01", "2022-01-01"])
MEMBERS = st.lists(st.tuples(RANKS, st.sampled_from("abc"), st.booleans()), max_size=5).map(
    lambda rows: [Member(f"d{at}", rank, received, published, None, None, 0) for at, (rank, received, published) in enumerate(rows)]
)


def marked(members: list[Member]) -> list[Member]:
    """The members as the ledger has them after their marks were written."""
    marks = {mark.doc_id: mark for mark in standing(members)}
    return [_with(member, marks[member.doc_id]) if member.doc_id in marks else member for member in members]


def _with(member: Member, mark: Mark) -> Member:
    return msgspec.structs.replace(member, superseded_by=mark.superseded_by, superseded_on=mark.superseded_on, marks=mark.marks)


@settings(max_examples=300, deadline=None)
@given(MEMBERS)
def test_one_published_version_stands_and_every_smaller_one_names_it(members: list[Member]) -> None:
    """The greatest published one; what is greater and not published yet stands beside it until it is."""
    order = {member.doc_id: (member.rank, member.received, member.doc_id) for member in members}
    published = [member.doc_id for member in members if member.published]
    leader = max(published, key=order.__getitem__, default=None)
    for member in marked(members):
        smaller = leader is not None and order[member.doc_id] < order[leader]
        assert member.superseded_by == (leader if smaller else None)


@settings(max_examples=200, deadline=None)
@given(MEMBERS)
def test_marking_again_changes_nothing(members: list[Member]) -> None:
    """Repeated after a crash, the same marks: none is written twice."""
    assert standing(marked(members)) == ()


@settings(max_examples=60, deadline=None)
@given(MEMBERS)
def test_the_order_of_publishing_does_not_show(members: list[Member]) -> None:
    """Published one after the other in any order, the same documents stand, each by the same version and for the same reason."""
    to_publish = [member.doc_id for member in members if member.published]
    ends = set()
    for order in itertools.islice(itertools.permutations(to_publish), 24):
        now = [msgspec.structs.replace(member, published=False) for member in members]
        for doc_id in order:
            now = marked([msgspec.structs.replace(one, published=True) if one.doc_id == doc_id else one for one in now])
        ends.add(tuple((one.doc_id, one.superseded_by, one.superseded_on) for one in now))
    assert len(ends) <= 1


def test_equal_ranks_say_that_only_the_receipt_decided() -> None:
    """The flag tells a reader that nothing in the documents ordered them."""
    one = Member("a", "2021", "1", True, None, None, 0)
    later, newer = Member("b", "2021", "2", True, None, None, 0), Member("c", "2022", "0", True, None, None, 0)
    assert standing([one, later]) == (Mark("a", "b", "receipt", 1, True),)
    assert standing([one, newer]) == (Mark("a", "c", "version", 1, True),)


def test_an_event_tells_repeated_moves_apart() -> None:
    """Left, came back, left again: three events; the mark alone changed: none is due."""
    ids = [mark_event(Mark("d", by, None, marks, True)).event_id for marks, by in ((1, "x"), (2, None), (3, "x"))]
    assert ids == ["document.superseded:d:1", "document.restored:d:2", "document.superseded:d:3"]
    (mark,) = standing([Member("d", "1", "", True, "x", "version", 1), Member("y", "3", "", True, None, None, 0)])
    assert (mark.superseded_by, mark.moved, mark.marks) == ("y", False, 1)
