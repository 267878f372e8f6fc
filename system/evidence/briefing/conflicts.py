"""Conflicts: two studies of one question whose effects lie on opposite sides of the null with intervals that do not overlap."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations

from system.evidence.briefing.model import ConflictPair
from system.evidence.briefing.pooling import StudyEffect, groups
from system.evidence.extraction.check import null_value
from system.evidence.records import Effect

_MAX_PAIRS = 100  # a group with more contradictions than this is told by its first ones


def conflicts(effects: Iterable[StudyEffect]) -> tuple[ConflictPair, ...]:
    """Every conflicting pair of comparable effects (one a study, none of them flagged), in a fixed order."""
    found: list[ConflictPair] = []
    for key, members in groups(effects).items():
        for one, other in combinations(members, 2):
            if disagree(one.effect, other.effect):
                found.append(
                    ConflictPair(
                        key.type,
                        one.effect.outcome,
                        (one.effect.record_id, other.effect.record_id),
                        f"{one.effect.outcome}: {_brief(one.effect)} against {_brief(other.effect)}",
                    )
                )
    return tuple(found[:_MAX_PAIRS])


def disagree(one: Effect, other: Effect) -> bool:
    """Opposite directions (the null is 1 for ratios, 0 for differences) and intervals without a common value."""
    if one.type is not other.type or None in (one.ci_low, one.ci_high, other.ci_low, other.ci_high):
        return False
    null = null_value(one.type)
    opposite = (one.value - null) * (other.value - null) < 0
    apart = (one.ci_high or 0.0) < (other.ci_low or 0.0) or (other.ci_high or 0.0) < (one.ci_low or 0.0)
    return opposite and apart


def _brief(effect: Effect) -> str:
    return f"{effect.type.value} {effect.value:g} ({effect.ci_low:g} to {effect.ci_high:g})"
