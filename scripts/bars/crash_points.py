"""The bar ``crash_points``: the worker is killed before and after every writing port call of a 3-document ingest.

An undisturbed ingest is traced; each call of it, at both moments, is a point. For each point: empty stores, arm the crash at that
call, ingest, wait until all is at rest, compare ids and counts with the undisturbed run. Progress is kept in
``reports/bars/crash_points.json``; a second start goes on where the first one stopped.

    python -m scripts.bars.crash_points [--again] [--limit-s 800] [--only records.transition]

How often the relay and the applier call depends on how events happen to be gathered. Calls that each of three undisturbed runs makes
must all be hit and pass; those that only some make are tried too, and need not be come to.
Exit 0 all passed, 1 any failed or left over, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import json
import operator
import os
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import redis

from harness.core import jsonio
from harness.plugin.session import vector_cache
from harness.run.protocols import Target
from harness.topology.compose import load_topology
from harness.topology.stack import Stack
from scripts.bars.support import OUTPUT, listed, project, result, say
from suites.wing.api import Api
from suites.wing.corpus import Payload, crash_payloads
from suites.wing.identities import identities
from suites.wing.ingest import at_work
from system.deploy.reset import reset
from system.platform.settings import load_settings

STATE = OUTPUT / "crash_points.json"
SETTLE_S = 60.0
LEASES = 4
PASSED, NOT_REACHED = "passed", "not reached"
TRACES = 3
ATTEMPTS = 5
LINE_BYTES_MAX = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Point:
    """The ``hit``-th call of ``call`` (``port.method``), before or after it."""

    call: str
    hit: int
    moment: str

    @property
    def name(self) -> str:
        return f"{self.call}#{self.hit} {self.moment}"


class Lab:
    """A stack with failpoints, and the same ingest again and again."""

    def __init__(self, stack: Stack, target: Target, control: Path, payloads: Sequence[Payload]) -> None:
        self._stack, self._control, self._payloads = stack, control, payloads
        self._settings = load_settings(stack.environment("worker"))
        self._api = Api(target)
        self._events = redis.Redis.from_url(self._settings.events_url, password=self._settings.secret("events_password"), socket_timeout=5)

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One command to the worker's failpoints."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(5.0)
            wire.connect(str(self._control))
            wire.sendall(json.dumps(request).encode() + b"\n")
            with wire.makefile("rb") as stream:
                answer: dict[str, Any] = json.loads(stream.readline(LINE_BYTES_MAX))
        return answer

    def empty(self) -> None:
        """Empty stores under an idle worker that has leased its partitions afresh and has counted nothing yet."""
        wait_for(self._answers, 30.0, "the worker does not answer")
        reset(self._settings, lambda _line: None)
        wait_for(self._leased, 15.0, "the worker does not lease its partitions")
        self.ask({"reset": True})

    def ingest(self) -> dict[str, Any]:
        """Ingest the three documents to the end; ids and counts of what is there then."""
        jobs = [self._api.ingest(payload.source, payload.content) for payload in self._payloads]
        wait_for(lambda: all(self._final(job) for job in jobs) and not at_work(self._api), SETTLE_S, "the ingest does not come to rest")
        return identities(self._api)

    def restarts(self) -> int:
        return self._stack.service("worker").restarts

    def _final(self, job: str) -> bool:
        state = self._api.job(job)
        return state["state"] in {"completed", "failed"} and bool(state["documents"])

    def _answers(self) -> bool:
        return self._stack.service("worker").healthy and "calls" in self.ask({"trace": True})

    def _leased(self) -> bool:
        prefix = f"{self._settings.stack_id}:log:*:lease"
        owner = f"{socket.gethostname()}:{self._stack.service('worker').pid}".encode()
        return sum(self._events.hget(key, "owner") == owner for key in self._events.scan_iter(match=prefix)) == LEASES


def wait_for(condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    """Ask until true; servers that are away for a moment count as not yet. Raises ``TimeoutError``."""
    until, last = time.monotonic() + limit_s, ""
    while True:
        try:
            if condition():
                return
        except (httpx.HTTPError, OSError, redis.RedisError, ValueError) as error:
            last = f": {error}"
        if time.monotonic() > until:
            raise TimeoutError(f"{otherwise} within {limit_s:g} s{last}")
        time.sleep(0.03)


@contextlib.contextmanager
def laboratory() -> Iterator[Lab]:
    """A system of this process's own whose worker can be crashed at its writing calls."""
    found = project()
    configured = found.configuration.topology
    assert configured is not None
    topology = load_topology(found.folder / configured.file, configured.profile, found.folder)
    payloads = crash_payloads(found.sample_dir())
    with tempfile.TemporaryDirectory(prefix="eh-points-") as folder:
        control = Path(folder) / "worker.sock"
        environment = {"EH_FAILPOINTS_SOCKET": str(control)}
        with Stack.start(topology, owner="run", environment=environment, model_cache_dir=vector_cache()) as stack:
            table = found.configuration.target
            target = Target(
                stack.url(table.service), {role: stack.secret(name).strip() for role, name in table.keys.items()}, table.key_header
            )
            yield Lab(stack, target, control, payloads)


def trace(lab: Lab) -> tuple[dict[str, Any], Counter[str], Counter[str]]:
    """What an undisturbed ingest leaves, and its writing calls: of several runs, the fewest and the most of each."""
    reference: dict[str, Any] = {}
    made: list[Counter[str]] = []
    for number in range(TRACES):
        lab.empty()
        left = lab.ingest()
        if number and left != reference:
            raise AssertionError("two undisturbed runs differ: there is nothing to compare with")
        reference = left
        made.append(Counter(lab.ask({"trace": True})["calls"]))
    fewest, most = functools.reduce(operator.and_, made), functools.reduce(operator.or_, made)
    return reference, fewest, most


def points(calls: Counter[str]) -> list[Point]:
    """Both moments of every call. (After one call and before the next are the same place where one thread makes both: tried twice.)"""
    return [Point(call, hit, moment) for call in sorted(calls) for hit in range(1, calls[call] + 1) for moment in ("before", "after")]


def attempt(lab: Lab, point: Point, reference: Mapping[str, Any], attempts: int) -> str:
    """``passed``, ``not reached``, or what is wrong."""
    for _ in range(attempts):
        lab.empty()
        before = lab.restarts()
        lab.ask({"arm": {"point": point.call, "moment": point.moment, "hit": point.hit, "action": "crash"}})
        try:
            left = lab.ingest()
        except (TimeoutError, httpx.HTTPError) as error:
            return str(error)[:400]
        if difference := different(reference, left):
            return difference
        if lab.restarts() > before:
            return PASSED
    return NOT_REACHED


def different(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """Empty when equal, otherwise where they first differ."""
    for name in sorted({*expected, *found}):
        one, other = expected.get(name), found.get(name)
        if one == other:
            continue
        if isinstance(one, list) and isinstance(other, list):
            return f"{name}: missing {sorted(set(one) - set(other))[:2]}, extra {sorted(set(other) - set(one))[:2]}"[:400]
        return f"{name}: expected {one!r}, found {other!r}"[:400]
    return ""


def load_state(judged: str, *, again: bool) -> dict[str, str]:
    """Results of earlier starts by point; only those of this very code and corpus count."""
    if again or not STATE.is_file():
        return {}
    kept = json.loads(STATE.read_text(encoding="utf-8"))
    return dict(kept["points"]) if kept.get("tree") == judged else {}


def save_state(judged: str, results: Mapping[str, str]) -> None:
    STATE.parent.mkdir(parents=True, exist_ok=True)
    jsonio.write_atomic(STATE, json.dumps({"tree": judged, "points": dict(results)}, indent=1, sort_keys=True).encode())


def tree() -> str:
    """The code that is judged: every source file of the platform, and the sample corpus."""
    found = project()
    files = sorted([*(found.folder / "system").rglob("*.py"), *(path for path in found.sample_dir().rglob("*") if path.is_file())])
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(found.folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def run(options: argparse.Namespace) -> int:
    judged, until = tree(), time.monotonic() + options.limit_s
    results = load_state(judged, again=options.again)
    with laboratory() as lab:
        reference, fewest, most = trace(lab)
        asked = [point for point in points(most) if options.only in point.name]
        certain = frozenset(points(fewest))
        say(f"{sum(fewest.values())} writing calls (up to {sum(most.values())}), {len(asked)} points, {len(results)} known already")
        for number, point in enumerate(asked, start=1):
            if results.get(point.name) in {PASSED, NOT_REACHED} or time.monotonic() > until:
                continue
            results[point.name] = attempt(lab, point, reference, ATTEMPTS if point in certain else 2)
            save_state(judged, results)
            say(f"{number:>4} of {len(asked)}  {point.name:<44} {results[point.name]}")
    return report(asked, certain, results)


def report(asked: Sequence[Point], certain: frozenset[Point], results: Mapping[str, str]) -> int:
    """A table by call, then the result line. A point that only some undisturbed runs have may stay out of reach."""
    judged = [point for point in asked if point in certain or results.get(point.name) != NOT_REACHED]
    for call in sorted({point.call for point in asked}):
        mine = [results.get(point.name, "not tried") for point in judged if point.call == call]
        say(f"{call:<32} {mine.count(PASSED):>4} of {len(mine)} passed")
    wrong = {point.name: results.get(point.name, "not tried") for point in judged if results.get(point.name) != PASSED}
    tried = [f"{name}: {what}" for name, what in wrong.items() if what != "not tried"]
    passed = len(judged) - len(wrong)
    say(json.dumps({"points": len(judged), "passed": passed, "failed": len(tried), "not_tried": len(wrong) - len(tried)}))
    figure = f"{passed} of {len(judged)} crash points ({len(asked) - len(judged)} more not come to)"
    return result(figure, bool(judged) and not wrong, listed(tried))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.bars.crash_points", description=__doc__)
    parser.add_argument("--again", action="store_true", help="forget earlier results")
    parser.add_argument("--limit-s", type=float, default=float(os.environ.get("BAR_LIMIT_S", "3600")), help="begin no further point then")
    parser.add_argument("--only", default="", metavar="TEXT", help="only points whose name contains this")
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
