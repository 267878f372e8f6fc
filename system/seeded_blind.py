"""Hand-made defects, one at a time, for judging the judges. They were written without sight of any test, from the platform's code alone.

``activate`` patches one or a few names of this process and returns what undoes it. Every defect sits where the code looks its name
up when it runs, so it does not matter whether the adapters were built before or after. It belongs in no production image.
``python -m system.seeded_blind`` checks that each one finds its targets, and that undoing puts back exactly what was there.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import importlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from msgspec.structs import replace

from system.platform.errors import Unavailable
from system.platform.ports import Hit, SearchFilter
from system.platform.record_types import IdempotencyKey, Job, JobDocument, NewDeadLetter, Receipt

Undo = Callable[[], None]
Process = Literal["gateway", "worker", "both"]
Make = Callable[[Any], Any]  # from what is there to what stands in its place


@dataclasses.dataclass(frozen=True, slots=True)
class BlindDefect:
    """One defect: ``what`` a user would notice, and the ``process`` in which it has to be activated."""

    id: str
    what: str
    process: Process
    activate: Callable[[], Undo]


_FOUND: list[BlindDefect] = []
_TARGETS: dict[str, tuple[str, ...]] = {}


def _defect(id_: str, process: Process, *targets: str) -> Callable[[Make], Make]:
    """Enters a defect: every ``module:name`` or ``module:Class.name`` is replaced by what the decorated function makes of it.

    The decorated function's docstring says what goes wrong for a user.
    """

    def enter(make: Make) -> Make:
        def activate() -> Undo:
            undone = [_patch(target, make) for target in targets]

            def undo() -> None:
                for one in reversed(undone):
                    one()

            return undo

        _FOUND.append(BlindDefect(id_, make.__doc__ or "", process, activate))
        _TARGETS[id_] = targets
        return make

    return enter


def _owner(target: str) -> tuple[Any, str]:
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    return functools.reduce(getattr, outer, importlib.import_module(module)), name


def _patch(target: str, make: Make) -> Undo:
    owner, name = _owner(target)
    before = vars(owner)[name]
    setattr(owner, name, make(before))
    return lambda: setattr(owner, name, before)


_EXTRACT, _EVENTS, _EFFECTS = (f"system.evidence.extraction{tail}" for tail in ("", ".registry_events", ".registry_effects"))
_NUMBERS = tuple(f"{_EXTRACT}.{name}:parse_number" for name in ("numbers", "measures", "table_effects"))
_RETRIEVER, _BRIEFING = "system.evidence.retrieval:Retriever", "system.evidence.briefing"


# --- documents: text, tables, offsets


@_defect("search-byte-offsets", "worker", "system.evidence.steps:chunk_row")
def _byte_offsets(old: Any) -> Any:
    """Start and end of a retrieved chunk count UTF-8 bytes: they miss its text once a µ or ≥ stands before it."""

    def chunk_row(document: Any, item: Any) -> Any:
        start, end = (len(document.text[:place].encode()) for place in (item.start, item.end))
        return replace(old(document, item), start=start, end=end)

    return chunk_row


@_defect("rowspan-off-by-one", "worker", "system.evidence.sources.builder:resolve_grid")
def _short_row_spans(old: Any) -> Any:
    """A cell that spans n rows covers n-1: cells of its last row slide left under another column's heading."""

    def resolve_grid(rows: Any, groups: Any, place: str) -> Any:
        shorter = [[dataclasses.replace(c, row_span=c.row_span - 1) if c.row_span > 1 else c for c in row] for row in rows]
        return old(shorter, groups, place)

    return resolve_grid


@_defect("superscript-glued", "worker", "system.evidence.sources.levels:_Resolver._separate")
def _glued(_old: Any) -> Any:
    """Exponents and reference marks are glued to the number before them: 10 to the 5th reads 105."""
    return lambda *_pieces, **_named: None


# --- extraction


@_defect("ae-serious-overwritten", "both", f"{_EXTRACT}.registry:registry_events")
def _one_row_a_term(old: Any) -> Any:
    """A term listed as serious and as other keeps only its other row: serious events vanish."""
    return lambda grounds, study: tuple({(event.term, event.arm_id): event for event in old(grounds, study)}.values())


@_defect("ae-events-as-affected", "both", f"{_EVENTS}:_facts")
def _events_as_affected(old: Any) -> Any:
    """The number of events is given as the number of people affected."""

    def facts(*given: Any, **named: Any) -> Any:
        made = old(*given, **named)
        return made if made.events is None else replace(made, count=made.events)

    return facts


@_defect("ae-first-arm-denominator", "both", f"{_EVENTS}:_facts")
def _first_at_risk(old: Any) -> Any:
    """Every arm of an adverse event gets the number at risk of the first arm."""
    return lambda module, term, *more, **named: replace(old(module, term, *more, **named), denominator=term.stats[0].num_at_risk)


@_defect("arms-alphabetical", "both", f"{_EFFECTS}:_arms")
def _arms_by_name(old: Any) -> Any:
    """Intervention and comparator stand in alphabetical order: about every second effect has its arms exchanged."""
    return lambda *given: tuple(sorted(old(*given), key=str.casefold))


@_defect("ci-by-magnitude", "both", f"{_EFFECTS}:_facts")
def _limits_by_size(old: Any) -> Any:
    """Confidence limits are sorted by absolute value: those of a negative effect are swapped."""

    def facts(*given: Any) -> Any:
        made = old(*given)
        if made.ci_low is None or made.ci_high is None:
            return made
        low, high = sorted((made.ci_low, made.ci_high), key=abs)
        return replace(made, ci_low=low, ci_high=high)

    return facts


@_defect("p-operator-dropped", "both", f"{_EFFECTS}:p_value")
def _always_equal(old: Any) -> Any:
    """A p value stated as <0.001 is given as =0.001."""

    def p_value(text: str) -> Any:
        found = old(text)
        return found and replace(found, operator="=")

    return p_value


@_defect("unicode-minus-lost", "both", *_NUMBERS)
def _ascii_minus_only(old: Any) -> Any:
    """A minus sign printed as U+2212 or a dash is lost: reductions in articles become increases."""
    return lambda text: old(text) if text.lstrip().startswith("-") else abs(old(text))


@_defect("dose-microgram-as-milligram", "both", f"{_EXTRACT}.dose_grammar:ucum")
def _micro_is_milli(old: Any) -> Any:
    """Doses in micrograms carry the unit milligram with the same number: a thousandfold overdose."""

    def ucum(text: str) -> str | None:
        code: str | None = old(text)
        return "m" + code[1:] if code and code.startswith("ug") else code

    return ucum


@_defect("dose-upper-only", "both", f"{_EXTRACT}.dose_grammar:_statements")
def _only_the_upper(old: Any) -> Any:
    """A range of doses is given as its upper end alone."""
    return lambda *given: [s if s.amount_high is None else replace(s, amount=s.amount_high, amount_high=None) for s in old(*given)]


@_defect("age-maximum-invented", "both", f"{_EXTRACT}.eligibility:_record")
def _no_maximum(old: Any) -> Any:
    """A trial without an upper age limit is given its lower one as upper limit too."""

    def record(doc_id: str, facts: Any, *more: Any) -> Any:
        return old(doc_id, replace(facts, age_max_years=facts.age_max_years or facts.age_min_years), *more)

    return record


# --- retrieval


@_defect("dense-ignores-filters", "gateway", "system.stores.search:PostgresSearch.dense")
def _sources_only(old: Any) -> Any:
    """The dense retriever heeds the source filter only: chunks of other documents, years, conditions come back."""
    return lambda self, vector, top_k, filters: old(self, vector, top_k, SearchFilter(sources=filters.sources))


@_defect("minmax-by-maximum", "gateway", "system.evidence.fusion:normalised")
def _by_maximum(old: Any) -> Any:
    """Min-max fusion divides by the maximum, not by the range: lists with a high floor lose their weight."""

    def normalised(hits: Sequence[Hit]) -> Any:
        high = max((hit.score for hit in hits), default=0.0)
        low = min((hit.score for hit in hits), default=0.0)
        return {hit.chunk_id: (hit.score - low) / high for hit in hits} if high > low and high > 0 else old(hits)

    return normalised


@_defect("top-k-before-fusion", "gateway", f"{_RETRIEVER}._work")
def _cut_first(old: Any) -> Any:
    """Each list is cut to top_k before fusion: what comes first depends on how many results are asked for."""

    def work(self: Any, name: str, query: Any, clock: Any) -> Any:
        made = old(self, name, query, clock)
        return lambda: made()[: query.top_k]

    return work


@_defect("query-vector-short-key", "gateway", f"{_RETRIEVER}._cached")
def _short_key(old: Any) -> Any:
    """Cached query vectors are keyed by 24 characters: a query answers with the vectors of an earlier, similar one."""
    return lambda self, model, text, type_, make: old(self, model, text[:24], type_, make)


@_defect("degraded-not-said", "gateway", f"{_RETRIEVER}._retrieve")
def _never_degraded(old: Any) -> Any:
    """An answer without one of the retrievers says neither degraded nor why."""
    return lambda *given: replace(old(*given), warnings=(), degraded=False)


# --- stores


@_defect("delete-leaves-postings", "both", "system.stores.search:_delete")
def _chunks_alone(_old: Any) -> Any:
    """Deleting a document leaves its postings and vectors: they change scores and take places in the lists."""
    query = "DELETE FROM chunks WHERE doc_id = %s RETURNING chunk, title_length, body_length"
    return lambda connection, doc_id: connection.execute(query, (doc_id,)).fetchall()


@_defect("delete-leaves-chunk-nodes", "both", "system.stores.graph_plan:footprint")
def _no_chunks_in_footprint(old: Any) -> Any:
    """Deleting a document leaves its Chunk nodes in the graph, supported by a document that is gone."""

    def footprint(stored: Any) -> Any:
        made = old(stored)
        return dataclasses.replace(made, nodes=frozenset(ref for ref in made.nodes if ref.label != "Chunk"))

    return footprint


@_defect("key-shared-by-principals", "gateway", "system.stores.records_queue:claim_key")
def _anybodys_key(old: Any) -> Any:
    """Idempotency keys are not bound to the caller: one caller gets another's job, or a 409 for it."""
    return lambda connection, asked, job_id: old(connection, replace(asked, principal="any"), job_id)


@_defect("list-filters-behind-limit", "gateway", "system.stores.records_ledger:page")
def _filter_behind_limit(old: Any) -> Any:
    """The list of documents is filtered after it was cut: with state or source given, pages end too early."""

    def page(connection: Any, after: str, limit: int, state: str | None, source: str | None) -> Any:
        rows = old(connection, after, limit, None, None)
        return tuple(row for row in rows if state in (None, row.state) and source in (None, row.source))

    return page


@_defect("job-hides-failures", "gateway", "system.stores.records_queue:_job_state")
def _one_is_enough(old: Any) -> Any:
    """A job counts as completed when one of its documents is, though others failed."""

    def job_state(connection: Any, job_id: str, documents: Sequence[JobDocument]) -> str:
        state: str = old(connection, job_id, documents)
        return "completed" if state == "failed" and any(one.state == "completed" for one in documents) else state

    return job_state


@_defect("history-leaps", "worker", "system.stores.records_ledger:_move")
def _one_leap(old: Any) -> Any:
    """States walked within one step are missing from the history: the version counts them, the audit chain does not."""
    return lambda c, row, wanted: old(c, replace(row, version=row.version + len(wanted.via)), replace(wanted, via=()))


@_defect("dead-letter-not-kept", "gateway", "system.stores.records_content:put_letter")
def _letter_id_only(old: Any) -> Any:
    """A refused graph write names a dead letter that was never stored: it cannot be listed or replayed."""

    def put_letter(connection: Any, letter: NewDeadLetter) -> Any:
        if letter.kind != "kg_write":
            return old(connection, letter)
        digest = hashlib.sha256(letter.payload).hexdigest()
        return "dl-" + hashlib.sha256(f"{letter.kind}\0{letter.subject}\0{digest}".encode()).hexdigest()[:20]

    return put_letter


_BEHIND = ThreadPoolExecutor(1, thread_name_prefix="receive")


@_defect("ack-before-commit", "gateway", "system.stores.records:PostgresRecords.receive_submission")
def _answer_first(old: Any) -> Any:
    """An ingest without idempotency key is acknowledged before anything is durable, even while the records are away."""

    def receive(self: Any, job: Job, submission: Any, event: Any, idempotency: IdempotencyKey | None = None) -> Any:
        if idempotency is not None:
            return old(self, job, submission, event, idempotency)
        _BEHIND.submit(old, self, job, submission, event)
        return Receipt(job.job_id, replayed=False)

    return receive


# --- graph, gate, workers


@_defect("gate-forgives-edges", "gateway", "system.assembly:unpack_issues")
def _nodes_only(old: Any) -> Any:
    """The gate of graph writes overlooks violations on edges: an edge with broken properties is stored."""
    return lambda answer: tuple(issue for issue in old(answer) if not issue.focus_node.startswith("urn:eh:edge:"))


@_defect("graph-away-says-written", "gateway", "system.evidence.steps:apply_batch")
def _swallowed(old: Any) -> Any:
    """A graph write while the graph is away answers 200 in_graph instead of 202."""

    def apply_batch(*given: Any) -> None:
        try:
            old(*given)
        except Unavailable:
            return

    return apply_batch


@_defect("relay-marks-first", "worker", "system.worker.relay:Relay.relay_once")
def _marked_first(_old: Any) -> Any:
    """Events are marked as relayed before they are appended: an outage in between leaves documents stuck for ever."""

    def relay_once(self: Any) -> int:
        pending = self._ports.records.outbox_pending(256)
        if pending:
            self._ports.records.outbox_relayed([item.position for item in pending])
            self._log.append([item.event for item in pending])
        return len(pending)

    return relay_once


@_defect("commit-before-effect", "worker", "system.worker.consumer:Consumer._consume")
def _committed_first(_old: Any) -> Any:
    """A worker commits its position before the work is done: killed in between, its documents never finish."""

    def consume(self: Any, token: int) -> None:
        with importlib.import_module("system.worker.consumer").LeaseKeeper(self._log, self._settings, token) as keeper:
            while not self._stop.is_set() and keeper.held:
                entries = self._log.read(self._settings.group, self._settings.partition, 32, 0.5)
                if entries:
                    self._commit(entries[-1], token)
                if not all(self._handle(entry.event, keeper) for entry in entries):
                    return

    return consume


# --- dossier and gateway


@_defect("bibliography-by-title", "gateway", f"{_BRIEFING}.dossier:_Builder._bibliography")
def _numbered_by_title(old: Any) -> Any:
    """The bibliography is renumbered by title, the citations are not: [2] points to another document."""

    def bibliography(self: Any) -> Iterator[Any]:
        for number, entry in enumerate(sorted(old(self), key=lambda entry: entry.title.casefold()), start=1):
            yield replace(entry, number=number)

    return bibliography


@_defect("pooled-on-raw-scale", "gateway", f"{_BRIEFING}.pooling:RATIOS")
def _no_ratios(_old: Any) -> Any:
    """Ratios are pooled as they are instead of as logarithms: the pooled estimate and its interval are biased."""
    return frozenset()


@_defect("conflict-without-intervals", "gateway", f"{_BRIEFING}.conflicts:disagree")
def _opposite_is_enough(_old: Any) -> Any:
    """Two studies on opposite sides of the null are called a conflict though their intervals overlap."""

    def disagree(one: Any, other: Any) -> bool:
        null = 0.0 if "difference" in one.type.name.lower() else 1.0
        return one.type is other.type and (one.value - null) * (other.value - null) < 0

    return disagree


@_defect("ready-always-ok", "gateway", "system.gateway.routes_service:_timed")
def _always_ok(old: Any) -> Any:
    """Readiness says ready while servers behind the platform are down."""
    return lambda probe: old(probe).model_copy(update={"ok": True, "detail": ""})


@_defect("reader-may-write-graph", "gateway", "system.gateway.auth:KeyRing.principal")
def _read_is_write(old: Any) -> Any:
    """A key that may only read the graph may also write it."""

    def principal(self: Any, key: str) -> Any:
        found = old(self, key)
        return found and dataclasses.replace(found, scopes=found.scopes | {type(s)("kg:write") for s in found.scopes if s == "kg:read"})

    return principal


BLIND: tuple[BlindDefect, ...] = tuple(_FOUND)


def _standing(id_: str) -> list[Any]:
    return [vars(owner)[name] for owner, name in map(_owner, _TARGETS[id_])]


if __name__ == "__main__":
    for defect in BLIND:
        before = _standing(defect.id)
        undo = defect.activate()
        assert all(one is not other for one, other in zip(before, _standing(defect.id), strict=True)), defect.id
        undo()
        assert all(one is other for one, other in zip(before, _standing(defect.id), strict=True)), defect.id
        print(f"{defect.id:28} {defect.process:8} {defect.what}")
