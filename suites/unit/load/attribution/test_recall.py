"""Recall per second: against exact answers made beforehand, on the requests that carried the load."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from harness.core.errors import HarnessError, UsageError
from harness.core.verdict import Verdict
from harness.journal.events import FaultApplied, FaultUndone, Series
from harness.load.engine.plan import EnginePlan
from harness.load.recall import Exact, Oracle, Recall, RecallDriver, answer_ids, recall_at, request_key
from harness.load.recall_check import RecallUnderFault, RecallUnderFaultChecker
from harness.load.requests import PlannedRequest, RequestKind
from harness.run.context import store_evidence
from harness.thresholds.figures import values_of

S = 1_000_000_000
IDS = tuple(f"c{number:02}" for number in range(20))
EXACT = Exact("q", IDS, tuple(1 - number / 100 for number in range(20)))


def test_recall_is_the_share_of_the_exact_best() -> None:
    """The order within the first k does not matter, what stands behind does not count."""
    assert recall_at(20, IDS, EXACT) == 1.0
    assert recall_at(20, IDS[::-1], EXACT) == 1.0
    assert recall_at(10, IDS[::-1], EXACT) == 0.0
    assert recall_at(20, [*IDS[:15], "x", "y", "z", "u", "v"], EXACT) == 0.75
    assert recall_at(20, [*IDS[:10], *"abcdefghij", *IDS[10:]], EXACT) == 0.5
    assert recall_at(20, [], EXACT) == 0.0


def test_a_short_answer_is_not_whole() -> None:
    """An answer that gives ten where twenty are asked for has at most half of them."""
    assert recall_at(20, IDS[:10], EXACT) == 0.5
    assert recall_at(20, [*IDS[:1]] * 20, EXACT) == 0.05


def test_what_ties_with_the_last_one_is_as_good() -> None:
    """Any of the items that tie at the edge completes an answer; one that scores less does not."""
    tied = Exact("q", (*IDS, "t1", "t2"), (*EXACT.scores, EXACT.scores[-1], EXACT.scores[-1] - 0.1))
    assert recall_at(20, [*IDS[:19], "t1"], tied) == 1.0
    assert recall_at(20, [*IDS[:19], "t2"], tied) == 0.95


def test_fewer_than_k_exact_ones_can_all_be_found() -> None:
    """Where there are three items, three are all; where there are none, nothing is missing."""
    few = Exact("q", ("a", "b", "c"), (3.0, 2.0, 1.0))
    assert recall_at(20, ["c", "a", "b"], few) == 1.0
    assert recall_at(20, ["x"], Exact("q", (), ())) == 1.0


@pytest.mark.parametrize("body", [b"", b"[]", b'{"results": 3}', b'{"results": [{"id": 1}]}', b'{"other": []}'])
def test_a_body_without_ids_is_no_answer(body: bytes) -> None:
    """It is left out, and said; it is not an answer that found nothing."""
    assert answer_ids(body, "results.chunk_id") is None


def loaded(place: Any, answers: list[tuple[int, int, tuple[str, ...]]], *, oracle: bool = True) -> Any:
    """A run folder with answers (second, planned request, ids) and their oracle; the context of the step ``recall``."""
    context = place.context("http://127.0.0.1:1", {}, step="recall")
    bodies = [f'{{"query": "{number}"}}' for number in range(3)]
    plan = EnginePlan(
        trial="t",
        step="load",
        host="h",
        port=1,
        kinds=(RequestKind(op="ask", path="/"),),
        requests=tuple(PlannedRequest(0, body) for body in bodies),
        key_header="",
        offsets_file="",
        choices_file="",
        timeout_s=1.0,
        duration_s=1.0,
        run_folder="",
    )
    (context.folder / "load.engine.json").write_bytes(msgspec.json.encode(plan))
    if oracle:
        exact = tuple(Exact(request_key(body), IDS, EXACT.scores) for body in bodies[:2])
        store_evidence(context, "retrieval_oracle", "oracle", msgspec.json.encode(Oracle(20, "test", exact)))
    rows = [
        {
            "op": "ask",
            "step": "load",
            "intended_ns": at * S + number,
            "request_id": f"load-{number}",
            "request": request,
            "status": 200,
            "body": json.dumps({"results": [{"chunk_id": name} for name in ids]}).encode(),
        }
        for number, (at, request, ids) in enumerate(answers)
    ]
    place.rows("answers", rows)
    return context


def test_every_answer_gets_its_recall_and_every_second_its_mean(place: Any) -> None:
    """Rows for thresholds, a series for the plot; an answer to an unknown question is left out and said."""
    context = loaded(place, [(1, 0, IDS), (1, 1, IDS[:10]), (3, 0, ()), (3, 2, IDS)])
    RecallDriver().run(context, Recall(step="load"))
    view = place.view()
    samples = view.samples("recall", "t")
    assert values_of("recall@20", samples).values.tolist() == [1.0, 0.5, 0.0]
    assert values_of("recall@10", samples).values.tolist() == [1.0, 1.0, 0.0]
    (drawn,) = [item.event for item in view.events("series")]
    assert isinstance(drawn, Series)
    assert (drawn.name, drawn.unit, drawn.values) == ("recall@20", "%", (75.0, 0.0))
    assert [at // S for at in drawn.times_ns] == [1, 3]
    assert "1 of 4" in view.events("note")[0].event.text


def test_without_an_oracle_nothing_is_measured(place: Any) -> None:
    """The error names what is missing and where it would come from."""
    with pytest.raises(UsageError, match="oracle"):
        RecallDriver().run(loaded(place, [(1, 0, IDS)], oracle=False), Recall(step="load"))


def test_without_kept_answers_nothing_is_measured(place: Any) -> None:
    """The error says which setting keeps them; answers of which none is known to the oracle are none either."""
    context = loaded(place, [(1, 2, IDS)])
    with pytest.raises(HarnessError, match="none of 1 answers"):
        RecallDriver().run(context, Recall(step="load"))
    with pytest.raises(HarnessError, match="keep_answers"):
        RecallDriver().run(context, Recall(step="other"))


@pytest.mark.parametrize(
    ("before", "under", "after", "verdict"),
    [
        (1.0, 0.6, 1.0, Verdict.PASS),
        (1.0, 1.0, 1.0, Verdict.VACUOUS),  # the fault took nothing away
        (1.0, 0.6, 0.6, Verdict.FAIL),  # it did not come back
        (0.9, 0.6, 1.0, Verdict.FAIL),  # it was not whole to begin with
    ],
)
def test_recall_has_to_fall_and_to_come_back(place: Any, before: float, under: float, after: float, verdict: Verdict) -> None:
    """Whole, fallen, whole: anything else is not the proof that was asked for."""
    shares = {**dict.fromkeys(range(10, 15), before), 17: 0.0, **dict.fromkeys(range(20, 30), under), **dict.fromkeys(range(30, 40), after)}
    counted = [(at, 0, IDS[: round(20 * share)]) for at, share in shares.items() for _ in range(5)]
    RecallDriver().run(loaded(place, counted), Recall(step="load"))
    fault = {"trial": "t", "fault": "away"}
    place.emit(FaultApplied(**fault, at_ns=20 * S), FaultUndone(**fault, at_ns=30 * S))
    (row,) = RecallUnderFaultChecker().check(place.view(), "t", "load", RecallUnderFault(fault="away"))
    assert row.verdict is verdict


def test_recall_without_a_fault_proves_nothing(place: Any) -> None:
    """No fault, or too few answers on one side of it: VACUOUS and INCONCLUSIVE."""
    RecallDriver().run(loaded(place, [(at, 0, IDS) for at in range(10, 40)]), Recall(step="load"))
    checker, parameters = RecallUnderFaultChecker(), RecallUnderFault(fault="away")
    assert checker.check(place.view(), "t", "load", parameters)[0].verdict is Verdict.VACUOUS
    fault = {"trial": "t", "fault": "away"}
    place.emit(FaultApplied(**fault, at_ns=20 * S), FaultUndone(**fault, at_ns=30 * S))
    assert checker.check(place.view(), "t", "load", parameters)[0].verdict is Verdict.INCONCLUSIVE
