"""Which operation, body and principal each arrival gets; the plan's files; the checker that the load was the planned one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness.core.errors import DamagedRun, UsageError
from harness.core.verdict import Verdict
from harness.load.shape.mix_check import ALPHA, MixCheck, MixChecker, chi_square, transitions_fit
from harness.load.shape.mixes import Choice, Mix, choose, chosen, probabilities
from harness.load.shape.plan import Arrivals, LoadPlan, load_plan
from harness.scenario.parameters import ParameterError, decode_parameters

SEEDS = st.integers(0, 2**63 - 1)
KINDS = {
    "store": {"op": "store", "path": "/store", "pool": "pool.jsonl", "principals": ["a", "b", "c"]},
    "recall": {"op": "recall", "path": "/recall", "pool": "pool.jsonl", "principals": ["a", "b", "c"]},
    "search": {"op": "search", "path": "/search"},
}
SOURCE = {"store": {"store": 0.25, "recall": 0.6, "search": 0.25}, "recall": {"store": 0.25, "recall": 0.25, "search": 0.4}}


class _Holder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mix: Mix | None = None
    choice: Choice | None = None


def mix(**given: Any) -> Mix:
    found = decode_parameters(_Holder, {"mix": given}).mix
    assert found is not None
    return found


def choice(**given: Any) -> Choice:
    found = decode_parameters(_Holder, {"choice": given}).choice
    assert found is not None
    return found


def draw(how: Choice, count: int, pool: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return chosen(how, count, pool, np.random.Generator(np.random.PCG64(seed)), "pool")


@given(count=st.integers(0, 500), pool=st.integers(1, 60), seed=SEEDS)
def test_in_passes_every_body_gets_its_turn(count: int, pool: int, seed: int) -> None:
    """Whole shuffled passes: numbers of uses differ by at most one."""
    dealt = draw(choice(kind="passes"), count, pool, seed)
    assert len(dealt) == count
    uses = np.bincount(dealt, minlength=pool)
    assert len(uses) == pool
    assert uses.max() - uses.min() <= 1


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("pool", [2, 50, 1_000])
def test_zipf_is_bounded_and_has_exactly_its_law(exponent: float, pool: int) -> None:
    """Probabilities sum to one over the pool, every draw lies in it, and 50,000 draws fit the law (χ², p above 10⁻⁴)."""
    how = choice(kind="zipf", exponent=exponent)
    law = probabilities(how, pool)
    assert law.sum() == pytest.approx(1.0, abs=1e-12)
    assert law[0] / law[-1] == pytest.approx(pool**exponent)
    drawn = draw(how, 50_000, pool)
    assert 0 <= drawn.min() <= drawn.max() < pool
    assert chi_square(np.bincount(drawn, minlength=pool), law) > 1e-4


def test_the_unbounded_sampler_of_the_source_would_be_found() -> None:
    """Seeded defect: u^(-1/s) leaves the pool, and cut off at its end it does not fit the law."""
    u = np.random.Generator(np.random.PCG64(1)).random(50_000)
    wrong = np.floor(u ** (-1 / 1.0)).astype(np.int64) - 1
    assert wrong.max() > 1_000
    assert chi_square(np.bincount(np.minimum(wrong, 49), minlength=50), probabilities(choice(kind="zipf"), 50)) < ALPHA


def test_hot_keys_get_their_share() -> None:
    """90 % to three of a hundred, evenly among them; a pool that is not larger than the hot keys is refused."""
    how = choice(kind="hot", share="90 %", keys=3)
    counts = np.bincount(draw(how, 50_000, 100), minlength=100)
    assert counts[:3].sum() / 50_000 == pytest.approx(0.9, abs=0.01)
    assert chi_square(counts, probabilities(how, 100)) > 1e-4
    with pytest.raises(UsageError, match="3 hot keys among 3"):
        probabilities(how, 3)


def test_our_chi_square_is_that_of_scipy() -> None:
    """Where every cell expects enough, the p value is the one of the reference implementation."""
    counts, law = np.array([210, 480, 310]), np.array([0.2, 0.5, 0.3])
    assert chi_square(counts, law) == pytest.approx(chisquare(counts, law * 1000).pvalue, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_operations_fit_their_weights_and_transitions_their_matrix(seed: int) -> None:
    """χ²: independent operations against the weights; correlated ones, chain by chain, against the normalised matrix."""
    plain = mix(operations={"store": {"weight": 3}, "recall": {"weight": 4}, "search": {"weight": 3}})
    assert chi_square(np.bincount(choose(plain, 20_000, [5, 5, 1], 1, seed).operations), plain.weights) > 1e-4
    chained = mix(
        operations={"store": {"weight": 3}, "recall": {"weight": 4}, "search": {"weight": 3}}, transitions=SOURCE, correlation="30 %"
    )
    drawn = choose(chained, 20_000, [5, 5, 1], 7, seed)
    assert transitions_fit(drawn.operations.astype(np.int64), drawn.principals, chained.matrix) > 1e-4
    assert transitions_fit(drawn.operations.astype(np.int64), drawn.principals, plain.matrix) < ALPHA  # the correlation shows


def test_rows_that_do_not_sum_to_one_are_weights() -> None:
    """The source's rows sum to 1.1 and 0.9 here (1.35 there): normalised, mixed with the weights by the correlation."""
    made = mix(operations={"store": {}, "recall": {}, "search": {}}, transitions=SOURCE, correlation="50 %")
    assert made.matrix.sum(axis=1) == pytest.approx([1, 1, 1])
    assert made.matrix[0] == pytest.approx([(0.25 / 1.1 + 1 / 3) / 2, (0.6 / 1.1 + 1 / 3) / 2, (0.25 / 1.1 + 1 / 3) / 2])
    assert made.matrix[2] == pytest.approx([1 / 3] * 3)  # no row: the weights


def test_a_transition_that_cannot_happen_never_does() -> None:
    """Zero weights are zero: after a store comes a recall, always."""
    made = mix(operations={"store": {}, "recall": {}}, transitions={"store": {"recall": 1}, "recall": {"store": 1}})
    drawn = choose(made, 1_000, [1, 1], 1, 3).operations
    assert np.all(drawn[1:] != drawn[:-1])


WRONG = [
    ({"operations": {}}, "Expected `object` of length >= 1"),
    ({"operations": {"store": {"weight": 0}}}, "no operation has a weight above 0"),
    ({"operations": {"store": {}}, "transitions": {"stroe": {"store": 1}}}, r"transitions name 'stroe' \(did you mean 'store'\?\)"),
    ({"operations": {"store": {}}, "transitions": {"store": {"store": 0}}}, "nothing follows 'store'"),
    ({"operations": {"store": {"bodies": {"kind": "zipff"}}}}, r"'zipff' \(did you mean 'zipf'\?\)"),
    ({"operations": {"store": {"wieght": 1}}}, r"`wieght` \(did you mean 'weight'\?\)"),
    ({"operations": {"store": {}}, "correlation": "130 %"}, "between 0 % and 100 %"),
]


@pytest.mark.parametrize(("given_", "message"), WRONG)
def test_a_wrong_mix_is_refused_with_the_nearest_right_word(given_: dict[str, Any], message: str) -> None:
    """Unknown words, missing weights and impossible shares are errors of the scenario."""
    with pytest.raises(ParameterError, match=message):
        mix(**given_)


# --- the plan -------------------------------------------------------------------------------------------------------


def planned(folder: Path, seed: int = 1, **given: Any) -> LoadPlan:
    (folder / "pool.jsonl").write_text("".join(f'{{"q": {number}}}\n' for number in range(20)))
    parameters = decode_parameters(Arrivals, {"rate": "200 /s", "duration": "5 s", **given})
    return load_plan(parameters, {"requests": KINDS}, folder, seed)


CHAINED = {"operations": {"store": {"weight": 3}, "recall": {"weight": 4}, "search": {"weight": 3}}, "transitions": SOURCE}


def test_choices_name_the_request_of_each_arrival(tmp_path: Path) -> None:
    """Operation, body and role of the chosen request are those that were drawn; only combinations that occur are listed."""
    plan = planned(tmp_path, mix={**CHAINED, "principals": {"kind": "zipf"}})
    assert len(plan.offsets) == len(plan.choices) == 1000
    for number in range(0, 1000, 7):
        request = plan.requests[plan.choices[number]]
        kind = plan.kinds[request.kind]
        assert request.kind == plan.chosen.operations[number]
        assert request.role == (("a", "b", "c")[plan.chosen.principals[number]] if kind.op != "search" else "")
        assert request.body == (f'{{"q": {plan.chosen.bodies[number]}}}' if kind.op != "search" else "")
    assert set(plan.choices.tolist()) == set(range(len(plan.requests)))


def test_the_stored_plan_is_the_same_to_the_byte_for_the_same_seed(tmp_path: Path) -> None:
    """Every array has one hash a seed; another seed changes the random ones and leaves even arrivals alone."""
    first, again, other = (planned(tmp_path, seed, mix=CHAINED).store(tmp_path, "s") for seed in (1, 1, 2))
    assert first == again
    assert {name for name in first if first[name] != other[name]} == {"s.choices.npy", "s.operations.npy", "s.principals.npy"}


def test_hot_bodies_are_tagged(tmp_path: Path) -> None:
    """Requests for hot keys carry their number as the samples' key."""
    plan = planned(tmp_path, mix={"operations": {"store": {"bodies": {"kind": "hot", "share": "90 %", "keys": 2}}}})
    keys = Counter(plan.requests[place].key for place in plan.choices)
    assert keys["hot-0"] + keys["hot-1"] == pytest.approx(900, abs=60)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_the_timeline_of_a_plan_is_its_arrays(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """What a dry run prints are the very offsets, operations, bodies and principals that would be sent."""
    plan = planned(tmp_path_factory.mktemp("plan"), seed, mix=CHAINED, shape={"kind": "poisson", "rate": "50/s"}, rate=None)
    rows = list(plan.sendings())
    assert [row[0] for row in rows] == plan.offsets.tolist()
    assert [row[1] for row in rows] == [plan.kinds[place].op for place in plan.chosen.operations]
    assert [row[2] for row in rows] == plan.chosen.bodies.tolist()


# --- the checker ------------------------------------------------------------------------------------------------------


def ran(place: Any, plan: LoadPlan, *, rows: int | None = None, swap: bool = False, unsent: str = "") -> None:
    """A run that carried the plan: the first ``rows`` of it, one operation swapped, one operation never sent."""
    files = plan.store(place.run_folder / "trials" / "t", "load")
    place.emit(plan.event("t", "load", files))
    made = []
    for number, (due, op, _body, _principal) in enumerate(list(plan.sendings())[:rows]):
        carried = {"store": "recall", "recall": "store"}.get(op, "store") if swap and number == 5 else op
        sent = None if op == unsent else due + 10**9 + 1000
        made.append({"op": carried, "step": "load", "intended_ns": due + 10**9, "sent_ns": sent, "status": 200, "outcome": "ok"})
    place.rows("requests", made[::-1])


def verdict(place: Any) -> tuple[Verdict, str]:
    rows = MixChecker().check(place.view(), "t", "load", MixCheck())
    assert len(rows) == 1
    return rows[0].verdict, f"{rows[0].value} {rows[0].reason}"


def test_a_load_that_carried_its_plan_passes(place: Any) -> None:
    """Every operation at its time, transitions as the matrix says: also when rows come in another order."""
    ran(place, planned(place.project, mix=CHAINED))
    assert verdict(place)[0] is Verdict.PASS


def test_a_plan_that_was_ended_early_is_no_misfit(place: Any) -> None:
    """The rows of a stopped step are the beginning of its plan."""
    ran(place, planned(place.project, mix=CHAINED), rows=400)
    assert verdict(place)[0] is Verdict.PASS


def test_one_swapped_operation_is_seen(place: Any) -> None:
    """Seeded defect: one request of a thousand carried another operation; the load is not the planned one."""
    ran(place, planned(place.project, mix=CHAINED), swap=True)
    assert verdict(place) == (Verdict.INCONCLUSIVE, "1 of 1000 rows differ requests carried another operation than planned")


@pytest.mark.parametrize("given_", [{"mix": CHAINED}, {"mix": {"operations": CHAINED["operations"]}}])
def test_an_operation_that_was_never_sent_is_seen(place: Any, given_: dict[str, Any]) -> None:
    """Seeded defect: the generator drops one operation; shares, or what follows what, no longer fit."""
    ran(place, planned(place.project, **given_), unsent="store")
    found, text = verdict(place)
    assert found is Verdict.INCONCLUSIVE
    assert "is not that of the plan" in text


def test_nothing_sent_is_vacuous_and_a_changed_plan_is_damage(place: Any) -> None:
    """Without rows nothing was checked; a plan file that is not the journaled one is no evidence."""
    plan = planned(place.project, mix=CHAINED)
    ran(place, plan, rows=0)
    assert verdict(place)[0] is Verdict.VACUOUS
    place.rows("requests", [{"op": "store", "step": "load", "intended_ns": 5, "sent_ns": 5, "status": 200, "outcome": "ok"}])
    (place.run_folder / "trials" / "t" / "load.operations.npy").write_bytes(b"other")
    with pytest.raises(DamagedRun, match=r"load\.operations\.npy: not what the journal vouches for"):
        verdict(place)
