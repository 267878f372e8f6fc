"""Judges retrieval by questions whose right answer is known: the document's own words, filters, sizes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from suites.e2e.agreement import SHOWN, Judged
from suites.wing.reduced.answers import ANSWER_LIMIT_S

Evidence = Mapping[str, Any]
CHUNK_RANK = {"dense": 1, "sparse": 3, "bm25": 3, "all": 3}  # a chunk's own text, asked for
CLOSE = 1e-3


def honest(found: Evidence) -> Judged:
    """Every question is answered by all the retrievers it asked, without a warning."""
    asked = found["answers"]["asked"]
    problems = []
    for item in asked:
        body, answer = item["body"], item["answer"]
        if answer["status"] != 200:
            problems.append(f"{_name(item)} was answered {answer['status']}")
        elif answer["body"]["warnings"] or answer["body"]["meta"]["degraded"]:
            problems.append(f"{_name(item)}: {answer['body']['warnings']}")
        elif sorted(answer["body"]["meta"]["retrievers_used"]) != sorted(body["retrievers"]):
            problems.append(f"{_name(item)} was answered by {answer['body']['meta']['retrievers_used']}")
    return Judged(len(asked), _few(problems))


def known_chunks(found: Evidence) -> Judged:
    """Asked with a chunk's own words, each retriever puts that chunk first, or nearly."""
    problems = []
    asked = _asked(found, "chunk")
    for item, results in asked:
        ranks = [rank for rank, hit in enumerate(results, 1) if hit["chunk_id"] == item["wanted"]]
        if not ranks or ranks[0] > CHUNK_RANK[_retrievers(item)]:
            problems.append(f"{_name(item)}: {item['wanted']} stands at {ranks[0] if ranks else 'no'} place")
    return Judged(len(asked), _few(problems))


def known_titles(found: Evidence) -> Judged:
    """Asked with a document's title, each retriever has it among its top results."""
    asked = _asked(found, "title")
    missing = [item for item, results in asked if item["wanted"] not in {hit["doc_id"] for hit in results}]
    return Judged(len(asked), _few([f"{_name(item)}: {item['wanted']} is not among the top {item['body']['top_k']}" for item in missing]))


def filters(found: Evidence) -> Judged:
    """A filtered answer holds nothing else; the dense retriever, which ranks everything, holds all of it."""
    problems = []
    asked = _asked(found, "filter")
    for item, results in asked:
        wanted = set(_matching(found["reading"], item["body"]["filters"]))
        have = {hit["chunk_id"] for hit in results}
        if foreign := have - wanted:
            problems.append(f"{_name(item)} {item['body']['filters']}: {len(foreign)} results do not match")
        if "dense" in item["body"]["retrievers"] and (missing := wanted - have):
            problems.append(f"{_name(item)} {item['body']['filters']}: {len(missing)} of {len(wanted)} matching chunks are missing")
    return Judged(len(asked), _few(problems))


def complete(found: Evidence) -> Judged:
    """The dense retriever ranks every chunk there is; a smaller answer has exactly the size asked for."""
    chunks = {chunk["chunk_id"] for item in found["reading"]["documents"].values() for chunk in item["chunks"]}
    problems = []
    everything, sized = _asked(found, "all"), _asked(found, "size")
    for item, results in everything:
        have = {hit["chunk_id"] for hit in results}
        if have - chunks or ("dense" in item["body"]["retrievers"] and have != chunks):
            problems.append(f"{_name(item)}: {len(have)} chunks are ranked, {len(chunks)} are there")
    for item, results in sized:
        if len(results) != min(item["body"]["top_k"], len(chunks)):
            problems.append(f"{_name(item)}: {len(results)} results, {item['body']['top_k']} were asked for")
    return Judged(len(everything) + len(sized), _few(problems))


def ordered(found: Evidence) -> Judged:
    """Results stand once, best first; a larger answer begins with the smaller one."""
    asked = [item for kind in ("chunk", "title", "filter", "all", "size") for item in _asked(found, kind)]
    problems = []
    for item, results in asked:
        ids, scores = [hit["chunk_id"] for hit in results], [hit["score"] for hit in results]
        if len(ids) != len(set(ids)):
            problems.append(f"{_name(item)}: results stand twice")
        if scores != sorted(scores, reverse=True):
            problems.append(f"{_name(item)}: results are not ordered by score")
    whole = {_retrievers(item): [hit["chunk_id"] for hit in results] for item, results in _asked(found, "all")}
    for item, results in _asked(found, "size"):
        ids = [hit["chunk_id"] for hit in results]
        if ids != whole.get(_retrievers(item), [])[: len(ids)]:
            problems.append(f"{_name(item)}: the top {item['body']['top_k']} are not those of the larger answer")
    return Judged(len(asked), _few(problems))


def slices(found: Evidence) -> Judged:
    """A result is its chunk: same offsets, same text, and both are the document's."""
    documents = found["reading"]["documents"]
    chunks = {chunk["chunk_id"]: chunk for item in documents.values() for chunk in item["chunks"]}
    seen = {hit["chunk_id"]: hit for item in found["answers"]["asked"] for hit in _results(item)}
    problems = []
    for name, hit in seen.items():
        text = documents.get(hit["doc_id"], {"text": ""})["text"][hit["start"] : hit["end"]]
        chunk = chunks.get(name)
        if text != hit["text"] or chunk is None or (chunk["start"], chunk["end"], chunk["text"]) != (hit["start"], hit["end"], hit["text"]):
            problems.append(f"{name} is answered as {hit['start']}:{hit['end']}")
    return Judged(len(seen), _few(problems))


def answer_time(found: Evidence) -> Judged:
    """Of each set of retrievers, half of the questions are answered within the limit."""
    problems = []
    asked = found["answers"]["asked"]
    for retrievers in sorted({_retrievers(item) for item in asked}):
        seconds = statistics.median(item["answer"]["seconds"] for item in asked if _retrievers(item) == retrievers)
        if seconds >= ANSWER_LIMIT_S:
            problems.append(f"{retrievers}: half of the answers took {seconds:.2f} s or more; limit {ANSWER_LIMIT_S:g} s")
    return Judged(len(asked), tuple(problems))


def same_answers(found: Evidence) -> Judged:
    """The same questions over the same documents have the answers of the reference: same scores, place by place."""
    reference = {_key(item): _scores(item) for item in found["reference_answers"]["asked"]}
    problems = []
    for item in found["answers"]["asked"]:
        expected, given = reference.get(_key(item)), _scores(item)
        if expected is None or len(expected) != len(given) or any(abs(a - b) > CLOSE for a, b in zip(expected, given, strict=False)):
            problems.append(f"{_name(item)}: other scores than in the reference")
    return Judged(len(reference), _few(problems))


def _asked(found: Evidence, kind: str) -> list[tuple[Evidence, list[Evidence]]]:
    return [(item, _results(item)) for item in found["answers"]["asked"] if item["kind"] == kind]


def _results(item: Evidence) -> list[Evidence]:
    return list((item["answer"]["body"] or {}).get("results", []))


def _scores(item: Evidence) -> list[float]:
    """The fused score, then each retriever's own, of every place."""
    return [float(value) for hit in _results(item) for value in (hit["score"], *(hit["scores"][name] for name in sorted(hit["scores"])))]


def _key(item: Evidence) -> str:
    return repr((item["kind"], sorted(item["body"].items(), key=lambda pair: pair[0])))


def _retrievers(item: Evidence) -> str:
    names = item["body"]["retrievers"]
    return str(names[0]) if len(names) == 1 else "all"


def _name(item: Evidence) -> str:
    return f"{item['kind']} question to {_retrievers(item)}"


def _matching(reading: Evidence, wanted: Evidence) -> Iterator[str]:
    sources = {row["doc_id"]: row["source"] for row in reading["rows"]}
    for doc_id, item in reading["documents"].items():
        year = item.get("year")
        fits = doc_id in wanted.get("doc_ids", [doc_id]) and sources[doc_id] in wanted.get("sources", [sources[doc_id]])
        fits = fits and ("year_from" not in wanted or (year is not None and year >= wanted["year_from"]))
        fits = fits and ("year_to" not in wanted or (year is not None and year <= wanted["year_to"]))
        for chunk in item["chunks"]:
            if (
                fits
                and chunk["intent"] in wanted.get("intents", [chunk["intent"]])
                and chunk["kind"] in wanted.get("kinds", [chunk["kind"]])
            ):
                yield chunk["chunk_id"]


def _few(problems: list[str]) -> tuple[str, ...]:
    return (*problems[:SHOWN], *([f"… {len(problems) - SHOWN} more"] if len(problems) > SHOWN else []))
