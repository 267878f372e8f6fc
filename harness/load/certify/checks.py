"""The checker ``certified``: an engine's report against the truth, both from the run's folder alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import msgspec

from harness.core.verdict import Verdict
from harness.load.certify.engines import Reported
from harness.load.certify.judge import Judgement, judge
from harness.load.certify.truth import Log, Truth, TruthPlan, encoded, establish, read_log, read_plan
from harness.run.protocols import CheckRow, RunView, trial_row

PLAN, LOG, REPORTED, TRUTH = "plan.json", "server.tsv.gz", "reported.json", "truth.json"
LIMIT = "p50, p99, max within 1 % or 1 ms of the truth, every request told of; or self-declared invalid"


class Certified(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``expect``: ``honest`` for an engine under certification, ``rejected`` for one of the gallery of lying engines."""

    expect: Literal["honest", "rejected"] = "honest"


class Result(msgspec.Struct, frozen=True):
    """A certificate: what was said, what is true, and how they stand to each other."""

    reported: Reported
    truth: Truth
    judgement: Judgement


class CertifiedChecker:
    """FAIL for a lie; a report that is right, or that says itself that it may not be, passes."""

    name: ClassVar[str] = "certified"
    parameters: ClassVar[type[msgspec.Struct]] = Certified

    def check(self, view: RunView, trial: str, layer: str, parameters: Certified) -> Sequence[CheckRow]:
        found = result(view, trial)
        if isinstance(found, str):
            verdict, value, reason = Verdict.VACUOUS if found == NOTHING else Verdict.ERROR, "", found
        else:
            verdict, value, reason = _judged(found.judgement, parameters.expect)
        limit = LIMIT if parameters.expect == "honest" else "this engine lies: the certificate must say so"
        return [trial_row(trial, layer, "certified", verdict, value, limit, reason)]


NOTHING = "no certificate was made"


def result(view: RunView, trial: str) -> Result | str:
    """The certificate of a trial, computed anew; a sentence where there is none or its parts do not agree."""
    plan, log, said, stored = (view.evidence(name, trial) for name in (PLAN, LOG, REPORTED, TRUTH))
    if plan is None or log is None or said is None or stored is None:
        return NOTHING
    reported = msgspec.json.decode(said, type=Reported)
    if reported.engine == "ours":
        from harness.load.certify.ours import reported as from_samples  # only there where our engine ran

        if from_samples(view, trial) != reported:
            return "the stored report of our engine is not what its samples give"
    true = established(read_plan(plan), read_log(log))
    if encoded(true).encode() != stored.strip():
        return "the stored truth is not what plan and log give"
    return Result(reported, true, judge(reported, true))


def established(plan: TruthPlan, log: Log) -> Truth:
    return establish(plan, log)


def _judged(judgement: Judgement, expect: str) -> tuple[Verdict, str, str]:
    lying = judgement.standing == "lying"
    if expect == "rejected":
        return (Verdict.PASS, f"rejected: {judgement.sentence}", "") if lying else (Verdict.FAIL, judgement.sentence, "a liar was believed")
    return (Verdict.FAIL, judgement.standing, "; ".join(judgement.reasons)) if lying else (Verdict.PASS, judgement.sentence, "")
