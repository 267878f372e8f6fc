"""What was acknowledged is there; what was disturbed ends as what was not: every way to be wrong has its verdict."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.consistency.acknowledged import AcknowledgedKept, AcknowledgedKeptChecker
from harness.consistency.identities import SameIdentities, SameIdentitiesChecker
from harness.core.verdict import Verdict

NEEDS_20 = AcknowledgedKept(fault="kill")
SAME = SameIdentities(evidence="ids", reference="calm")
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def ack(number: int, at: int = 150) -> dict[str, Any]:
    return {"write_id": f"w{number:03d}", "kind": "kg", "sent_ns": at - 10, "acked_ns": at, "status": 200}


def read(number: int, found: bool = True) -> dict[str, Any]:
    return {"write_id": f"w{number:03d}", "kind": "kg", "sent_ns": 0, "visible_ns": 900, "found": found}


def kept(folder: Any, rows: list[dict[str, Any]], parameters: AcknowledgedKept = NEEDS_20) -> Any:
    folder.writes(rows)
    folder.window(100, 200)
    (row,) = AcknowledgedKeptChecker().check(folder.view(), "t", "chaos", parameters)
    return row


def both(count: int, at: int = 150) -> list[dict[str, Any]]:
    return [*(ack(number, at) for number in range(count)), *(read(number) for number in range(count))]


def test_everything_acknowledged_and_found_again_passes(folder: Any) -> None:
    """Twenty writes at risk, all read back."""
    row = kept(folder, both(20))
    assert (row.verdict, row.value) == (Verdict.PASS, "0 of 20 acknowledged writes lost, 20 in the fault window")


def test_one_lost_write_fails_and_is_named(folder: Any) -> None:
    """Loss outranks every doubt: also with too few at risk and others unread."""
    row = kept(folder, [*both(19), ack(50, at=999), read(50, found=False), ack(51)])
    assert row.verdict is Verdict.FAIL
    assert "w050" in row.reason


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (both(19), "only 19"),
        (both(40, at=99), "only 0"),
        (both(40, at=201), "only 0"),
        ([], "only 0"),
        ([{**row, "acked_ns": None} for row in both(30)], "only 0"),
    ],
)
def test_too_few_writes_at_risk_prove_nothing(folder: Any, rows: list[dict[str, Any]], reason: str) -> None:
    """Fewer than the minimum acknowledged inside the window of the fault: VACUOUS."""
    row = kept(folder, rows)
    assert (row.verdict, reason in row.reason) == (Verdict.VACUOUS, True)


def test_another_windows_writes_do_not_count(folder: Any) -> None:
    """A phase of that name, or another fault's window, is not this fault's."""
    folder.writes(both(30, at=500))
    folder.window(400, 600, kind="phase")
    folder.window(400, 600, name="other")
    folder.window(100, 200)
    (row,) = AcknowledgedKeptChecker().check(folder.view(), "t", "chaos", NEEDS_20)
    assert row.verdict is Verdict.VACUOUS


def test_an_acknowledged_write_that_nobody_read_is_inconclusive(folder: Any) -> None:
    """Not read is not found, and not lost."""
    row = kept(folder, [*both(25), ack(30)])
    assert (row.verdict, row.reason) == (Verdict.INCONCLUSIVE, "1 acknowledged writes were never read back")


def test_a_write_never_acknowledged_may_be_there_or_not(folder: Any) -> None:
    """Only what was acknowledged is promised."""
    open_writes = [{**ack(90), "acked_ns": None, "status": 503}, read(90, found=False), {**ack(91), "acked_ns": None}, read(91)]
    assert kept(folder, [*both(20), *open_writes]).verdict is Verdict.PASS


def test_the_order_of_acknowledgement_and_reading_in_the_stream_does_not_matter(folder: Any) -> None:
    """Rows of one write are put together wherever they stand; a later reading counts."""
    assert kept(folder, [*(read(number) for number in range(20)), *(ack(number) for number in range(20))]).verdict is Verdict.PASS
    folder.fresh()
    again = [*both(20), read(3, found=False), read(3, found=True)]
    assert kept(folder, again).verdict is Verdict.PASS


def test_a_minimum_of_none_is_refused() -> None:
    """A scenario cannot switch the question of risk off."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"fault": "kill", "minimum_in_fault_window": 0}, AcknowledgedKept)


@given(lost=st.sets(st.integers(0, 29)), unread=st.sets(st.integers(0, 29)))
@FEW
def test_exactly_the_lost_writes_decide(folder: Any, lost: set[int], unread: set[int]) -> None:
    """Any lost: FAIL with their number; else any unread: INCONCLUSIVE; else PASS."""
    folder.fresh()
    rows = [ack(number) for number in range(30)]
    rows += [read(number, found=number not in lost) for number in range(30) if number not in unread or number in lost]
    row = kept(folder, rows)
    assert row.verdict is (Verdict.FAIL if lost else Verdict.INCONCLUSIVE if unread else Verdict.PASS)
    assert row.value.startswith(f"{len(lost)} of 30 ")


def compare(folder: Any, reference: Any, found: Any, parameters: SameIdentities = SAME) -> Any:
    for name, content, trial in (("reference.calm", reference, ""), ("ids", found, "t")):
        if content is not None:
            folder.evidence(name, json.dumps(content).encode(), trial)
    (row,) = SameIdentitiesChecker().check(folder.view(), "t", "e2e", parameters)
    return row


MEMBERS = st.dictionaries(
    st.sampled_from(["documents", "chunks", "claims"]),
    st.lists(st.text("abc", min_size=1, max_size=3), max_size=6, unique=True).map(sorted) | st.integers(0, 9),
    max_size=3,
)


@given(reference=MEMBERS, found=MEMBERS)
@FEW
def test_only_the_same_ids_and_counts_pass(folder: Any, reference: dict[str, Any], found: dict[str, Any]) -> None:
    """PASS exactly when both say the same about something; an empty reference is VACUOUS; every difference names its member."""
    folder.fresh()
    row = compare(folder, reference, found)
    if not any(reference.values()):
        assert row.verdict is Verdict.VACUOUS
    elif reference == found:
        assert (row.verdict, row.reason) == (Verdict.PASS, "")
    else:
        assert row.verdict is Verdict.FAIL
        different = {name for name in reference | found if reference.get(name) != found.get(name)}
        assert {part.split(":")[0] for part in row.reason.split("; ")} == different


def test_differences_are_named(folder: Any) -> None:
    """Missing and extra ids by name, bounded; counts by both values; an id twice is a difference that says so."""
    row = compare(folder, {"a": ["x", "y"], "n": 3, "d": ["k"]}, {"a": ["y", "z"], "n": 4, "d": ["k", "k"]})
    assert row.verdict is Verdict.FAIL
    assert row.value == "3 of 3 members differ"
    assert "a: 1 missing ['x'], 1 extra ['z']" in row.reason
    assert "n: expected 3, found 4" in row.reason
    assert "d: the same ids in another number or order" in row.reason


@pytest.mark.parametrize(("reference", "found", "missing"), [(None, {"a": 1}, "reference"), ({"a": 1}, None, "capture")])
def test_a_missing_capture_is_an_error_not_a_difference(folder: Any, reference: Any, found: Any, missing: str) -> None:
    """What was never captured cannot be compared."""
    row = compare(folder, reference, found)
    assert (row.verdict, missing in row.reason) == (Verdict.ERROR, True)


def test_two_captures_of_one_trial_can_be_compared(folder: Any) -> None:
    """``against`` names another capture of the same trial."""
    folder.evidence("before", b'{"a": ["x"]}')
    row = compare(folder, None, {"a": ["x"]}, SameIdentities(evidence="ids", against="before"))
    assert (row.verdict, row.value) == (Verdict.PASS, "1 identities equal")
