"""The law of the ledger, by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.evidence.ledger import EDGES, FIRST, GATES, TERMINAL, State, check_edge
from system.platform.errors import IllegalTransition

ANY = st.sampled_from(sorted(State))


def test_every_state_has_its_edges_and_no_other() -> None:
    """The table names all 17 states, and every end is left by nothing but a retry."""
    assert set(EDGES) == set(State)
    assert len(State) == 17
    ends = {state: set(EDGES[state]) for state in TERMINAL}
    assert ends == {State.COMPLETED: set(), State.SKIPPED: set(), State.FAILED: {State.RETRYING}}


@given(ANY)
def test_the_first_write_is_pending(state: State) -> None:
    """A new document may enter as pending only."""
    if state is FIRST:
        check_edge("d", None, state)
    else:
        with pytest.raises(IllegalTransition, match="pending"):
            check_edge("d", None, state)


@given(st.lists(ANY, max_size=30))
def test_an_accepted_walk_uses_allowed_edges_only(wanted: list[State]) -> None:
    """Whatever is asked for, a walk that the law lets through is a walk in the table."""
    state = FIRST
    for target in wanted:
        try:
            check_edge("d", state, target)
        except IllegalTransition as error:
            assert target not in EDGES[state]
            assert target != state
            assert "d" in str(error)
        else:
            assert target in EDGES[state] or target == state
            state = target


@given(ANY, st.text(max_size=20).filter(lambda text: text not in set(State)))
def test_unknown_states_are_refused(state: State, other: str) -> None:
    """A state that does not exist is refused on both sides of an edge."""
    for old, new in ((state, other), (other, state)):
        with pytest.raises(IllegalTransition, match="not a state"):
            check_edge("d", old, new)


def test_every_state_can_be_reached_and_can_end() -> None:
    """From pending every state is reachable, and from every state an end is."""

    def reachable(start: State) -> set[State]:
        seen, todo = {start}, [start]
        while todo:
            for following in EDGES[todo.pop()] - seen:
                seen.add(following)
                todo.append(following)
        return seen

    assert reachable(FIRST) == set(State)
    assert all(reachable(state) & TERMINAL for state in State)


def test_a_gate_is_no_shortcut() -> None:
    """What waits at a gate of the PDF flow cannot be reached past it: the gate has one way on, plus failure."""
    assert {gate: EDGES[gate] - {State.FAILED} for gate in GATES} == {
        State.PDF_DOWNLOADED: {State.IR_BUILDING},
        State.PDF_IR_READY: {State.EMBEDDING},
    }
