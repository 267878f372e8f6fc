"""A staged batch that the graph will never take does not hold up the ones behind it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from system.platform.errors import BadInput
from system.platform.ports import GraphBatch, LedgerRow, StagedBatch, Transition
from system.platform.record_types import NewDeadLetter
from system.worker.relay import Applier


class Records:
    """Three staged batches, of which the graph refuses one."""

    def __init__(self, stop: threading.Event) -> None:
        self.status = {"doc:a": "staged", "doc:bad": "staged", "doc:c": "staged"}
        self.states = dict.fromkeys(self.status, "indexed")
        self.letters: list[NewDeadLetter] = []
        self.reasons: dict[str, Any] = {}
        self._stop = stop

    def staged_batches(self, _limit: int) -> list[StagedBatch]:
        waiting = [name for name, status in self.status.items() if status == "staged"]
        if not waiting:
            self._stop.set()
        return [StagedBatch(GraphBatch(name, (), ()), "sha", "staged", None, None, "2026-01-01T00:00:00+00:00") for name in waiting]

    def graph_batch_applied(self, supporter: str, _digest: str) -> None:
        self.status[supporter] = "applied"

    def graph_batch_refused(self, supporter: str, _digest: str) -> None:
        self.status[supporter] = "refused"

    def put_dead_letter(self, letter: NewDeadLetter) -> str:
        self.letters.append(letter)
        return "dl-1"

    def put_chunks(self, doc_id: str, chunks: tuple[object, ...]) -> None:
        assert (doc_id, chunks) == ("doc:bad", ()), "only the failed document's chunks go"

    def list_documents(self, _after: str, _limit: int, *, superseded: bool) -> list[LedgerRow]:
        assert superseded, "only what the graph may not have is looked for"
        return []

    def publish(self, _doc_id: str) -> tuple[str, ...]:
        return ()

    def ledger_row(self, doc_id: str) -> LedgerRow:
        return LedgerRow(doc_id, "ctgov", "n", self.states[doc_id], 7, "raw/x", None, "job", None, "now")

    def transition(self, transition: Transition) -> None:
        self.states[transition.doc_id] = transition.new_state
        self.reasons[transition.doc_id] = transition.reason


def test_a_refused_batch_becomes_a_dead_letter_and_its_document_fails() -> None:
    """BadInput from the graph: one dead letter, the document failed with the reason, the other batches applied."""
    stop = threading.Event()
    records = Records(stop)

    def replace(batch: GraphBatch) -> None:
        if batch.supporter == "doc:bad":
            raise BadInput("an edge ends at a node that does not exist", "urn:eh:Study:X", "write the node first")

    withdrawn: list[str] = []
    ports: Any = SimpleNamespace(
        records=records,
        graph=SimpleNamespace(replace_contribution=replace),
        search=SimpleNamespace(delete_document=withdrawn.append),
    )
    thread = threading.Thread(target=Applier(ports, stop).run, daemon=True)
    thread.start()
    thread.join(timeout=10.0)
    assert not thread.is_alive()
    assert records.status == {"doc:a": "applied", "doc:bad": "refused", "doc:c": "applied"}
    assert records.states == {"doc:a": "completed", "doc:bad": "failed", "doc:c": "completed"}
    assert [(letter.kind, letter.subject) for letter in records.letters] == [("extraction", "doc:bad")]
    assert withdrawn == ["doc:bad"]
    assert records.reasons["doc:bad"]["place"] == "urn:eh:Study:X"
