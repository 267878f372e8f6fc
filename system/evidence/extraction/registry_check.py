"""Claim against quote for registry records: what contradicts itself is written, shown with its flags and never pooled.

Flags: ``quote:<field>`` (no quote holds the claimed text), ``ci_reversed``, ``ci_excludes_value``, ``ci_negative_ratio``,
``ci_percent``, ``p_not_a_number``, ``p_above_1``, ``p_contradicts_ci``, ``number:count``, ``number:events``, ``age_reversed``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from system.evidence.extraction.registry_measures import RATIOS, PValue, figure, resolution
from system.evidence.ir import Span
from system.evidence.records import Check, CheckStatus, EffectType

_ROUNDING = 1e-9  # slack for binary fractions


def checked(flags: Iterable[str]) -> Check:
    """``AGREES`` without flags, else ``FLAGGED`` with each flag once, sorted."""
    unique = tuple(sorted(set(flags)))
    return Check(CheckStatus.FLAGGED if unique else CheckStatus.AGREES, unique)


def quote_flags(claims: Sequence[tuple[str, str]], spans: Sequence[Span]) -> list[str]:
    """A flag for every ``(name, text)`` that no quote holds as a whole cell."""
    cells = {cell for span in spans for line in span.quote.split("\n") for cell in line.split(" | ")}
    joined = "\n".join(span.quote for span in spans)
    return [f"quote:{name}" for name, text in claims if text and text not in cells and not (" | " in text and text in joined)]


def interval_flags(kind: EffectType, estimate: str, low: str, high: str) -> list[str]:
    """Whether the limits are in order and enclose the estimate, up to the rounding of the printed digits."""
    value, below, above = figure(estimate), figure(low), figure(high)
    flags = []
    if below is not None and above is not None and below > above:
        flags.append("ci_reversed")
    if value is not None and below is not None and value < below - resolution(estimate) - resolution(low) - _ROUNDING:
        flags.append("ci_excludes_value")
    if value is not None and above is not None and value > above + resolution(estimate) + resolution(high) + _ROUNDING:
        flags.append("ci_excludes_value")
    if kind in RATIOS and any(limit is not None and limit < 0 for limit in (below, above)):
        flags.append("ci_negative_ratio")
    return flags


def level_flags(stated: str, percent: float | None) -> list[str]:
    """A confidence level that is stated must lie between 0 and 100 %."""
    return ["ci_percent"] if stated.strip() and percent is None else []


def p_flags(stated: str, p: PValue | None) -> list[str]:
    """A stated p value must be a number up to 1."""
    if p is None:
        return ["p_not_a_number"] if stated.strip() else []
    return ["p_above_1"] if p.value > 1 else []


def significance_flags(kind: EffectType, low: str, high: str, percent: float | None, p: PValue | None) -> list[str]:
    """Whether the p value and the two-sided interval say the same about the null value."""
    if p is None:
        return []
    below, above = figure(low), figure(high)
    if below is None or above is None or percent is None or below > above:
        return []
    null = 1.0 if kind in RATIOS else 0.0
    alpha = 1 - percent / 100
    encloses = below + resolution(low) < null < above - resolution(high)
    excludes = below - resolution(low) > null or above + resolution(high) < null
    contradicts = (encloses and _significant(p, alpha)) or (excludes and _not_significant(p, alpha))
    return ["p_contradicts_ci"] if contradicts else []


def _significant(p: PValue, alpha: float) -> bool:
    if p.operator in {"<", "<="}:
        return p.value <= alpha + _ROUNDING
    return p.operator == "=" and p.value + p.resolution < alpha - _ROUNDING


def _not_significant(p: PValue, alpha: float) -> bool:
    if p.operator in {">", ">="}:
        return p.value >= alpha - _ROUNDING
    return p.operator == "=" and p.value - p.resolution > alpha + _ROUNDING


def count_flags(affected: int | None, at_risk: int | None, events: int | None) -> list[str]:
    """Nobody is affected who is not at risk, and an affected person has at least one event."""
    flags = []
    if affected is not None and at_risk is not None and affected > at_risk:
        flags.append("number:count")
    if affected is not None and events is not None and events < affected:
        flags.append("number:events")
    return flags
