"""The probe ``reduced_answers``: questions whose right answers are known from the documents themselves, and a dossier."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from harness.run.protocols import StepContext
from suites.wing.reduced import traps
from suites.wing.reduced.look import Look, keep

RETRIEVERS = ("bm25", "sparse", "dense")
SETS = (*((name,) for name in RETRIEVERS), RETRIEVERS)
PLAIN = "velotril for the prevention of migraine in adults"
QUERY_MAX = 1_500
DEPTH = 10
ALL = 200
SIZES = (1, 7, 50)
TOPIC = "migraine"
ANSWER_LIMIT_S = 0.8
SLOW_ENOUGH = 6
Question = dict[str, Any]


class ReducedAnswers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``reading``: the step whose evidence tells which documents there are."""

    reading: str = "reading"


class ReducedAnswersProbe:
    """Evidence ``answers``: every question with its answer."""

    name: ClassVar[str] = "reduced_answers"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedAnswers
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def capture(self, context: StepContext, parameters: ReducedAnswers) -> None:
        path = context.run_folder / "evidence" / context.trial / f"{parameters.reading}.json.gz"
        reading = json.loads(gzip.decompress(path.read_bytes()))
        with Look(context, "reader") as look:
            asked = list(_asked(look, questions(reading)))
            dossiers = [
                look.ask("POST", "/v1/briefing/dossier", json={"topic": {"condition": topic}})
                for topic in (TOPIC, traps.expected()["dossier"]["topic"])
            ]
            keep(context, self.name, "answers", {"asked": asked, "dossier": dossiers[0], "trap_dossier": dossiers[1]})


def _asked(look: Look, asking: Iterator[Question]) -> Iterator[Question]:
    """Each question with its answer. Retrievers of which all the first answers were slow are not asked on: that is judged already."""
    seconds: dict[tuple[str, ...], list[float]] = {}
    for question in asking:
        taken = seconds.setdefault(tuple(question["body"]["retrievers"]), [])
        if len(taken) >= SLOW_ENOUGH and min(taken) >= ANSWER_LIMIT_S:
            continue
        answer = look.ask("POST", "/v1/retrieve", json=question["body"])
        taken.append(answer["seconds"])
        yield {**question, "answer": answer}


def questions(reading: Mapping[str, Any]) -> Iterator[Question]:
    """Each with ``kind``, ``body`` and what the judge needs to know."""
    rows = [row for row in reading["rows"] if row["state"] == "completed" and reading["documents"][row["doc_id"]]["chunks"]]
    for row in rows:
        document = reading["documents"][row["doc_id"]]
        chunk = max(document["chunks"], key=lambda item: (len(item["text"]), item["chunk_id"]))
        for retrievers in SETS:
            text = " ".join(f"{chunk['title_path']} {chunk['text']}".split())[:QUERY_MAX]  # a question is one line
            yield _question("chunk", text, retrievers, DEPTH, wanted=chunk["chunk_id"])
            yield _question("title", document.get("title") or chunk["title_path"], retrievers, DEPTH * 2, wanted=row["doc_id"])
    for retrievers in SETS:
        for filters in _filters(rows, reading):
            yield _question("filter", PLAIN, retrievers, ALL, filters=filters)
        yield _question("all", PLAIN, retrievers, ALL)
        for size in SIZES:
            yield _question("size", PLAIN, retrievers, size)


def _filters(rows: list[Mapping[str, Any]], reading: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"sources": ["spl"]}
    yield {"doc_ids": sorted(row["doc_id"] for row in rows)[:2]}
    yield {"intents": ["eligibility"]}
    yield {"kinds": ["list"]}
    years = sorted({document["year"] for document in reading["documents"].values() if document.get("year")})
    if years:
        yield {"year_from": years[len(years) // 2]}
        yield {"year_to": years[0]}


def _question(kind: str, text: str, retrievers: tuple[str, ...], top_k: int, *, wanted: str = "", filters: Any = None) -> Question:
    body = {"query": text, "retrievers": list(retrievers), "top_k": top_k, "filters": filters or {}}
    return {"kind": kind, "body": body, "wanted": wanted}
