"""Pooling and conflicts: only what is comparable, on the right scale, checked against arithmetic done here."""

from __future__ import annotations

import math
from typing import Any

import pytest

from system.evidence.briefing import pooling
from system.evidence.briefing.comparability import Setting, setting_of
from system.evidence.briefing.conflicts import conflicts, disagree
from system.evidence.briefing.pooling import StudyEffect, estimate, normal_name, pool
from system.evidence.records import Check, CheckStatus, Effect, EffectType

from .conftest import Shelf

Z95 = 1.959963984540054
HOMOGENEOUS = ((0.80, 0.70, 0.92), (0.75, 0.62, 0.91), (0.85, 0.70, 1.03))


def members(shelf: Shelf, rows: Any, **more: Any) -> list[StudyEffect]:
    return [StudyEffect(f"S{i}", shelf.put(f"s{i}").effect(*row, **more)) for i, row in enumerate(rows)]


def by_hand(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """DerSimonian-Laird in plain arithmetic: mean, its standard error, I² in percent."""
    weights = [1 / error**2 for _, error in points]
    fixed = sum(w * y for w, (y, _) in zip(weights, points, strict=True)) / sum(weights)
    q = sum(w * (y - fixed) ** 2 for w, (y, _) in zip(weights, points, strict=True))
    df = len(points) - 1
    tau2 = max(0.0, (q - df) / (sum(weights) - sum(w**2 for w in weights) / sum(weights)))
    again = [1 / (error**2 + tau2) for _, error in points]
    mean = sum(w * y for w, (y, _) in zip(again, points, strict=True)) / sum(again)
    return mean, math.sqrt(1 / sum(again)), max(0.0, 100 * (q - df) / q) if q else 0.0


def test_ratios_are_pooled_on_the_log_scale(shelf: Shelf) -> None:
    """Three homogeneous hazard ratios give the value of the arithmetic done by hand."""
    (result,), singly = pool(members(shelf, HOMOGENEOUS))
    points = [(math.log(v), (math.log(h) - math.log(lo)) / (2 * Z95)) for v, lo, h in HOMOGENEOUS]
    mean, error, i2 = by_hand(points)
    assert result.value == pytest.approx(math.exp(mean), rel=1e-9)
    assert result.ci_low == pytest.approx(math.exp(mean - Z95 * error), rel=1e-9)
    assert result.ci_high == pytest.approx(math.exp(mean + Z95 * error), rel=1e-9)
    assert (result.i2, result.studies, singly) == (pytest.approx(i2, abs=1e-9), 3, ())
    assert (round(result.value, 3), round(result.ci_low, 3), round(result.ci_high, 3)) == (
        0.799,
        0.726,
        0.88,
    )  # by hand: weights 205.73, 104.36, 103.00, mean -0.22433, error 0.04920


def test_moderate_heterogeneity_widens_the_interval(shelf: Shelf) -> None:
    """With tau² above zero the random-effects weights are those of DerSimonian and Laird."""
    rows = ((-1.0, -1.6, -0.4), (-0.2, -0.9, 0.5), (-0.9, -1.5, -0.3), (-0.1, -0.8, 0.6))
    (result,), _ = pool(members(shelf, rows, type=EffectType.MEAN_DIFFERENCE, unit="kg"))
    mean, error, i2 = by_hand([(v, (h - lo) / (2 * Z95)) for v, lo, h in rows])
    assert 0 < i2 <= 50
    assert (result.value, result.ci_low, result.i2) == (pytest.approx(mean), pytest.approx(mean - Z95 * error), pytest.approx(i2))
    assert result.tau2 > 0


def test_the_interval_counts_at_its_stated_percentage(shelf: Shelf) -> None:
    """A 97.5 % interval of the same width means a smaller error than a 95 % one."""
    paper = shelf.put("p")
    errors = [estimate(paper.effect(0.8, 0.7, 0.92, ci_percent=percent))[1] for percent in (95.0, 97.5, 99.0)]
    width = math.log(0.92 / 0.7)
    assert errors == [pytest.approx(width / (2 * z)) for z in (Z95, 2.241402727604947, 2.5758293035489004)]


def test_heterogeneous_studies_are_listed_singly(shelf: Shelf) -> None:
    """I² above 50 % is a reason, and the reason is said."""
    pooled, (group,) = pool(members(shelf, ((0.5, 0.4, 0.6), (1.0, 0.9, 1.1), (1.6, 1.3, 1.9))))
    assert pooled == ()
    assert group.i2 is not None
    assert group.i2 > 50
    assert "heterogeneous" in group.reason


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "cough"}, {"outcome": ""}, {"type": EffectType.ODDS_RATIO}, {"comparator": "usual care"},
        {"comparator": ""}, {"intervention": ""}, {"intervention": "Yoga"},
        {"ci_percent": None}, {"ci_low": None}, {"ci_low": 0.0}, {"unit": "kg"}, {"check": Check(CheckStatus.FLAGGED, ("direction",))},
    ],
)  # fmt: skip
def test_two_comparable_studies_are_not_pooled(shelf: Shelf, change: dict[str, Any]) -> None:
    """A third study that differs in outcome, type, arm or unit, or is flagged, or has no interval does not make three."""
    group = members(shelf, HOMOGENEOUS[:2])
    value, low, high = HOMOGENEOUS[2]
    other = {"low": low, "high": high, **{k[3:]: v for k, v in change.items() if k in ("ci_low", "ci_high")}}
    rest = {k: v for k, v in change.items() if k not in ("ci_low", "ci_high")}
    group.append(StudyEffect("S9", shelf.put("s9").effect(value, other["low"], other["high"], **rest)))
    pooled, singly = pool(group)
    assert pooled == ()
    assert [g.reason for g in singly] == ["2 comparable studies; pooling needs 3"]


def test_one_effect_a_study(shelf: Shelf) -> None:
    """A trial's registry record, table and abstract count once; the registry goes first."""
    paper = shelf.put("p")
    effects: list[Effect] = [
        paper.effect(v, lo, h, origin=o) for (v, lo, h), o in zip(HOMOGENEOUS, ("prose", "registry", "table"), strict=True)
    ]
    pooled, singly = pool([StudyEffect("NCT1", effect) for effect in effects])
    assert (pooled, singly) == ((), ())
    others = members(shelf, HOMOGENEOUS[:2])
    (result,), _ = pool([*(StudyEffect("NCT1", e) for e in effects), *others])
    assert (result.studies, effects[1].record_id in result.record_ids) == (3, True)


@pytest.mark.parametrize(
    ("kind", "one", "other", "expected"),
    [
        (EffectType.HAZARD_RATIO, (0.5, 0.4, 0.6), (2.0, 1.5, 2.5), True),
        (EffectType.HAZARD_RATIO, (0.5, 0.3, 1.2), (1.5, 1.0, 2.5), False),
        (EffectType.HAZARD_RATIO, (0.5, 0.4, 0.6), (0.8, 0.7, 0.9), False),
        (EffectType.MEAN_DIFFERENCE, (0.5, 0.4, 0.6), (2.0, 1.5, 2.5), False),
        (EffectType.MEAN_DIFFERENCE, (-0.5, -0.8, -0.2), (0.5, 0.2, 0.8), True),
        (EffectType.MEAN_DIFFERENCE, (0.5, 0.4, None), (-2.0, -2.5, -1.5), False),
    ],
)
def test_a_conflict_needs_both_conditions(shelf: Shelf, kind: EffectType, one: Any, other: Any, *, expected: bool) -> None:
    """Opposite sides of the null (1 for ratios, 0 for differences) and intervals that do not overlap."""
    effects = [shelf.put(name).effect(*row, type=kind) for name, row in (("x", one), ("y", other))]
    assert disagree(*effects) is expected
    assert bool(conflicts([StudyEffect(e.doc_id, e) for e in effects])) is expected


def test_a_flagged_effect_makes_no_conflict(shelf: Shelf) -> None:
    """What may be wrong contradicts nobody."""
    good = shelf.put("x").effect(0.5, 0.4, 0.6)
    bad = shelf.put("y").effect(2.0, 1.5, 2.5, check=Check(CheckStatus.FLAGGED, ("number:2",)))
    assert conflicts([StudyEffect("x", good), StudyEffect("y", bad)]) == ()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Matching placebo", "placebo", True),
        ("the Zen group", "zen", True),
        ("Zen 10 mg", "Zen", True),
        ("6 month mortality", "12 month mortality", False),
    ],
)
def test_names_are_compared_without_noise(one: str, other: str, *, same: bool) -> None:
    """Articles, groups and strengths do not matter; what makes another outcome does."""
    assert (normal_name(one) == normal_name(other)) is same


def test_the_circumstances_of_an_effect_are_read_once(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pooling and looking for conflicts ask for the same key, which costs milliseconds an effect."""
    read: list[str] = []

    def counted(effect: Effect, condition: str = "") -> Setting:
        read.append(effect.record_id)
        return setting_of(effect, condition)

    monkeypatch.setattr(pooling, "setting_of", counted)
    effects = [StudyEffect(f"S{i}", shelf.put(f"s{i}").effect(0.8, 0.7, 0.92)) for i in range(3)]
    pool(effects)
    conflicts(effects)
    assert read == [effect.effect.record_id for effect in effects]
