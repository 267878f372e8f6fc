"""The checker ``reduced``: everything that a reduced run can tell, a row a statement, each in the layer that owns it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from harness.core.verdict import Verdict
from harness.run.protocols import CheckRow, RunView
from suites.e2e.agreement import Judged
from suites.wing.reduced import judge_answers, judge_documents, judge_outage, judge_removal, judge_writes
from suites.wing.reduced.look import kept

EVIDENCE = ("expected", "traps", "ingest", "reading", "writes", "answers", "removal")
OUTAGE = ("outage",)  # what the layer chaos is judged by
Statement = Callable[[Mapping[str, Any]], Judged]
STATEMENTS: Mapping[str, tuple[Statement, ...]] = {
    "e2e": (
        judge_documents.documents,
        judge_documents.adverse_events,
        judge_documents.effects,
        judge_documents.tables,
        judge_documents.label_sections,
        judge_documents.quotes,
        judge_documents.chunk_slices,
        judge_documents.chunk_order,
        judge_documents.graph_quotes,
        judge_documents.graph_facts,
        judge_documents.dossier,
        judge_documents.sample_findings,
        judge_documents.citations,
        judge_documents.traps_read,
        judge_documents.trap_dossier,
    ),
    "contract": (
        judge_documents.answered,
        judge_documents.paging,
        judge_documents.counts,
        judge_documents.single_chunks,
        judge_writes.scopes,
        judge_writes.write_time,
    ),
    "consistency": (
        judge_writes.payloads_kept,
        judge_writes.repeats,
        judge_writes.rested,
        judge_writes.history,
        judge_writes.writes_kept,
        judge_removal.removed_exactly,
        judge_removal.renewed,
    ),
    "shacl": (
        judge_writes.valid_taken,
        judge_writes.refusals,
        judge_writes.dead_letters,
        judge_writes.replayed,
        judge_writes.graph_whole,
    ),
    "retrieval": (
        judge_answers.honest,
        judge_answers.known_chunks,
        judge_answers.known_titles,
        judge_answers.filters,
        judge_answers.complete,
        judge_answers.ordered,
        judge_answers.slices,
        judge_answers.answer_time,
        judge_answers.same_answers,
    ),
    "chaos": (
        judge_outage.ready_honest,
        judge_outage.degraded_said,
        judge_outage.written_late,
        judge_outage.nothing_promised,
        judge_outage.acknowledged_finished,
    ),
}


class Reduced(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``layer`` whose statements are judged; ``answers``: a clean trial's answers kept for the run (empty: this is that trial)."""

    layer: str
    answers: str = ""


class ReducedChecker:
    """FAIL with the problems, VACUOUS where nothing was there to look at, ERROR where the trial did not get so far."""

    name: ClassVar[str] = "reduced"
    parameters: ClassVar[type[msgspec.Struct]] = Reduced

    def check(self, view: RunView, trial: str, layer: str, parameters: Reduced) -> Sequence[CheckRow]:
        del layer
        outage = parameters.layer == "chaos"
        found = {name: kept(view, name, trial) for name in (OUTAGE if outage else EVIDENCE)}
        if not outage:
            found["reference_answers"] = _reference(view, parameters.answers) if parameters.answers else found["answers"]
        missing = sorted(name for name, value in found.items() if value is None)
        return [_row(statement, found, missing, trial, parameters.layer) for statement in STATEMENTS[parameters.layer]]


def _reference(view: RunView, name: str) -> Any:
    content = view.evidence(f"reference.{name}", "")
    return None if content is None else json.loads(gzip.decompress(content))


def _row(statement: Statement, found: Mapping[str, Any], missing: list[str], trial: str, layer: str) -> CheckRow:
    name = f"{trial}.{layer}.{statement.__name__}"
    if missing:
        return CheckRow(check=name, layer=layer, verdict=Verdict.ERROR, reason=f"not captured: {', '.join(missing)}", trial=trial)
    judged = statement(found)
    verdict = Verdict.FAIL if judged.problems else Verdict.PASS if judged.examined else Verdict.VACUOUS
    value = f"{judged.examined} examined, {len(judged.problems)} problems"
    return CheckRow(check=name, layer=layer, verdict=verdict, value=value, limit="0", reason="; ".join(judged.problems), trial=trial)
