"""The truth about a certified load, from the plan and the reference server's log alone.

Standard library only, and nothing of ``harness``: a sceptic runs it as ``python -I truth.py PLAN.json LOG.tsv.gz`` and gets the same
figures as the certificate. Times in the files are CLOCK_MONOTONIC nanoseconds of one machine.

Response time of a request = the moment the server answered it minus its *intended* start, however late it was sent. The answer left the
server between two clock readings around the write; the first gives the lower bound, the second the upper one. What only the client can
know (the way back over the loopback, its own delay in reading) is not in it, so an honest client is at or just above these figures.

Rules for requests without a good answer: never sent, reset, abandoned by the client, answered after the plan's time-out = +infinity,
as everywhere in the harness (``all`` below counts them). ``figures`` looks at the answered ones only, so that an engine which counts
failures apart can be compared; how many there were of each kind stands beside it. An answer 429 is counted apart and in neither.

An engine that begins by itself (k6) gets the start that favours it most: the latest one that makes none of its requests early. A
closed engine (Locust) has no plan that its requests could belong to; the truth is then what the rate that was asked for would have met
at this server: evenly spaced arrivals from its first one on, each answered after the hold of a request of the log, those due in a stall
after its end. How many of them it left out stands beside it.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import sys
from pathlib import Path

PLAN_FORMAT = "certify-plan-1"
QUANTILES = (("p50", 1, 2), ("p90", 9, 10), ("p99", 99, 100), ("p99.9", 999, 1000), ("max", 1, 1))
KINDS = ("never_sent", "reset", "abandoned", "timed_out", "rate_limited")
OK, RATE_LIMITED, RESET, ABANDONED = 200, 429, 0, -1
AFTER_STALL_NS = 1_000_000_000  # arrivals and lateness are not looked at while a stall is being worked off
MS = 1e6


@dataclasses.dataclass(frozen=True)
class Group:
    """``count`` requests due at ``start_ns + number * period_ns``, their ids ``<name>-<number>``.

    ``start_ns`` None: the latest that makes no request early. ``closed``: ids are the engine's own, and all
    of the log belongs to this one group.
    """

    name: str
    count: int
    period_ns: float
    start_ns: int | None = None
    closed: bool = False


@dataclasses.dataclass(frozen=True)
class TruthPlan:
    """What was intended, fixed before the first request (but for the starts of engines that begin by themselves)."""

    rate_per_s: float
    duration_s: float
    timeout_s: float
    groups: tuple[Group, ...]


@dataclasses.dataclass(frozen=True)
class Served:
    """A line of the server's log. ``status``: 200, 429, 0 = reset by the server, -1 = the client had gone when the answer was due."""

    arrival_ns: int
    hold_ns: int
    answer_ns: int
    written_ns: int
    status: int


@dataclasses.dataclass(frozen=True)
class Log:
    """All that the server saw, by (group, number); a request that came twice counts with its first good answer."""

    requests: dict[tuple[str, int], Served]
    repeated: int
    stalls: tuple[tuple[int, int], ...]  # (begin, end) as they really were


@dataclasses.dataclass(frozen=True)
class Truth:
    """Times in ms; +inf where the share of requests without an answer reaches the quantile, None where nothing was answered."""

    intended: int
    reached: int
    answered: int
    never_sent: int
    reset: int
    abandoned: int
    timed_out: int
    rate_limited: int
    extra: int
    offered_per_s: float
    achieved_per_s: float
    figures: dict[str, float]
    upper: dict[str, float]
    all: dict[str, float]
    arrival_lag_p99_ms: float | None
    server_late_p99_ms: float | None

    @property
    def failed(self) -> int:
        """Requests that reached the server and got no good answer in time."""
        return self.reset + self.abandoned + self.timed_out


def quantile(ordered: list[float], numerator: int, denominator: int) -> float:
    """The value of a sorted list at the quantile, the higher neighbour where it falls between two (``method="higher"`` of numpy)."""
    return ordered[-(-(len(ordered) - 1) * numerator // denominator)]


def figures(values: list[float]) -> dict[str, float]:
    """Every quantile by its name; empty for no values."""
    ordered = sorted(values)
    return {name: quantile(ordered, top, bottom) for name, top, bottom in QUANTILES} if ordered else {}


def parse_id(text: str) -> tuple[str, int] | None:
    """Group and number of ``<group>-<digits>`` (padding of ``x`` behind it is not looked at); None for any other text."""
    group, _, number = text.rstrip("x").rpartition("-")
    return (group, int(number)) if group and number.isdecimal() else None


def read_plan(content: bytes) -> TruthPlan:
    """Raises ``ValueError`` for content that is no plan."""
    data = json.loads(content)
    if data.get("format") != PLAN_FORMAT:
        raise ValueError(f"this is no plan of a certificate: format {data.get('format')!r} instead of {PLAN_FORMAT!r}")
    groups = tuple(Group(item["name"], item["count"], item["period_ns"], item["start_ns"], item["closed"]) for item in data["groups"])
    return TruthPlan(data["rate_per_s"], data["duration_s"], data["timeout_s"], groups)


def write_plan(plan: TruthPlan) -> bytes:
    """The plan as it is stored beside the log."""
    data = {"format": PLAN_FORMAT, **dataclasses.asdict(plan)}
    return json.dumps(data, sort_keys=True).encode() + b"\n"


def read_log(content: bytes) -> Log:
    """The server's log (gzip or plain); raises ``ValueError`` naming the first wrong line."""
    text = (gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).decode()
    requests: dict[tuple[str, int], Served] = {}
    stalls: list[tuple[int, int]] = []
    repeated = 0
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split("\t")
        try:
            if words[0] == "#stall":
                stalls.append((int(words[1]), int(words[2])))
            elif not words[0].startswith("#"):
                key = parse_id(words[0]) or (words[0], -1)
                served = Served(*(int(word) for word in words[1:6]))
                repeated += key in requests
                requests[key] = _better(requests.get(key), served)
        except (ValueError, IndexError, TypeError):
            raise ValueError(f"line {number} of the server's log is not one: {line[:80]!r}") from None
    return Log(requests, repeated, tuple(stalls))


def _better(one: Served | None, other: Served) -> Served:
    if one is None:
        return other
    return min(one, other, key=lambda served: (served.status != OK, served.answer_ns))


@dataclasses.dataclass
class _Tally:
    """What is found while the requests are walked through; times in ms."""

    lower: list[float] = dataclasses.field(default_factory=list)
    upper: list[float] = dataclasses.field(default_factory=list)
    all: list[float] = dataclasses.field(default_factory=list)
    lags: list[float] = dataclasses.field(default_factory=list)
    lates: list[float] = dataclasses.field(default_factory=list)
    counts: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    reached: int = 0


def establish(plan: TruthPlan, log: Log) -> Truth:
    """The truth about every intended request."""
    tally = _Tally()
    for group in plan.groups:
        (_closed if group.closed else _planned)(group, plan, log, tally)
    intended = sum(group.count for group in plan.groups)
    return Truth(
        intended=intended,
        reached=tally.reached,
        answered=len(tally.lower),
        extra=len(log.requests) - tally.reached + log.repeated,
        offered_per_s=intended / plan.duration_s,
        achieved_per_s=tally.reached / plan.duration_s,
        figures=figures(tally.lower),
        upper=figures(tally.upper),
        all=figures(tally.all),
        arrival_lag_p99_ms=figures(tally.lags).get("p99"),
        server_late_p99_ms=figures(tally.lates).get("p99"),
        **tally.counts,
    )


def _planned(group: Group, plan: TruthPlan, log: Log, tally: _Tally) -> None:
    """Requests that have their place in a plan by their number."""
    served_by_number = {number: served for (name, number), served in log.requests.items() if name == group.name}
    latest_ns = min((served.arrival_ns - number * group.period_ns for number, served in served_by_number.items()), default=0.0)
    start_ns = latest_ns if group.start_ns is None else float(group.start_ns)
    for number in range(group.count):
        served = served_by_number.get(number)
        if served is None:
            tally.counts["never_sent"] += 1
            tally.all.append(math.inf)
            continue
        _count(served, start_ns + number * group.period_ns, plan, log, tally)


def _count(served: Served, intended_ns: float, plan: TruthPlan, log: Log, tally: _Tally) -> None:
    tally.reached += 1
    kind = _kind(served, intended_ns, plan.timeout_s * 1e9)
    if kind:
        tally.counts[kind] += 1
    else:
        tally.lower.append((served.answer_ns - intended_ns) / MS)
        tally.upper.append((served.written_ns - intended_ns) / MS)
    if kind != "rate_limited":
        tally.all.append(math.inf if kind else (served.answer_ns - intended_ns) / MS)
    if _quiet(served, log):
        tally.lags.append((served.arrival_ns - intended_ns) / MS)
        tally.lates.append((served.answer_ns - served.arrival_ns - served.hold_ns) / MS)


def _closed(group: Group, plan: TruthPlan, log: Log, tally: _Tally) -> None:
    """What evenly spaced arrivals would have met, and what became of the requests that there were."""
    inside = sorted(log.requests.values(), key=lambda served: served.arrival_ns)[: group.count]
    tally.reached += len(inside)
    tally.counts["never_sent"] += group.count - len(inside)
    kinds = [_kind(served, served.arrival_ns, plan.timeout_s * 1e9) for served in inside]
    for kind in filter(None, kinds):
        tally.counts[kind] += 1
    good = [served for served, kind in zip(inside, kinds, strict=True) if not kind]
    tally.lates += [(served.answer_ns - served.arrival_ns - served.hold_ns) / MS for served in good if _quiet(served, log)]
    for number in range(group.count if good else 0):
        due_ns = inside[0].arrival_ns + number * group.period_ns
        read_ns = next((end for begin, end in log.stalls if begin <= due_ns < end), due_ns)
        answer_ns = read_ns + good[number % len(good)].hold_ns
        answer_ns = next((end for begin, end in log.stalls if begin <= answer_ns < end), answer_ns)
        tally.lower.append((answer_ns - due_ns) / MS)
    tally.upper += tally.lower
    tally.all += tally.lower


def _kind(served: Served, intended_ns: float, timeout_ns: float) -> str:
    """Why a request that reached the server has no finite response time; empty when it has one."""
    if served.status == OK:
        return "timed_out" if served.answer_ns - intended_ns > timeout_ns else ""
    return {RATE_LIMITED: "rate_limited", ABANDONED: "abandoned"}.get(served.status, "reset")


def _quiet(served: Served, log: Log) -> bool:
    """Whether a request met neither a stall nor its aftermath."""
    return not any(begin - served.hold_ns - MS < served.arrival_ns < end + AFTER_STALL_NS for begin, end in log.stalls)


def encoded(truth: Truth) -> str:
    """The truth as JSON; an infinite time is the word ``never``."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return "never" if value == math.inf else value

    return json.dumps(plain(dataclasses.asdict(truth)), indent=1, sort_keys=True)


def main() -> int:
    """Print the truth of a plan and a log."""
    if len(sys.argv) != 3:
        print("usage: python -I truth.py PLAN.json LOG.tsv.gz", file=sys.stderr)
        return 2
    try:
        plan, log = read_plan(Path(sys.argv[1]).read_bytes()), read_log(Path(sys.argv[2]).read_bytes())
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"truth.py: {error}", file=sys.stderr)
        return 2
    print(encoded(establish(plan, log)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
