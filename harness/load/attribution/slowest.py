"""Which requests have to be explained: the slowest of a trial, each with what it took beyond what is usual for its operation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

TAIL, TAIL_OF_FEW = 0.001, 0.01
TAIL_LEAST = 10
REQUESTS_LEAST = 100  # of fewer, ten are no tail
SLOW_FACTOR = 1.5  # of the usual response time: below it a request is one of the slowest, and not slow
SLOW_LEAST_NS = 5_000_000
USUAL_LOW, USUAL_HIGH, USUAL_MAX = 0.35, 0.65, 500  # the requests around the median that show what is usual
BROKEN_NS = 100_000_000  # how long a request is taken to have lasted after its sending when its connection broke


@dataclasses.dataclass(frozen=True, slots=True)
class Slow:
    """A request to be explained; ``excess_ns`` is its response time above the median of its operation."""

    op: str
    request_id: str
    intended_ns: int
    sent_ns: int  # 0: never sent
    end_ns: int
    excess_ns: int
    outcome: str


@dataclasses.dataclass(frozen=True, slots=True)
class Usual:
    """What is usual for an operation: response time, lag, and the ids of the requests that show the rest."""

    response_ns: int
    lag_ns: int
    sent_ns: Mapping[str, int]  # of typical requests, by id


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """``chosen`` are the slowest, ``slow`` those of them that are slow."""

    requests: int
    share: float
    chosen: int
    slow: Sequence[Slow]
    usual: Mapping[str, Usual]

    @property
    def name(self) -> str:
        """Said wherever a figure of the tail stands."""
        return f"the slowest {self.share:.1%}" if self.chosen > TAIL_LEAST else f"the slowest {self.chosen}"


def tail_of(samples: Any, unanswered_ns: int) -> Tail:
    """The tail of these requests: 0.1 %, or 1 % where that would be fewer than ten, and ten at least.

    One that was never answered is slower than any other; it is taken to have lasted ``unanswered_ns`` (its time-out).
    """
    count = samples.num_rows
    share = TAIL if count * TAIL >= TAIL_LEAST else TAIL_OF_FEW
    chosen = min(count, max(TAIL_LEAST, math.ceil(count * share)))
    if count < REQUESTS_LEAST:
        return Tail(count, share, 0, (), {})
    ends, never = _ends(samples, unanswered_ns)
    intended = samples["intended_ns"].to_numpy()
    response = np.where(never, np.iinfo(np.int64).max, ends - intended)
    operations = samples["op"].to_numpy(zero_copy_only=False).astype(str)
    usual = {str(op): _usual(samples, operations == op, response) for op in np.unique(operations)}
    order = np.lexsort((np.arange(count), -response))[:chosen]
    rows = samples.take(order).to_pylist()
    slow = [one for row, end in zip(rows, ends[order].tolist(), strict=True) if (one := _slow(row, end, usual[row["op"]])) is not None]
    return Tail(count, share, chosen, slow, usual)


def _ends(samples: Any, unanswered_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """When each request ended, and which were never answered."""
    intended, sent = samples["intended_ns"].to_numpy(), samples["sent_ns"].fill_null(0).to_numpy()
    done = samples["done_ns"].fill_null(0).to_numpy()
    broken = pc.equal(samples["outcome"], "connection_error").to_numpy(zero_copy_only=False)
    never = done == 0
    waited = np.where(broken, np.maximum(sent, intended) + BROKEN_NS, intended + unanswered_ns)
    return np.where(never, waited, done), never


def _usual(samples: Any, mine: npt.NDArray[np.bool_], response: npt.NDArray[np.int64]) -> Usual:
    places = np.flatnonzero(mine)
    ordered = places[np.argsort(response[places], kind="stable")]
    middle = ordered[int(len(ordered) * USUAL_LOW) : max(1, math.ceil(len(ordered) * USUAL_HIGH))]
    typical = middle[:: max(1, math.ceil(len(middle) / USUAL_MAX))]
    rows = samples.take(typical).to_pylist()
    lags = [row["sent_ns"] - row["intended_ns"] for row in rows if row["sent_ns"] is not None]
    named = {row["request_id"]: row["sent_ns"] for row in rows if row["request_id"] and row["sent_ns"] is not None}
    median = response[ordered[(len(ordered) - 1) // 2]]
    return Usual(int(median), int(np.median(lags)) if lags else 0, named)


def _slow(row: Mapping[str, Any], end_ns: int, usual: Usual) -> Slow | None:
    excess = end_ns - row["intended_ns"] - usual.response_ns
    if excess < max((SLOW_FACTOR - 1) * usual.response_ns, SLOW_LEAST_NS):
        return None
    return Slow(row["op"], row["request_id"] or "", row["intended_ns"], row["sent_ns"] or 0, end_ns, excess, row["outcome"])
