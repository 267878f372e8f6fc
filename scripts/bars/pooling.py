"""The bar ``pooling``: the random-effects arithmetic on random sets, against exact fractions and against statsmodels.

``--sets N`` sets (10,000 unless told) of every kind: ordinary, equal, nearly equal, tiny and huge variances, ratios, huge spreads.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from scripts.bars.support import listed, result, say
from system.evidence.briefing.pooling import MAX_I2_PERCENT, MIN_STUDIES, StudyEffect, pool
from system.evidence.briefing.random_effects import Combined, combine_points
from system.evidence.ir import Span
from system.evidence.records import Check, CheckStatus, Effect, EffectType

Points = list[tuple[float, float]]
SEED = 9
EXACT, LIBRARY = 1e-9, 1e-6  # relative tolerances: rounding of floats, and of the library's matrix arithmetic
WELL_CONDITIONED = frozenset({"ordinary", "log ratios", "few", "many"})  # where the library itself is precise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=10_000)
    wanted = parser.parse_args().sets
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for kind, points in random_sets(wanted, SEED):
        counts[kind] += 1
        problems += [f"{kind} {points}: {problem}" for problem in judge(kind, points)]
    shown, more = judge_shown(wanted, SEED + 1)
    say(f"{dict(counts)}; {shown} dossier groups")
    total = sum(counts.values())
    problems += more
    figure = f"{total} sets of {len(counts)} kinds and {shown} groups of effects, {len(problems)} differences"
    return result(figure, passed=not problems and total >= wanted > 0, detail=listed(problems))


def random_sets(number: int, seed: int) -> Iterator[tuple[str, Points]]:
    """``number`` sets of points in turn of every kind; the same seed gives the same sets."""
    dice = random.Random(seed)
    for at in range(number):
        kind = list(KINDS)[at % len(KINDS)]
        yield kind, KINDS[kind](dice)


def _size(dice: random.Random) -> int:
    return dice.randint(2, 12)


def _ordinary(dice: random.Random) -> Points:
    return [(dice.gauss(0, 1), dice.uniform(0.05, 2)) for _ in range(_size(dice))]


def _equal(dice: random.Random) -> Points:
    point = dice.choice([dice.gauss(0, 1), math.log(dice.uniform(0.1, 9)), dice.uniform(-1e12, 1e12), 0.1 + 0.2])
    error = dice.choice([0.13, 1e-9, 1e7, dice.uniform(0.01, 3)])
    return [(point, error) for _ in range(_size(dice))]


def _equal_estimates(dice: random.Random) -> Points:
    point = dice.gauss(0, 5)
    return [(point, 10 ** dice.uniform(-6, 6)) for _ in range(_size(dice))]


def _nearly_equal(dice: random.Random) -> Points:
    point = dice.gauss(0, 5)
    return [(math.nextafter(point, dice.choice([-math.inf, math.inf])), dice.uniform(0.01, 1)) for _ in range(_size(dice))]


def _tiny(dice: random.Random) -> Points:
    return [(dice.gauss(0, 1e-7), dice.uniform(1e-9, 1e-7)) for _ in range(_size(dice))]


def _vanishing(dice: random.Random) -> Points:
    return [(dice.gauss(0, 1), 10 ** dice.uniform(-150, -140)) for _ in range(_size(dice))]


def _huge(dice: random.Random) -> Points:
    return [(dice.uniform(-1e150, 1e150), 10 ** dice.uniform(140, 152)) for _ in range(_size(dice))]


def _spread(dice: random.Random) -> Points:
    return [(dice.choice([-1, 1]) * 10 ** dice.uniform(-8, 8), 10 ** dice.uniform(-8, 8)) for _ in range(_size(dice))]


def _log_ratios(dice: random.Random) -> Points:
    return [(math.log(dice.lognormvariate(-0.2, 0.5)), dice.uniform(0.05, 0.9)) for _ in range(_size(dice))]


def _many(dice: random.Random) -> Points:
    return [(dice.gauss(1, 0.3), dice.uniform(0.1, 0.5)) for _ in range(dice.randint(13, 18))]


def _few(dice: random.Random) -> Points:
    return [(dice.gauss(0, 1), dice.uniform(0.3, 1)) for _ in range(2)]


KINDS: dict[str, Callable[[random.Random], Points]] = {
    "ordinary": _ordinary, "equal": _equal, "equal estimates": _equal_estimates, "nearly equal": _nearly_equal, "tiny variances": _tiny,
    "vanishing variances": _vanishing, "huge": _huge, "huge spreads": _spread, "log ratios": _log_ratios, "many": _many, "few": _few,
}  # fmt: skip


def judge(kind: str, points: Points) -> list[str]:
    """What is wrong with the combined result of ``points``; an empty list means it is right."""
    found = combine_points(points)
    problems = [] if 0 <= found.i2 <= 100 and not math.isnan(found.mean) and found.tau2 >= 0 else [f"I² = {found.i2}, tau² = {found.tau2}"]
    if kind in {"equal", "equal estimates"}:
        problems += [] if (found.i2, found.tau2, found.q) == (0, 0, 0) else ["equal estimates are called heterogeneous"]
    problems += _compared("exact", found, exactly(points), EXACT)
    if kind in WELL_CONDITIONED:
        problems += _compared("statsmodels", found, by_library(points), LIBRARY)
    order = combine_points(points[::-1])
    return problems + _compared("in reverse order", found, order, EXACT)


def _compared(name: str, found: Combined, wanted: Combined, tolerance: float) -> list[str]:
    scale = max(abs(wanted.mean), wanted.error)
    pairs = (
        ("mean", found.mean, wanted.mean, scale),
        ("error", found.error, wanted.error, wanted.error),
        ("Q", found.q, wanted.q, max(wanted.q, 1)),
        ("I²", found.i2, wanted.i2, 100),
        ("tau²", found.tau2, wanted.tau2, max(wanted.tau2, wanted.error**2)),
    )
    return [
        f"{name}: {what} {one!r}, wanted {other!r}"
        for what, one, other, size in pairs
        if not (one == other or abs(one - other) <= tolerance * size)
    ]


def exactly(points: Sequence[tuple[float, float]]) -> Combined:
    """DerSimonian and Laird in fractions: only the root at the end, and what is handed back, are rounded."""
    estimates, variances = [Fraction(y) for y, _ in points], [Fraction(error) ** 2 for _, error in points]
    weights = [1 / v for v in variances]
    fixed = sum(w * y for w, y in zip(weights, estimates, strict=True)) / sum(weights)
    q = sum((w * (y - fixed) ** 2 for w, y in zip(weights, estimates, strict=True)), Fraction(0))
    df = len(points) - 1
    tau2 = max(Fraction(0), (q - df) / (sum(weights) - sum(w * w for w in weights) / sum(weights)))
    again = [1 / (v + tau2) for v in variances]
    mean = sum(w * y for w, y in zip(again, estimates, strict=True)) / sum(again)
    return Combined(_float(mean), _root(1 / sum(again)), _float(q), _float(100 * max(Fraction(0), 1 - df / q)) if q else 0.0, _float(tau2))


def _float(number: Fraction | int) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf


def _root(number: Fraction | int) -> float:
    """The square root, also of what lies outside the range of a float."""
    ratio, shift = Fraction(number), 0
    while ratio > 1e300:
        ratio, shift = ratio / 2**600, shift + 300
    while ratio < 1e-250:
        ratio, shift = ratio * 2**600, shift - 300
    return math.ldexp(math.sqrt(ratio), shift)


def by_library(points: Sequence[tuple[float, float]]) -> Combined:
    """statsmodels, with the cut at zero that DerSimonian and Laird make and it does not."""
    import numpy as np
    from statsmodels.stats.meta_analysis import combine_effects

    values = np.array(points)
    with np.errstate(all="ignore"):
        made = combine_effects(values[:, 0], values[:, 1] ** 2, method_re="dl")
    model = "re" if made.tau2 > 0 else "fe"
    mean, error = float(getattr(made, f"mean_effect_{model}")), float(getattr(made, f"sd_eff_w_{model}"))
    q, df = float(made.q), len(points) - 1
    return Combined(mean, error, q, 100 * (1 - df / q) if q > df else 0.0, max(0.0, float(made.tau2)))


def judge_shown(number: int, seed: int) -> tuple[int, list[str]]:
    """Groups of effects as a dossier pools them: every figure shown is finite, and pooled is what is homogeneous."""
    dice, problems = random.Random(seed), []
    for _ in range(number):
        members = [_member(dice, at) for at in range(dice.randint(MIN_STUDIES, 6))]
        pooled, singly = pool(members)
        figures = [n for p in pooled for n in (p.value, p.ci_low, p.ci_high, p.i2, p.tau2)] + [g.i2 for g in singly if g.i2 is not None]
        problems += [f"{members}: {n} is shown" for n in figures if not math.isfinite(n)]
        problems += [
            f"{members}: pooled at I² = {p.i2}" for p in pooled if not p.i2 <= MAX_I2_PERCENT or not p.ci_low <= p.value <= p.ci_high
        ]
    return number, problems


def _member(dice: random.Random, at: int) -> StudyEffect:
    kind = dice.choice([EffectType.HAZARD_RATIO, EffectType.MEAN_DIFFERENCE])
    size = 10 ** dice.choice([0, 0, 0, -12, 12, 280, -280])
    value = (abs(dice.gauss(1, 0.1)) if kind is EffectType.HAZARD_RATIO else dice.gauss(0, 1)) * size
    half = abs(value) * dice.uniform(0.01, 0.9) + (5e-324 if kind is EffectType.HAZARD_RATIO else size * 1e-6)
    check, spans = Check(CheckStatus.AGREES), (Span(0, 1, "x"),)
    effect = Effect(
        f"e{at}", f"d{at}", kind, value, "death", spans, check, value - half, value + half, dice.choice([90.0, 95.0, 99.0]),
        intervention="Zen", comparator="placebo",
    )  # fmt: skip
    return StudyEffect(f"S{at}", effect)


if __name__ == "__main__":
    raise SystemExit(main())
