"""Why requests failed: the table of a step, and the checker ``failures`` that says one reason for all of them once, with its remedy.

The checker reads the samples and the journal only, so runs of older versions are explained too (with fewer words: they kept no example).
"""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec
import pyarrow.compute as pc

from harness.core.verdict import Verdict
from harness.journal.events import LoadFailure, Table
from harness.run.protocols import CheckRow, Explained, RunView, trial_row

CAUSES_SHOWN = 5
COLUMNS = ("op", "outcome", "status", "cause", "count", "share")
GENERATORS = frozenset({"unsent", "censored"})  # outcomes that say nothing about the system
SAID = {
    "timeout": "brought no answer in time",
    "connection_error": "found no connection",
    "unsent": "were never sent",
    "censored": "were unanswered when the step ended",
    "bad_body": "brought a body that is not what `expect` asks for",
}
OUTCOME_REMEDIES = {
    "bad_body": "look at the first answer in the report; correct `expect` of the request kind, or the service",
    "connection_error": "the service is away; see its last log lines, and [target] base_url in harness.toml",
    "timeout": "the service stands still; see its log, or give the step a longer `timeout`",
    **dict.fromkeys(GENERATORS, "this is no fault of the service; lower the rate, or give more `processes` or a longer `drain`"),
}
NO_OPERATION = "the service has no such operation; check `path` and `method` of the request kind in harness.toml"
STATUS_REMEDIES = {
    404: NO_OPERATION,
    405: NO_OPERATION,
    429: "the service limits the rate; lower the step's rate or raise the limit of the role",
}


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Reason:
    """What one failed request had in common with others."""

    outcome: str
    status: int
    cause: str = ""

    def of(self, count: int) -> str:
        """``440 × 401 Unauthorized``."""
        return f"{count} × {self.outcome if not self.status else phrase(self.status)}" + (f" ({self.outcome})" if self._body_bad else "")

    @property
    def _body_bad(self) -> bool:
        return self.outcome == "bad_body" and self.status > 0

    @property
    def sentence(self) -> str:
        """What became of such requests, after "all 440 requests of step load"."""
        if self.outcome in SAID:
            return SAID[self.outcome] + (f" ({self.cause})" if self.cause else "")
        return f"were answered {phrase(self.status)}"


def phrase(status: int) -> str:
    """``401 Unauthorized``; a status of no standard name is the number."""
    return f"{status} {HTTPStatus(status).phrase}" if status in set(HTTPStatus) else str(status)


def failure_table(trial: str, step: str, total: int, counts: Mapping[tuple[str, str, int], int]) -> Table:
    """Failed requests of a step by operation, outcome and status; ``total``: all its requests."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = tuple(
        (op, outcome, str(status or "–"), _cause(outcome, status), str(count), f"{100 * count / max(total, 1):.2f} %")
        for (op, outcome, status), count in ordered
    )
    failed = sum(counts.values())
    return Table(trial=trial, title=f"Failures of step {step}", columns=COLUMNS, rows=rows, note=f"{failed} of {total} requests failed.")


def _cause(outcome: str, status: int) -> str:
    return SAID.get(outcome, "") or phrase(status)


def reasons(samples: Any) -> Counter[tuple[str, str, int]]:
    """The failed requests of samples by operation, outcome and status."""
    if not samples.num_rows:
        return Counter()
    failed = samples.filter(pc.not_equal(samples["outcome"], "ok"))
    columns = (failed[name].to_pylist() for name in ("op", "outcome", "status"))
    return Counter((str(op), str(outcome), int(status or 0)) for op, outcome, status in zip(*columns, strict=True))


def causes(samples: Any) -> str:
    """What became of requests that brought no good answer, the commonest first: ``440 × 401 Unauthorized``."""
    merged: Counter[Reason] = Counter()
    for (_, outcome, status), count in reasons(samples).items():
        merged[Reason(outcome, status)] += count
    ordered = sorted(merged.items(), key=lambda item: (-item[1], item[0]))
    left = len(ordered) - CAUSES_SHOWN
    return ", ".join([*(reason.of(count) for reason, count in ordered[:CAUSES_SHOWN]), *([f"{left} further causes"] if left > 0 else [])])


class Failures(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """It takes nothing: every step of the trial is looked at."""


class FailuresChecker:
    """Gives a row where every request of a step failed for one reason; ``explain`` also tells what the other steps met."""

    name: ClassVar[str] = "failures"
    parameters: ClassVar[type[msgspec.Struct]] = Failures

    def check(self, view: RunView, trial: str, layer: str, parameters: Failures) -> Sequence[CheckRow]:
        del parameters  # there are none
        explained = self.explain(view, trial, layer)
        if explained.rows or not explained.looked_at:
            return explained.rows
        return [trial_row(trial, layer, "failures", Verdict.PASS, f"{len(explained.looked_at)} steps", "no step failed as a whole")]

    def explain(self, view: RunView, trial: str, layer: str) -> Explained:
        """One row a reason, for all the steps that failed for it."""
        samples = view.samples("requests", trial)
        steps = sorted(pc.unique(samples["step"]).to_pylist()) if samples.num_rows else []
        examples = [item.event for item in view.events(LoadFailure.NAME, trial=trial)]
        whole: dict[Reason, dict[str, int]] = defaultdict(dict)
        met = {}
        for step in steps:
            mine = samples.filter(pc.equal(samples["step"], step))
            told = [event for event in examples if isinstance(event, LoadFailure) and event.step == step]
            if reason := _one(mine, told):
                whole[reason][step] = mine.num_rows
            elif found := causes(mine):
                met[step] = found
        rows = [_row(trial, layer, reason, counts, examples) for reason, counts in whole.items()]
        return Explained(tuple(rows), frozenset(step for counts in whole.values() for step in counts), met, frozenset(steps))


def _one(samples: Any, told: Sequence[LoadFailure]) -> Reason | None:
    """The reason that every request of these samples failed for."""
    failed = reasons(samples)
    kinds = {(outcome, status) for _, outcome, status in failed}
    if len(kinds) != 1 or sum(failed.values()) < samples.num_rows:
        return None
    ((outcome, status),) = kinds
    said = {event.cause for event in told if (event.outcome, event.status) == (outcome, status)}
    return Reason(outcome, status, said.pop() if len(said) == 1 else "")


def _row(trial: str, layer: str, reason: Reason, counts: Mapping[str, int], events: Sequence[Any]) -> CheckRow:
    total, steps = sum(counts.values()), list(counts)
    roles = sorted({event.role for event in events if isinstance(event, LoadFailure) and event.step in counts})
    where = f"step {steps[0]}" if len(steps) == 1 else f"steps {', '.join(steps)}"
    said = f"all {total} requests of {where} {reason.sentence}: {_remedy(reason, roles)}"
    verdict = Verdict.INCONCLUSIVE if reason.outcome in GENERATORS else Verdict.FAIL
    return trial_row(trial, layer, "one_reason", verdict, f"0 of {total} requests were served", "some are", said)


def _remedy(reason: Reason, roles: Sequence[str]) -> str:
    if reason.outcome in OUTCOME_REMEDIES:
        return OUTCOME_REMEDIES[reason.outcome]
    if reason.status in {401, 403}:
        return _refused(roles)
    if reason.status >= 500:
        return "the service itself fails; see its log at the time of the step"
    return STATUS_REMEDIES.get(reason.status, "look at the first request in the report and correct the request kind in harness.toml")


def _refused(roles: Sequence[str]) -> str:
    """``roles``: whose keys were sent; nothing where nobody kept them."""
    named = [role for role in roles if role]
    if roles and not named:
        return "no key was sent; name a role with `key` in the request kind of harness.toml"
    who = f"key of role {named[0]} is" if len(named) == 1 else f"keys of roles {', '.join(named)} are" if named else "key is"
    return f"the {who} refused; check [target] keys in harness.toml and the service's key file"
