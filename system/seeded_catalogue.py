"""The catalogue of mechanical defects: operator × port call, each with what a user would see and which layers should find it.

None of them is equivalent to the working platform: ``breaks`` names the observable that changes. Changes that no user can see (an
event delivered twice, a cache that forgets, the same graph contribution written twice) are in ``HARMLESS``: no check may go red.
"""

from __future__ import annotations

from typing import Final

import msgspec

OPERATORS: Final = ("drop", "duplicate", "delay", "reorder", "truncate", "off_by_one", "swallow")
PORTS: Final = ("records", "objects", "search", "graph", "events", "cache", "dense", "sparse", "gate", "retriever")
LAYERS: Final = ("e2e", "shacl", "retrieval", "consistency", "contract", "chaos")


class Defect(msgspec.Struct, frozen=True):
    """One seeded defect: an operator on one port call.

    ``every``: only each n-th call, counted from the moment it was armed. ``amount``: shift, or seconds.
    """

    id: str
    port: str
    call: str  # a method's name, or several joined by |
    operator: str
    breaks: str  # what a user would see
    layers: tuple[str, ...]  # any of these should find it
    focus: str = ""
    every: int = 1
    amount: float = 1

    def hits_call(self, port: str, call: str) -> bool:
        return port == self.port and call in self.call.split("|")


def _defect(
    port: str, call: str, operator: str, breaks: str, layers: tuple[str, ...], *, focus: str = "", every: int = 1, amount: float = 1
) -> Defect:
    place = f"@{focus}" if focus else ""
    return Defect(f"{port}.{call}:{operator}{place}", port, call, operator, breaks, layers, focus, every, amount)


_OURS: Final[tuple[Defect, ...]] = (
    _defect("records", "receive_submission", "drop", "a 202 whose payload is stored nowhere", ("consistency",)),
    _defect(
        "records",
        "receive_submission",
        "drop",
        "idempotency keys are forgotten: a repeated request makes a second job",
        ("consistency",),
        focus="3",
    ),
    _defect(
        "records", "create_documents", "truncate", "the last documents of a payload with several are never entered", ("e2e",), focus="1"
    ),
    _defect(
        "records",
        "transition",
        "drop",
        "a state change is acknowledged and not made: the document stops half way",
        ("e2e", "consistency"),
        every=7,
    ),
    _defect(
        "records", "transition", "reorder", "ledger states walked in the wrong order are refused: documents fail", ("e2e",), focus="0.via"
    ),
    _defect("records", "put_chunks", "truncate", "the last third of every document's chunks is lost", ("e2e",), focus="1"),
    _defect("records", "put_chunks", "off_by_one", "every chunk begins one character late", ("e2e",), focus="1.*.start"),
    _defect("records", "put_chunks", "off_by_one", "chunks are numbered from 1", ("e2e", "contract"), focus="1.*.index"),
    _defect("records", "put_extractions", "drop", "nothing that was extracted is kept", ("e2e",)),
    _defect(
        "records", "put_extractions", "truncate", "the last third of the adverse events is missing", ("e2e",), focus="1.adverse_events"
    ),
    _defect(
        "records",
        "put_extractions",
        "off_by_one",
        "one more subject affected in every adverse-event row",
        ("e2e",),
        focus="1.adverse_events.*.count",
    ),
    _defect(
        "records",
        "put_extractions",
        "off_by_one",
        "one more subject at risk in every adverse-event row",
        ("e2e",),
        focus="1.adverse_events.*.denominator",
    ),
    _defect(
        "records",
        "put_extractions",
        "off_by_one",
        "every effect estimate is 0.1 too large",
        ("e2e",),
        focus="1.effects.*.value",
        amount=0.1,
    ),
    _defect(
        "records",
        "put_extractions",
        "off_by_one",
        "quotes of effects are shifted by one character",
        ("e2e",),
        focus="1.effects.*.spans.*.start|1.effects.*.spans.*.end",
    ),
    _defect(
        "records", "put_extractions", "truncate", "quotes of eligibility criteria are cut off", ("e2e",), focus="1.criteria.*.spans.*.quote"
    ),
    _defect(
        "records", "put_extractions", "reorder", "adverse events are credited to other arms", ("e2e",), focus="1.adverse_events.*.arm_id"
    ),
    _defect(
        "records", "extractions", "truncate", "the last third of a page of extractions is not answered", ("e2e", "contract"), focus="result"
    ),
    _defect(
        "records", "list_documents", "off_by_one", "a page is one row short, so paging ends early", ("contract",), focus="1", amount=-1
    ),
    _defect(
        "records",
        "list_documents",
        "reorder",
        "rows come in reverse order, so paging repeats or skips",
        ("contract", "e2e"),
        focus="result",
    ),
    _defect("records", "chunks_of", "reorder", "the chunks of a document come in reverse", ("contract", "e2e"), focus="result"),
    _defect("records", "chunk", "drop", "chunks that are there are answered 404", ("contract",)),
    _defect("records", "job", "truncate", "a job forgets the last of its documents", ("contract", "consistency"), focus="result.documents"),
    _defect("records", "history", "reorder", "the ledger's history runs backwards", ("consistency",), focus="result"),
    _defect("records", "history", "truncate", "the end of a document's history is missing", ("consistency",), focus="result"),
    _defect("records", "counts", "off_by_one", "every count is one too high", ("contract", "consistency"), focus="result.*"),
    _defect("records", "stage_graph_batch", "drop", "graph writes are acknowledged without being durable", ("consistency",)),
    _defect("records", "graph_batch_applied", "drop", "written batches stay marked as waiting for ever", ("consistency",)),
    _defect("records", "put_dead_letter", "drop", "refused batches leave no dead letter", ("shacl",)),
    _defect("records", "put_dead_letter", "duplicate", "one refusal is counted as two attempts", ("shacl",)),
    _defect("records", "receive_submission", "swallow", "payloads are acknowledged while the records are away, and lost", ("chaos",)),
    _defect("records", "mark_replayed", "drop", "a replayed dead letter stays open", ("shacl",)),
    _defect("records", "dead_letters", "truncate", "the last third of the dead letters is not shown", ("shacl",), focus="result"),
    _defect("records", "graph_knows", "drop", "writes that refer to stored nodes are refused", ("shacl",)),
    _defect("records", "outbox_relayed", "drop", "events are relayed for ever: the outbox never empties", ("consistency",)),
    _defect("records", "delete_document", "drop", "a deleted document stays in the ledger", ("consistency",)),
    _defect("objects", "put", "truncate", "the last third of every stored blob is lost", ("e2e",), focus="1"),
    _defect("objects", "put", "drop", "every fourth blob is acknowledged and not stored", ("e2e",), every=4),
    _defect("objects", "get", "truncate", "every third blob is read short", ("e2e",), focus="result", every=3),
    _defect(
        "search",
        "replace_document",
        "truncate",
        "the last third of every document's chunks cannot be found",
        ("retrieval", "contract"),
        focus="1|2|3",
    ),
    _defect("search", "replace_document", "drop", "every fourth document cannot be found", ("retrieval", "contract"), every=4),
    _defect(
        "search",
        "replace_document",
        "off_by_one",
        "offsets of answers are shifted by one character",
        ("retrieval", "e2e"),
        focus="1.*.start|1.*.end",
    ),
    _defect("search", "replace_document", "reorder", "dense vectors belong to other chunks", ("retrieval",), focus="2"),
    _defect("search", "replace_document", "reorder", "sparse vectors belong to other chunks", ("retrieval",), focus="3"),
    _defect("search", "replace_document", "truncate", "the text of indexed chunks is cut off", ("retrieval", "e2e"), focus="1.*.text"),
    _defect("search", "delete_document", "drop", "a deleted document is still found", ("consistency",)),
    _defect(
        "search",
        "bm25",
        "reorder",
        "BM25 scores are given to the wrong chunks: the worst comes first",
        ("retrieval",),
        focus="result.*.score",
    ),
    _defect(
        "search",
        "dense",
        "reorder",
        "dense scores are given to the wrong chunks: the worst comes first",
        ("retrieval",),
        focus="result.*.score",
    ),
    _defect("search", "sparse", "drop", "the sparse retriever finds nothing and says nothing", ("retrieval",)),
    _defect("search", "dense", "truncate", "a third of the dense candidates is lost", ("retrieval",), focus="result"),
    _defect("search", "bm25", "drop", "BM25 ignores filters", ("retrieval",), focus="2"),
    _defect("search", "dense", "drop", "the dense retriever ignores filters", ("retrieval",), focus="2"),
    _defect("search", "sparse", "truncate", "a third of the query's terms is not searched", ("retrieval",), focus="0.indices|0.values"),
    _defect("search", "chunks", "truncate", "a third of the ranked chunks is not answered", ("retrieval",), focus="result"),
    _defect("search", "chunks", "off_by_one", "answers begin one character late", ("retrieval", "e2e"), focus="result.*.start"),
    _defect("search", "bm25", "delay", "every answer waits 1.5 s for BM25", ("retrieval",)),
    _defect("search", "count", "off_by_one", "one index row too many is counted", ("contract",), focus="result"),
    _defect("graph", "replace_contribution", "drop", "every third graph write is acknowledged and lost", ("consistency", "e2e"), every=3),
    _defect("graph", "replace_contribution", "truncate", "the last third of every batch's edges is missing", ("e2e",), focus="0.edges"),
    _defect(
        "graph",
        "replace_contribution",
        "off_by_one",
        "quotes in the graph point one character too far",
        ("e2e", "shacl"),
        focus="0.edges.*.properties.start|0.edges.*.properties.end",
    ),
    _defect(
        "graph",
        "replace_contribution",
        "off_by_one",
        "adverse-event counts in the graph are one too high",
        ("e2e",),
        focus="0.edges.*.properties.count",
    ),
    _defect("graph", "replace_contribution", "delay", "every graph write takes 1.5 s longer", ("contract",)),
    _defect("graph", "remove_contribution", "drop", "a deleted document stays in the graph", ("consistency",)),
    _defect("graph", "nodes", "truncate", "the last third of a page of nodes is not exported", ("e2e", "contract"), focus="result"),
    _defect("graph", "edges", "duplicate", "edges are exported twice", ("e2e", "contract"), focus="result"),
    _defect("graph", "counts", "off_by_one", "graph counts are one too high", ("contract",), focus="result.*"),
    _defect(
        "events", "append", "drop", "every fifth relayed batch of events is lost: documents stop half way", ("e2e", "consistency"), every=5
    ),
    _defect("events", "append", "truncate", "the last events of a relayed batch are lost", ("e2e", "consistency"), focus="0"),
    _defect("events", "append", "swallow", "events are lost while the event log is away: documents never finish", ("chaos",)),
    _defect("graph", "replace_contribution", "swallow", "a write while the graph is away is said to be in the graph", ("chaos",)),
    _defect("cache", "get|put", "drop", "all queries share one cache entry: answers of the query before", ("retrieval",), focus="0"),
    _defect("cache", "get", "delay", "every answer waits 1.5 s for the cache", ("retrieval",)),
    _defect("dense", "embed", "reorder", "the vectors of a request belong to other texts", ("retrieval",), focus="result"),
    _defect("dense", "embed", "drop", "the dense model answers without vectors", ("e2e", "retrieval")),
    _defect("sparse", "encode", "reorder", "the sparse vectors of a request belong to other texts", ("retrieval",), focus="result"),
    _defect("sparse", "encode", "delay", "every answer waits 1.5 s for the sparse model", ("retrieval",)),
    _defect("gate", "check", "swallow", "refusals are swallowed: what breaks a shape is written", ("shacl",)),
    _defect("gate", "check", "drop", "every second batch passes unchecked", ("shacl",), every=2),
    _defect("gate", "check", "truncate", "the gate sees two thirds of a batch's edges", ("shacl",), focus="0.edges"),
    _defect("retriever", "retrieve", "off_by_one", "one result more than asked for", ("retrieval",), focus="0.top_k"),
    _defect("retriever", "retrieve", "drop", "filters are ignored", ("retrieval",), focus="0.filters"),
    _defect("retriever", "retrieve", "truncate", "the last third of the results is not answered", ("retrieval",), focus="result.results"),
    _defect("retriever", "retrieve", "reorder", "the worst result comes first", ("retrieval",), focus="result.results"),
    _defect("retriever", "retrieve", "duplicate", "every result comes twice", ("retrieval",), focus="result.results"),
    _defect(
        "retriever",
        "retrieve",
        "off_by_one",
        "answers point one character too far",
        ("retrieval", "e2e"),
        focus="result.results.*.chunk.end",
    ),
    _defect("retriever", "retrieve", "drop", "every third question is answered with nothing", ("retrieval",), every=3),
    _defect("retriever", "retrieve", "delay", "every answer takes 1.5 s longer than the objective allows", ("retrieval",)),
)
HARMLESS: Final[tuple[Defect, ...]] = (
    _defect("events", "append", "duplicate", "the log is at-least-once: consumers tell events apart by their id", ()),
    _defect("graph", "replace_contribution", "duplicate", "a contribution replaces itself", ()),
    _defect("search", "replace_document", "duplicate", "an indexed document replaces itself", ()),
    _defect("objects", "put", "duplicate", "objects are named by their content", ()),
    _defect("cache", "get", "drop", "a cache may forget anything at any time", ()),
    _defect("cache", "put", "truncate", "an entry that cannot be decoded is a miss", (), focus="1"),
)
# Slowdowns that only load shows: the bars of the load tests arm them, no layer of a reduced run has to find them.
SLOW: Final[tuple[Defect, ...]] = (
    _defect("records", "receive_submission", "delay", "every acknowledgement of a payload takes 1.5 s longer", ()),
    _defect("reranker", "rerank", "delay", "reranking takes 1.5 s longer", ()),
)
CATALOGUE: Final[tuple[Defect, ...]] = _OURS + HARMLESS + SLOW
DEFECTS: Final[tuple[Defect, ...]] = _OURS
