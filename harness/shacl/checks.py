"""The checker ``shacl_report``: a captured graph has no violation, and every shape looked at something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.journal.events import ShapeChecked
from harness.run.protocols import CheckRow, RunView, trial_row
from harness.shacl.report import FailOn, ShaclReport, decode_report, short

SHOWN = 5


class ShaclReportParameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``step``: the capture. ``minimum_triples``: a smaller graph is VACUOUS. ``coverage``: every shape must look at something."""

    step: str
    minimum_triples: int = 1
    coverage: bool = True
    fail_on: FailOn = "info"  # the least severity that fails; all do in the sense of sh:conforms


class ShaclReportChecker:
    """Judges the validator's own report, stored as evidence; a shape without focus nodes makes the coverage VACUOUS."""

    name: ClassVar[str] = "shacl_report"
    parameters: ClassVar[type[msgspec.Struct]] = ShaclReportParameters

    def check(self, view: RunView, trial: str, layer: str, parameters: ShaclReportParameters) -> Sequence[CheckRow]:
        content = view.evidence(f"{parameters.step}.shacl.json", trial)
        if content is None:
            found = [("graph", Verdict.VACUOUS, "nothing captured", "a graph", "no graph was captured and validated")]
        else:
            report = decode_report(content)
            found = [_graph(report, parameters), _engines(report), _violations(report, parameters.fail_on), _journaled(view, trial, report)]
            found += [_coverage(report)] if parameters.coverage else []
        return [trial_row(trial, layer, f"shacl.{name}", verdict, value, limit, reason) for name, verdict, value, limit, reason in found]


Found = tuple[str, Verdict, str, str, str]


def _graph(report: ShaclReport, parameters: ShaclReportParameters) -> Found:
    enough = (report.triples or 0) >= parameters.minimum_triples and bool(report.shapes)
    reason = "" if enough else "there was too little to validate"
    value = f"{report.triples} triples, {len(report.shapes)} shapes, {report.validator}"
    return "graph", Verdict.PASS if enough else Verdict.VACUOUS, value, f">= {parameters.minimum_triples} triples", reason


def _engines(report: ShaclReport) -> Found:
    """A refusal is confirmed by the other engine; where they differ, nothing is decided."""
    reason = "; ".join(report.differences[:SHOWN])
    verdict = Verdict.ERROR if report.differences else Verdict.PASS
    return "engines", verdict, f"{len(report.differences)} differences, {report.validator}", "0 differences", reason


def _violations(report: ShaclReport, fail_on: FailOn) -> Found:
    failing = report.failing(fail_on)
    clean = failing == 0 and (report.conforms or report.violation_count > 0)
    texts = [
        f"{short(item.shape)}: {item.focus_node} {short(item.path)} {item.value}: {item.message}" for item in report.violations[:SHOWN]
    ]
    reason = "" if clean else "; ".join(texts) or "the validator says that the graph does not conform"
    limit = "0" if fail_on == "info" else f"0 of severity {fail_on} or above"
    return "violations", Verdict.PASS if clean else Verdict.FAIL, f"{report.violation_count} violations", limit, reason


def _coverage(report: ShaclReport) -> Found:
    unseen = [short(name) for name in report.unseen]
    idle = [f"{short(item.shape)} ({item.reason})" for item in report.idle]
    value = f"{len(report.shapes) - len(unseen)} of {len(report.shapes)} shapes have focus nodes"
    parts = [f"these looked at nothing: {', '.join(unseen)}"] if unseen else []
    parts += [f"these judged nothing: {', '.join(idle)}"] if idle else []
    verdict = Verdict.VACUOUS if unseen or idle or not report.shapes else Verdict.PASS
    return "coverage", verdict, value, "all", "; ".join(parts)


def _journaled(view: RunView, trial: str, report: ShaclReport) -> Found:
    """The journal tells of each shape what the report tells."""
    said = [item.event for item in view.events(ShapeChecked.NAME, trial=trial) if isinstance(item.event, ShapeChecked)]
    told = {event.shape: (event.focus_nodes, event.violations) for event in said}
    wrong = [short(item.shape) for item in report.shapes if told.get(item.shape) != (item.focus_nodes, item.violations)]
    reason = f"journal and report differ on {', '.join(wrong[:SHOWN])}" if wrong else ""
    return "journal", Verdict.FAIL if wrong else Verdict.PASS, f"{len(told)} shapes journaled", "as in the report", reason
