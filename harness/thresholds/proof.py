"""When few samples already prove that a limit is broken: exact binomial tails, no approximation.

A percentile limit is a statement on a share: ``p(95) < 800 ms`` says that at most 5 % of all requests take 800 ms or longer. If the system
held its limit, how likely would at least as many bad samples be as were seen? Where that chance is at most 5 %, the lower bound of the
95 % interval of the share of bad ones (Clopper-Pearson, one-sided) lies above the limit: the limit is broken, however small the sample.
"""

from __future__ import annotations

import math

import numpy as np

from harness.thresholds.figures import Floats
from harness.thresholds.grammar import OPERATORS, Threshold

CONFIDENCE = 0.95


def chance_of_breaking(threshold: Threshold, metric_unit: str, values: Floats) -> float:
    """The chance that a system at its limit gives a sample as bad as ``values`` (base units); 1 where nothing is broken or provable so."""
    limit, total = float(threshold.limit.base), len(values)
    upper = threshold.operator.startswith("<")
    if total == 0 or threshold.operator == "==":
        return 1.0
    if threshold.aggregation.name == "rate" and metric_unit == "%":
        marked = round(float(values.sum()))
        return tail(total, marked, limit) if upper else tail(total, total - marked, 1 - limit)
    q = threshold.aggregation.quantile
    if q is None:
        return 1.0
    holds = OPERATORS[threshold.operator]
    bad = sum(not holds(value, limit) for value in values.tolist())
    return tail(total, bad, float(1 - q if upper else q))


def tail(total: int, bad: int, share: float) -> float:
    """P(X >= bad) for X ~ Binomial(total, share); the terms are summed, largest first, in logarithms."""
    if bad <= 0 or share >= 1:
        return 1.0
    if share <= 0 or bad > total:
        return 0.0
    places = np.arange(bad, total, dtype=np.float64)
    first = math.lgamma(total + 1) - math.lgamma(bad + 1) - math.lgamma(total - bad + 1)
    first += bad * math.log(share) + (total - bad) * math.log1p(-share)
    steps = np.log((total - places) / (places + 1)) + math.log(share) - math.log1p(-share)
    terms = first + np.concatenate(([0.0], np.cumsum(steps)))
    top = float(terms.max())
    return min(1.0, math.exp(top) * float(np.exp(terms - top).sum()))
