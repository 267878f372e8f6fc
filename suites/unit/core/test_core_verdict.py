"""The laws of merging verdicts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.core.verdict import Verdict, judge, merge

VERDICTS = st.lists(st.sampled_from(Verdict), max_size=8)


@given(VERDICTS, VERDICTS, VERDICTS)
def test_merging_is_commutative_associative_and_idempotent(a: list[Verdict], b: list[Verdict], c: list[Verdict]) -> None:
    """Verdicts merge in any order and grouping to the same worst one; nothing is the neutral element."""
    parts = [group for group in (a, b, c) if group]
    assert merge(a + b) is merge(b + a)
    assert merge([merge(group) for group in parts]) is merge(a + b + c)
    assert merge(a + a) is merge(a)


@given(VERDICTS.filter(bool))
def test_the_worst_verdict_wins(verdicts: list[Verdict]) -> None:
    """The merged verdict is one of those given, and none of them is worse."""
    merged = merge(verdicts)
    assert merged in verdicts
    assert all(merged.badness <= verdict.badness for verdict in verdicts)


def test_nothing_checked_is_vacuous() -> None:
    """Without any check, or with only blocked optional ones, there is nothing to pass."""
    assert merge([]) is Verdict.VACUOUS
    assert judge([], [Verdict.BLOCKED]) is Verdict.VACUOUS


def test_a_blocked_required_check_blocks_and_an_optional_one_does_not() -> None:
    """BLOCKED is taken out before merging only where it is optional."""
    assert judge([Verdict.BLOCKED], [Verdict.PASS]) is Verdict.BLOCKED
    assert judge([Verdict.PASS], [Verdict.BLOCKED, Verdict.PASS]) is Verdict.PASS


def test_every_verdict_has_an_exit_code_of_the_contract() -> None:
    """Exit codes are 0 PASS, 1 FAIL, 3 BLOCKED, 4 INCONCLUSIVE or VACUOUS, 5 ERROR or ABORTED."""
    codes = {verdict.value: verdict.exit_code for verdict in Verdict}
    assert codes == {"PASS": 0, "FAIL": 1, "BLOCKED": 3, "INCONCLUSIVE": 4, "VACUOUS": 4, "ERROR": 5, "ABORTED": 5}
