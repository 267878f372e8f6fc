"""Judges the documents of a reduced run: agreement with the sources, grounding, dossier (e2e), and the API's own promises (contract)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from suites.e2e import agreement
from suites.e2e.agreement import NOTHING, SHOWN, Judged, total
from suites.wing.reduced.answers import TOPIC

Evidence = Mapping[str, Any]
SECTIONS = ("pico", "effects", "safety", "dosing", "eligibility")


def documents(found: Evidence) -> Judged:
    expected: Counter[str] = Counter()
    for payload in found["expected"]:
        expected[payload["source"]] += payload["documents"]
    native = [name for payload in found["expected"] for name in payload.get("native_ids", ())]
    return agreement.documents_complete(found["reading"]["rows"], expected, native)


def adverse_events(found: Evidence) -> Judged:
    return total(agreement.adverse_events_agree(p["name"], _records(found, "ae", p), p["adverse_events"]) for p in _studies(found))


def effects(found: Evidence) -> Judged:
    return total(agreement.effects_stated(p["name"], _records(found, "effects", p), p["effects"]) for p in _studies(found))


def tables(found: Evidence) -> Judged:
    cells = [item["cells"] for item in _documents(found, "jats")]
    return agreement.tables_whole(cells, [payload["cells"] for payload in found["expected"] if "cells" in payload])


def label_sections(found: Evidence) -> Judged:
    have = [set(item["codes"]) for item in _documents(found, "spl")]
    labels = [payload for payload in found["expected"] if "codes" in payload]
    return total(agreement.label_sections_kept(have, payload["name"], set(payload["codes"])) for payload in labels)


def quotes(found: Evidence) -> Judged:
    texts = _texts(found)
    extractions = [item for items in found["reading"]["extractions"].values() for item in items]
    return total(agreement.quotes_equal_slices(texts.get(item["doc_id"], ""), item["records"]) for item in extractions)


def chunk_slices(found: Evidence) -> Judged:
    return total(agreement.chunks_equal_slices(item["text"], item["chunks"]) for item in found["reading"]["documents"].values())


def chunk_order(found: Evidence) -> Judged:
    return total(agreement.chunks_in_order(item["chunks"]) for item in found["reading"]["documents"].values())


def graph_quotes(found: Evidence) -> Judged:
    """Every edge that quotes is its document's text at its offsets."""
    texts = _texts(found)
    quoting = [edge for edge in found["reading"]["graph"]["edges"] if "quote" in edge["properties"]]
    problems = []
    for edge in quoting:
        said = edge["properties"]
        chunk = str(said.get("chunk") or edge["target"]["key"])
        text = texts.get(chunk.rpartition(":c")[0], "")
        if text[said["start"] : said["end"]] != said["quote"]:
            problems.append(f"{edge['type']} {edge['source']['key']}: {said['start']}:{said['end']} is not what it quotes")
    return Judged(len(quoting), tuple(problems[:SHOWN]))


def graph_facts(found: Evidence) -> Judged:
    """Adverse events and effects in the graph carry the numbers of the records they come from."""
    extractions = found["reading"]["extractions"]
    events = Counter(
        (record["record_id"], record.get("count"), record.get("denominator")) for item in extractions["ae"] for record in item["records"]
    )
    graph = found["reading"]["graph"]
    stated = [edge["properties"] for edge in graph["edges"] if edge["type"] == "HAS_AE"]
    in_graph = Counter((said.get("record_id"), said.get("count"), said.get("denom")) for said in stated)
    values = {record["record_id"]: record["value"] for item in extractions["effects"] for record in item["records"]}
    nodes = {node["key"]: node["properties"].get("value") for node in graph["nodes"] if node["label"] == "Evidence"}
    problems = [f"adverse event {name} has {count} of {denominator}" for name, count, denominator in (in_graph - events)]
    problems += [f"adverse event {name} is not in the graph" for name, _, _ in (events - in_graph)]
    problems += [
        f"effect {name} is {nodes.get(name)} in the graph and {value} in its record"
        for name, value in values.items()
        if nodes.get(name) != value
    ]
    return Judged(len(stated) + len(values), tuple(problems[:SHOWN]))


def dossier(found: Evidence) -> Judged:
    answer = found["answers"]["dossier"]
    if answer["status"] != 200:
        return Judged(1, (f"the dossier on {TOPIC} was answered {answer['status']}",))
    return agreement.dossier_sections(answer["body"], SECTIONS)


def sample_findings(found: Evidence) -> Judged:
    body = found["answers"]["dossier"]["body"]
    return agreement.sample_findings(body) if body and "sections" in body else NOTHING


def citations(found: Evidence) -> Judged:
    bodies = [found["answers"][name]["body"] for name in ("dossier", "trap_dossier")]
    return total(agreement.citations_verbatim(body, _texts(found)) for body in bodies if body and "sections" in body)


def traps_read(found: Evidence) -> Judged:
    """What is easily read wrong is read as a careful reader reads it."""
    traps, texts = found["traps"], {row["native_id"]: row["doc_id"] for row in found["reading"]["rows"]}
    documents = {name: found["reading"]["documents"].get(doc_id, {}) for name, doc_id in texts.items()}
    problems = []
    for item in traps["texts"]:
        text = documents.get(item["native_id"], {}).get("text", "")
        problems += [f"{item['native_id']} does not say {words!r}" for words in item["has"] if words not in text]
        problems += [f"{item['native_id']} says {words!r}" for words in item["has_not"] if words in text]
    for item in traps["cells"]:
        grid = {(row, column): text for _, row, column, text in documents.get(item["native_id"], {}).get("grid", ())}
        if grid.get((item["row"], item["column"])) != item["text"]:
            problems.append(
                f"{item['native_id']}: row {item['row']} column {item['column']} holds {grid.get((item['row'], item['column']))!r}"
            )
    problems += [f"{item['native_id']} lacks {item['kind']} {item['facts']}" for item in traps["records"] if not _stated(found, item)]
    problems += [f"{item['native_id']} has {item['kind']} {item['facts']}" for item in traps["absent"] if _stated(found, item)]
    return Judged(sum(len(traps[name]) for name in ("texts", "cells", "records", "absent")), tuple(problems[:SHOWN]))


def trap_dossier(found: Evidence) -> Judged:
    """Ratios are pooled as logarithms; studies on opposite sides whose intervals overlap are no conflict."""
    expected, answer = found["traps"]["dossier"], found["answers"]["trap_dossier"]
    if answer["status"] != 200:
        return Judged(1, (f"the dossier was answered {answer['status']}",))
    pooled = [group["value"] for group in answer["body"]["pooled"] if group["outcome"] == expected["outcome"]]
    problems = []
    if len(pooled) != 1 or abs(pooled[0] - expected["value"]) > expected["within"]:
        problems.append(f"{expected['outcome']} is pooled to {pooled}, it should be {expected['value']}")
    if len(answer["body"]["conflicts"]) != expected["conflicts"]:
        problems.append(f"{len(answer['body']['conflicts'])} conflicts instead of {expected['conflicts']}")
    return Judged(2, tuple(problems))


def _stated(found: Evidence, item: Evidence) -> bool:
    records = _records(found, item["kind"], {"native_ids": [item["native_id"]]})
    return any(all(record.get(name) == value for name, value in item["facts"].items()) for record in records)


def answered(found: Evidence) -> Judged:
    """Whatever the platform lists can be read."""
    refused = [*found["reading"]["refused"], *found["writes"]["unanswered"]]
    return Judged(len(found["reading"]["rows"]) + 1, tuple(refused[:SHOWN]))


def paging(found: Evidence) -> Judged:
    """Small pages together are the one large page, in the order of document ids."""
    reading = found["reading"]
    whole = [row["doc_id"] for row in reading["rows"]]
    problems = [] if reading["paged"] == whole else [f"pages of documents give {len(reading['paged'])} rows, one page gives {len(whole)}"]
    problems += [] if whole == sorted(set(whole)) else ["documents are not listed in the order of their ids, each once"]
    for condition, ids in reading["paged_by"].items():
        name, _, value = condition.partition("=")
        if ids != [row["doc_id"] for row in reading["rows"] if row[name] == value]:
            problems.append(f"pages of documents with {condition} give {len(ids)} rows")
    extracted = [item["doc_id"] for item in reading["extractions"]["pico"]]
    if reading["extractions_paged"] != extracted or extracted != sorted(set(extracted)):
        problems.append(f"pages of extractions give {len(reading['extractions_paged'])} documents, one page gives {len(extracted)}")
    return Judged(len(whole), tuple(problems))


def counts(found: Evidence) -> Judged:
    """What is counted is what is listed."""
    reading = found["reading"]
    said = reading["counts"]["records"]
    chunks = sum(len(item["chunks"]) for item in reading["documents"].values())
    listed = {"documents": len(reading["rows"]), "chunks": chunks, "index_rows": chunks, "outbox_pending": 0, "graph_staged": 0}
    listed |= {f"documents.{state}": count for state, count in Counter(row["state"] for row in reading["rows"]).items()}
    problems = [f"{name} is counted {said.get(name)}, {count} are there" for name, count in listed.items() if said.get(name, 0) != count]
    exported = Counter(item["label"] for item in reading["graph"]["nodes"]) + Counter(item["type"] for item in reading["graph"]["edges"])
    graph = reading["counts"]["graph"]
    names = sorted({*exported, *graph})
    problems += [
        f"{name} is counted {graph.get(name, 0)}, {exported[name]} are exported" for name in names if graph.get(name, 0) != exported[name]
    ]
    return Judged(len(listed) + len(names), tuple(problems[:SHOWN]))


def single_chunks(found: Evidence) -> Judged:
    """A chunk asked for by its id is the one that is listed."""
    asked = [item for item in found["reading"]["documents"].values() if item["chunks"]]
    wrong = [item["chunks"][-1]["chunk_id"] for item in asked if item["single"] != item["chunks"][-1]]
    return Judged(len(asked), tuple(f"{name} is not answered as it is listed" for name in wrong[:SHOWN]))


def _studies(found: Evidence) -> Iterator[Evidence]:
    return (payload for payload in found["expected"] if payload["source"] == "ctgov")


def _records(found: Evidence, kind: str, payload: Evidence) -> list[Evidence]:
    ids = {row["doc_id"] for row in found["reading"]["rows"] if row["native_id"] in payload["native_ids"]}
    return [record for item in found["reading"]["extractions"][kind] if item["doc_id"] in ids for record in item["records"]]


def _documents(found: Evidence, source: str) -> list[Evidence]:
    return [found["reading"]["documents"][row["doc_id"]] for row in found["reading"]["rows"] if row["source"] == source]


def _texts(found: Evidence) -> dict[str, str]:
    return {doc_id: item["text"] for doc_id, item in found["reading"]["documents"].items()}
