"""Pooling: only at least three homogeneous studies, one effect each, random effects, ratios on the log scale.

Comparable are effects on one outcome with one measure, unit and pair of arms, at one time point and dose, in one population, all
adjusted or all crude (:class:`PoolingKey`). What cannot be pooled is listed singly with its reason. Flagged effects, and those
that are themselves made of other studies, are never pooled.
"""

from __future__ import annotations

import functools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import NormalDist

import msgspec

from system.evidence.briefing.comparability import NOT_STATED, UNCLEAR, outcome_alone, setting_of, states_pooled
from system.evidence.briefing.model import NotPooled, Pooled, PoolingKey
from system.evidence.briefing.random_effects import combine_points
from system.evidence.extraction.measures import RATIOS
from system.evidence.records import CheckStatus, Effect, EffectType

MIN_STUDIES = 3
MAX_I2_PERCENT = 50.0
POOLED_PERCENT = 95.0
_CIRCUMSTANCES = ("time_point", "dose", "population", "adjustment")
_ORIGINS = {"registry": 0, "table": 1, "prose": 2}
_NOISE = re.compile(
    r"\b(?:the|an?|group|groups|arm|arms|matching|matched|only|alone|therapy|treatment|tablets?|capsules?|\d+(?:[.·]\d+)?\s?(?:mg|g|µg|mcg|mL))\b",
    re.IGNORECASE,
)

_STRENGTH = re.compile(
    r"\b\d+(?:[.·]\d+)?[\s-]?(?:mg|g|µg|μg|mcg|ug|ng|mL|ml|IU|U|units?|mmol|mEq)\b(?:\s?/\s?(?:kg|m2|m²|day|d)\b)*"
    r"|\b(?:low(?:er)?|high(?:er)?|medium|moderate|standard|full|half|double|reduced|intermediate)[\s-]+dos(?:e|age)\b"
    r"|\b(?:once|twice|(?:two|three|four|[2-4])\s+times)(?:\s+(?:a|per|each|every)\s+(?:day|week|month)|[\s-]+(?:daily|weekly|monthly))?\b"
    r"|\b(?:daily|weekly|monthly|[bqt]\.?i\.?d|q\.?d|every\s+(?:other\s+|\d+\s+)?(?:days?|weeks?|months?|hours?))\b",
    re.IGNORECASE,
)


class StudyEffect(msgspec.Struct, frozen=True, dict=True):  # dict: for the cached property
    """An effect with the study it belongs to: a trial's registry record, its articles and their versions are one study."""

    study: str
    effect: Effect
    intervention: str = ""  # the topic's intervention, where the study is about it; else the effect's own
    condition: str = ""  # the topic's condition: it sets no study's participants apart
    covers: tuple[str, ...] = ()  # further studies whose participants this one reports (an article on several trials)
    synthesis: bool = False  # a review or meta-analysis: its effect is made of other studies

    @functools.cached_property
    def key(self) -> PoolingKey | None:
        """What it may be combined with; None where it is combined with nothing. Read from long quotes, so only once."""
        return _key(self)


def normal_name(text: str) -> str:
    """A name for comparison: case-folded words without brackets, articles and strengths."""
    plain = re.sub(r"[(\[][^()\[\]]*[)\]]", " ", text)
    return " ".join(re.findall(r"[^\W_]+", _NOISE.sub(" ", plain).casefold()))


def groups(effects: Iterable[StudyEffect]) -> Mapping[PoolingKey, tuple[StudyEffect, ...]]:
    """Comparable effects, one a study: unflagged, with outcome, intervention, comparator, a usable interval and clear circumstances.

    Nobody is counted twice: of a study and another that reports the same participants, only one is kept.
    """
    return {key: members for key, members in _by_key(effects).items() if _clear(key)}


def _by_key(effects: Iterable[StudyEffect]) -> Mapping[PoolingKey, tuple[StudyEffect, ...]]:
    found: dict[PoolingKey, dict[str, StudyEffect]] = defaultdict(dict)
    for candidate in effects:
        key = candidate.key
        if key is None:
            continue
        present = found[key].get(candidate.study)
        if present is None or _rank(candidate.effect) < _rank(present.effect):
            found[key][candidate.study] = candidate
    return {key: _without_overlap(tuple(found[key][study] for study in sorted(found[key]))) for key in sorted(found)}


def pool(effects: Iterable[StudyEffect]) -> tuple[tuple[Pooled, ...], tuple[NotPooled, ...]]:
    """Every question that at least two studies answer: pooled where they are comparable, else listed with the reason why not."""
    pooled: list[Pooled] = []
    singly: list[NotPooled] = []
    families: dict[PoolingKey, dict[PoolingKey, tuple[StudyEffect, ...]]] = defaultdict(dict)
    for key, members in _by_key(effects).items():
        families[_family(key)][key] = members
    for family in families.values():
        together = {key: members for key, members in family.items() if len(members) > 1 and _clear(key)}
        for key, members in together.items():
            result = _judged(key, members)
            if isinstance(result, Pooled):
                pooled.append(result)
            else:
                singly.append(result)
        singly += _different(family, {member.study for members in together.values() for member in members})
    return tuple(pooled), tuple(singly)


def _judged(key: PoolingKey, members: Sequence[StudyEffect]) -> Pooled | NotPooled:
    """The combined result of comparable studies, or why there is none."""
    ids, outcome = tuple(member.effect.record_id for member in members), members[0].effect.outcome
    if len(members) < MIN_STUDIES:
        return NotPooled(key.type, outcome, f"{len(members)} comparable studies; pooling needs {MIN_STUDIES}", ids, key)
    result = combine(key, members)
    if result.i2 > MAX_I2_PERCENT:
        reason = f"heterogeneous: I² = {result.i2:.1f} % is above {MAX_I2_PERCENT:.0f} %"
        return NotPooled(key.type, outcome, reason, ids, key, i2=result.i2)
    if not all(map(math.isfinite, (result.value, result.ci_low, result.ci_high, result.tau2))):
        return NotPooled(key.type, outcome, "the combined estimate is too large or too small to be written", ids, key, i2=result.i2)
    return result


def _different(family: Mapping[PoolingKey, tuple[StudyEffect, ...]], grouped: set[str]) -> Iterator[NotPooled]:
    """Studies on the family's question that nobody can be compared with, because circumstances differ or are unclear."""
    alone = {key: members for key, members in family.items() if len(members) == 1 or not _clear(key)}
    members = [member for found in alone.values() for member in found]
    everybody = {member.study for found in family.values() for member in found}
    if len(everybody) < 2 or not {member.study for member in members} - grouped:
        return
    values = {name: tuple(dict.fromkeys(getattr(key, name) for key in family)) for name in _CIRCUMSTANCES}
    differing = {name: " | ".join(found) for name, found in values.items() if len(found) > 1}
    key = msgspec.structs.replace(next(iter(alone)), **differing)
    said = [f"different {name.replace('_', ' ')} ({found.replace(' | ', '; ')})" for name, found in differing.items()]
    said += [f"unclear {name.replace('_', ' ')}" for name in _CIRCUMSTANCES if values[name] == (UNCLEAR,)]
    ids = tuple(member.effect.record_id for member in members)
    yield NotPooled(key.type, members[0].effect.outcome, f"not comparable: {', '.join(said)}", ids, key)


def _without_overlap(members: tuple[StudyEffect, ...]) -> tuple[StudyEffect, ...]:
    """The members without those that report again the participants of another member; who reports fewer studies stays."""
    kept: list[StudyEffect] = []
    for member in sorted(members, key=lambda m: (len(m.covers), m.study)):
        reported = {member.study, *member.covers}
        if all(reported.isdisjoint({other.study, *other.covers}) for other in kept):
            kept.append(member)
    return tuple(sorted(kept, key=lambda m: m.study))


def _family(key: PoolingKey) -> PoolingKey:
    """The question itself, whatever the circumstances."""
    return msgspec.structs.replace(key, **dict.fromkeys(_CIRCUMSTANCES, ""))


def _clear(key: PoolingKey) -> bool:
    return UNCLEAR not in {getattr(key, name) for name in _CIRCUMSTANCES}


def combine(key: PoolingKey, members: Sequence[StudyEffect]) -> Pooled:
    """DerSimonian-Laird over the members; ratios are combined as logarithms and given back as ratios.

    A figure that no floating-point number holds is infinite; :func:`pool` shows none of those.
    """
    result = combine_points([estimate(member.effect) for member in members])
    half = _z(POOLED_PERCENT) * result.error
    back = _exp if key.type in RATIOS else float
    first = members[0]
    return Pooled(
        type=key.type,
        outcome=first.effect.outcome,
        intervention=first.intervention or first.effect.intervention,
        comparator=first.effect.comparator,
        unit=first.effect.unit,
        studies=len(members),
        value=back(result.mean),
        ci_low=back(result.mean - half),
        ci_high=back(result.mean + half),
        i2=result.i2,
        tau2=result.tau2,
        record_ids=tuple(member.effect.record_id for member in members),
        key=key,
    )


def _exp(logarithm: float) -> float:
    try:
        return math.exp(logarithm)
    except OverflowError:
        return math.inf


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
    return NormalDist().inv_cdf(0.5 + percent / 200)


def _key(candidate: StudyEffect) -> PoolingKey | None:
    effect = candidate.effect
    outcome, comparator = _outcome_name(effect.outcome), _arm_name(effect.comparator)
    intervention = _arm_name(candidate.intervention or effect.intervention)
    if effect.check.status is CheckStatus.FLAGGED or not (outcome and comparator and intervention) or not _usable(effect):
        return None
    if candidate.synthesis or states_pooled(effect):
        return None
    setting = setting_of(effect, candidate.condition)
    return PoolingKey(outcome, effect.type, _unit(effect), intervention, comparator, **msgspec.structs.asdict(setting))


def _unit(effect: Effect) -> str:
    """The unit in its own words, "" for what has none by nature; brackets count: "points (0-10)" are not "points (0-100)"."""
    if effect.type in RATIOS or effect.type is EffectType.STANDARDISED_MEAN_DIFFERENCE:
        return " ".join(effect.unit.casefold().split())
    return " ".join(effect.unit.casefold().split()) or NOT_STATED


def _arm_name(arm: str) -> str:
    """An arm's name without the dose, which stands in a field of its own."""
    return normal_name(_STRENGTH.sub(" ", arm)) or normal_name(arm)


def _outcome_name(outcome: str) -> str:
    """The outcome's name for comparison. Brackets count ("Pain (VAS)" is not "Pain (NRS)"), abbreviations of the words before do not."""
    plain = re.sub(r"[(\[]([^()\[\]]*)[)\]]", lambda m: " " if _abbreviates(m[1], outcome[: m.start()]) else f" {m[1]} ", outcome)
    return normal_name(outcome_alone(plain)) or normal_name(outcome)


def _abbreviates(short: str, words: str) -> bool:
    """Whether the letters of ``short`` are the first letters of the last words, as in "overall survival (OS)"."""
    letters = short.strip().casefold()
    initials = "".join(word[0] for word in re.findall(r"[^\W_]+", words.casefold()))
    return letters.isalpha() and 2 <= len(letters) <= 8 and initials.endswith(letters)


def _usable(effect: Effect) -> bool:
    """An interval at a stated percentage that encloses the value and gives a standard error."""
    low, high, percent = effect.ci_low, effect.ci_high, effect.ci_percent
    if low is None or high is None or percent is None or not 0 < percent < 100 or not low < high or not low <= effect.value <= high:
        return False
    if effect.type is EffectType.MEDIAN_DIFFERENCE or (effect.type in RATIOS and low <= 0):
        return False
    try:
        return all(map(math.isfinite, (low, high, *estimate(effect))))
    except (ValueError, ArithmeticError):
        return False


def _rank(effect: Effect) -> tuple[int, int, int, str]:
    """Among several effects of one study the registry's goes first, then the one over more participants, then the earlier one."""
    return _ORIGINS.get(effect.origin, 9), -(effect.n_total or 0), effect.spans[0].start, effect.record_id
