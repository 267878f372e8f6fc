"""Pooling: only at least three homogeneous studies, one effect each, random effects, ratios on the log scale.

What cannot be pooled is listed singly with its reason. Flagged effects are never pooled.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from system.evidence.briefing.model import NotPooled, Pooled
from system.evidence.extraction.measures import RATIOS
from system.evidence.records import CheckStatus, Effect, EffectType

MIN_STUDIES = 3
MAX_I2_PERCENT = 50.0
POOLED_PERCENT = 95.0
_ORIGINS = {"registry": 0, "table": 1, "prose": 2}
_NOISE = re.compile(
    r"\b(?:the|an?|group|groups|arm|arms|matching|matched|only|alone|therapy|treatment|tablets?|capsules?|\d+(?:[.·]\d+)?\s?(?:mg|g|µg|mcg|mL))\b",
    re.IGNORECASE,
)


class StudyEffect(msgspec.Struct, frozen=True):
    """An effect with the study it belongs to: a trial's registry record and its articles are one study."""

    study: str
    effect: Effect
    intervention: str = ""  # the topic's intervention, where the study is about it; else the effect's own


class GroupKey(msgspec.Struct, frozen=True, order=True):
    """What makes effects comparable: outcome, measure, unit, intervention and comparator side, all normalised."""

    outcome: str
    type: EffectType
    unit: str
    intervention: str
    comparator: str


def normal_name(text: str) -> str:
    """A name for comparison: case-folded words without brackets, articles and strengths."""
    plain = re.sub(r"[(\[][^()\[\]]*[)\]]", " ", text)
    return " ".join(re.findall(r"[^\W_]+", _NOISE.sub(" ", plain).casefold()))


def groups(effects: Iterable[StudyEffect]) -> Mapping[GroupKey, tuple[StudyEffect, ...]]:
    """Comparable effects, one a study: unflagged, with outcome, intervention, comparator and a usable interval."""
    found: dict[GroupKey, dict[str, StudyEffect]] = defaultdict(dict)
    for candidate in effects:
        key = _key(candidate)
        if key is None:
            continue
        present = found[key].get(candidate.study)
        if present is None or _rank(candidate.effect) < _rank(present.effect):
            found[key][candidate.study] = candidate
    return {key: tuple(found[key][study] for study in sorted(found[key])) for key in sorted(found)}


def pool(effects: Iterable[StudyEffect]) -> tuple[tuple[Pooled, ...], tuple[NotPooled, ...]]:
    """Every group of at least two studies, pooled or listed with the reason why not."""
    pooled: list[Pooled] = []
    singly: list[NotPooled] = []
    for key, members in groups(effects).items():
        ids = tuple(member.effect.record_id for member in members)
        outcome = members[0].effect.outcome
        if len(members) < 2:
            continue
        if len(members) < MIN_STUDIES:
            singly.append(NotPooled(key.type, outcome, f"{len(members)} comparable studies; pooling needs {MIN_STUDIES}", ids))
            continue
        result = combine(key, members)
        if result.i2 > MAX_I2_PERCENT:
            reason = f"heterogeneous: I² = {result.i2:.1f} % is above {MAX_I2_PERCENT:.0f} %"
            singly.append(NotPooled(key.type, outcome, reason, ids, i2=result.i2))
        else:
            pooled.append(result)
    return tuple(pooled), tuple(singly)


def combine(key: GroupKey, members: Sequence[StudyEffect]) -> Pooled:
    """DerSimonian-Laird over the members; ratios are combined as logarithms and given back as ratios."""
    # Slow to import (seconds on a small machine), and most dossiers pool nothing: see warm_up.
    import numpy as np
    from statsmodels.stats.meta_analysis import combine_effects

    points = np.array([estimate(member.effect) for member in members])
    with np.errstate(invalid="ignore"):
        result = combine_effects(points[:, 0], points[:, 1] ** 2, method_re="dl", alpha=1 - POOLED_PERCENT / 100)
    # The library does not cut tau² off at zero as DerSimonian and Laird do; at zero both models are the same.
    model = "re" if result.tau2 > 0 else "fe"
    mean, error = float(getattr(result, f"mean_effect_{model}")), float(getattr(result, f"sd_eff_w_{model}"))
    z = _z(POOLED_PERCENT)
    back = math.exp if key.type in RATIOS else float
    first = members[0]
    return Pooled(
        type=key.type,
        outcome=first.effect.outcome,
        intervention=first.intervention or first.effect.intervention,
        comparator=first.effect.comparator,
        unit=first.effect.unit,
        studies=len(members),
        value=back(mean),
        ci_low=back(mean - z * error),
        ci_high=back(mean + z * error),
        i2=max(0.0, 100 * float(result.i2)),
        tau2=max(0.0, float(result.tau2)),
        record_ids=tuple(member.effect.record_id for member in members),
    )


def warm_up() -> None:
    """Imports the statistics library ahead of the first dossier that pools; a server calls this before it is ready."""
    import statsmodels.stats.meta_analysis  # noqa: F401


def estimate(effect: Effect) -> tuple[float, float]:
    """(estimate, standard error) on the scale on which it is combined; the error comes from the interval at its stated percentage.

    Raises ``ValueError`` for an effect without a usable interval.
    """
    if effect.ci_low is None or effect.ci_high is None or effect.ci_percent is None:
        raise ValueError(f"effect {effect.record_id} has no interval with a stated percentage")
    to = math.log if effect.type in RATIOS else float
    error = (to(effect.ci_high) - to(effect.ci_low)) / (2 * _z(effect.ci_percent))
    if error <= 0:
        raise ValueError(f"effect {effect.record_id} has an interval without width")
    return to(effect.value), error


def _z(percent: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(0.5 + percent / 200)


def _key(candidate: StudyEffect) -> GroupKey | None:
    effect = candidate.effect
    outcome, comparator = normal_name(effect.outcome), normal_name(effect.comparator)
    intervention = normal_name(candidate.intervention or effect.intervention)
    if effect.check.status is CheckStatus.FLAGGED or not (outcome and comparator and intervention) or not _usable(effect):
        return None
    return GroupKey(outcome, effect.type, normal_name(effect.unit) or effect.unit, intervention, comparator)


def _usable(effect: Effect) -> bool:
    low, high, percent = effect.ci_low, effect.ci_high, effect.ci_percent
    if low is None or high is None or percent is None or not 0 < percent < 100 or not low < high or not low <= effect.value <= high:
        return False
    finite = all(math.isfinite(n) for n in (low, high, effect.value))
    return finite and effect.type is not EffectType.MEDIAN_DIFFERENCE and (effect.type not in RATIOS or low > 0)


def _rank(effect: Effect) -> tuple[int, int, int, str]:
    """Among several effects of one study the registry's goes first, then the one over more participants, then the earlier one."""
    return _ORIGINS.get(effect.origin, 9), -(effect.n_total or 0), effect.spans[0].start, effect.record_id
