"""Judges what was acknowledged (consistency) and what had to be refused (shacl)."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from typing import Any

from suites.e2e.agreement import SHOWN, Judged
from suites.wing.reduced.batches import BROKEN

Evidence = Mapping[str, Any]
WRITE_LIMIT_S = 0.8


def payloads_kept(found: Evidence) -> Judged:
    """Every acknowledged payload has a job that is completed and names its documents, which the ledger has."""
    ingest = found["ingest"]
    ledger = {row["doc_id"] for row in found["reading"]["rows"]}
    problems = [f"payload {number} was answered {item['status']}" for number, item in enumerate(ingest["sent"]) if item["status"] != 202]
    if not problems:
        for payload, job in zip(found["expected"], ingest["jobs"], strict=True):
            problems += _job(payload, job, ledger)
    return Judged(len(ingest["sent"]), tuple(problems[:SHOWN]))


def _job(payload: Evidence, job: Any, ledger: set[str]) -> Iterator[str]:
    if not job or "documents" not in job:
        yield f"{payload['name']} was acknowledged and its job is not known"
        return
    names = {item["doc_id"] for item in job["documents"]}
    wanted = "failed" if payload.get("broken") else "completed"
    if job["state"] != wanted:
        yield f"{payload['name']}: the job is {job['state']}, it should be {wanted}"
    count = payload["documents"] + bool(payload.get("broken"))
    if len(names) != count:
        yield f"{payload['name']}: the job names {len(names)} of {count} documents"
    if any(item["state"] == "failed" and not item["reason"] for item in job["documents"]):
        yield f"{payload['name']}: a document failed without a reason"
    for name in sorted(names - ledger):
        yield f"{name} of {payload['name']} is not in the ledger"


def repeats(found: Evidence) -> Judged:
    """A request repeated under its key is the same job, another caller's is not; a graph write repeated is the same write."""
    ingest, writes = found["ingest"], found["writes"]
    problems = []
    for number, (first, second) in enumerate(zip(ingest["sent"], ingest["again"], strict=False)):
        if second["status"] != 202 or not second["body"]["replayed"] or second["body"]["job_id"] != (first["body"] or {}).get("job_id"):
            problems.append(f"payload {number}, sent again under its key, is not the same job")
    foreign = ingest["foreign"]
    if foreign["status"] != 202 or foreign["body"]["replayed"]:
        problems.append(f"a key was refused or answered with another caller's job: {foreign['status']}")
    first, again = writes["valid"][0]["answer"], writes["again"]
    if again["status"] != 200 or not first["body"] or again["body"].get("job_id") != first["body"].get("job_id"):
        problems.append("a graph write, sent again, is not the same write")
    return Judged(len(ingest["again"]) + 2, tuple(problems))


def rested(found: Evidence) -> Judged:
    """Everything came to rest: nothing waits in the outbox or for the graph."""
    ingest = found["ingest"]
    records = (ingest["counts"] or {}).get("records", {})
    left = {name: records.get(name) for name in ("outbox_pending", "graph_staged") if records.get(name)}
    return Judged(1, () if ingest["rested"] else (f"not at rest after {ingest['seconds']} s: {left or 'documents under way'}",))


def history(found: Evidence) -> Judged:
    """A document's history begins with its creation, loses no version, and ends where its ledger row stands."""
    problems = []
    for doc_id, item in found["reading"]["documents"].items():
        if item["detail"] is None:
            continue
        said = [entry["detail"] for entry in item["detail"]["history"] if entry["action"] in {"created", "transition"}]
        versions = [entry["version"] for entry in said]
        states = [entry["old"] for entry in said[1:]], [entry["new"] for entry in said[:-1]]
        if (
            versions != list(range(1, item["detail"]["version"] + 1))
            or states[0] != states[1]
            or said[-1]["new"] != item["detail"]["state"]
        ):
            problems.append(f"{doc_id}: the history has versions {versions}, the row has {item['detail']['version']}")
    return Judged(len(found["reading"]["documents"]), tuple(problems[:SHOWN]))


def writes_kept(found: Evidence) -> Judged:
    """Every acknowledged graph write is durable, applied, and in the graph as it was sent."""
    writes = found["writes"]
    sent = [*writes["valid"], writes["known"]]
    nodes = {(node["label"], node["key"]): node["properties"] for node in writes["graph"]["nodes"]}
    edges = {_ends(edge) for edge in writes["graph"]["edges"]}
    problems = []
    for item in (item for item in sent if item["answer"]["status"] in {200, 202}):
        name = item["batch"]["write_id"]
        if item["state"]["status"] != 200 or item["state"]["body"]["status"] != "applied":
            problems.append(f"{name} was acknowledged and is {(item['state']['body'] or {}).get('status')} ({item['state']['status']})")
        lost = [node["key"] for node in item["batch"]["nodes"] if not _holds(nodes.get((node["label"], node["key"])), node["properties"])]
        lost += [" ".join(_ends(edge)) for edge in item["batch"]["edges"] if _ends(edge) not in edges]
        problems += [f"{name} was acknowledged and {len(lost)} of it are not in the graph, such as {lost[0]}"] if lost else []
    return Judged(len(sent), tuple(problems[:SHOWN]))


def valid_taken(found: Evidence) -> Judged:
    """What breaks no shape is written: also what refers to nodes that are there already."""
    sent = [*found["writes"]["valid"], found["writes"]["known"], found["writes"]["replay"]["cause"]]
    wrong = [(item["batch"]["write_id"], item["answer"]) for item in sent if item["answer"]["status"] != 200]
    return Judged(
        len(sent), tuple(f"{name} was answered {answer['status']}: {str(answer['body'])[:200]}" for name, answer in wrong[:SHOWN])
    )


def refusals(found: Evidence) -> Judged:
    """What breaks a shape is answered 422 with the shape's name, and nothing of it is written."""
    writes = found["writes"]
    keys = {node["key"] for node in writes["graph"]["nodes"]}
    problems = []
    for item in writes["refused"]:
        answer, shape = item["answer"], BROKEN[item["broken"]][1]
        named = [issue["shape"] for issue in (answer["body"] or {}).get("issues", ())]
        if answer["status"] != 422 or not named or not any(name.endswith(shape) for name in named):
            problems.append(f"{item['broken']} was answered {answer['status']} naming {named}")
        if item["batch"]["write_id"] in keys:
            problems.append(f"{item['broken']} was refused or not, and is in the graph")
    return Judged(len(writes["refused"]), tuple(problems[:SHOWN]))


def dead_letters(found: Evidence) -> Judged:
    """Each refusal leaves one open dead letter with its issues, after one attempt."""
    writes = found["writes"]
    letters = {letter["subject"]: letter for letter in writes["letters"]}
    problems = []
    for item in writes["refused"]:
        letter = letters.get(item["batch"]["write_id"])
        if letter is None or letter["status"] != "open" or letter["attempts"] != 1 or not letter["issues"]:
            problems.append(f"{item['broken']}: dead letter {None if letter is None else (letter['status'], letter['attempts'])}")
    if len(writes["letters"]) != len(writes["refused"]) + 1:
        problems.append(f"{len(writes['letters'])} dead letters for {len(writes['refused']) + 1} refusals")
    return Judged(len(writes["refused"]), tuple(problems[:SHOWN]))


def replayed(found: Evidence) -> Judged:
    """A refused write whose cause is gone is replayed: it is in the graph, and its letter says replayed."""
    replay = found["writes"]["replay"]
    name = replay["refused"]["batch"]["write_id"]
    problems = [] if replay["refused"]["answer"]["status"] == 422 else ["a write that refers to nothing was not refused"]
    problems += [] if replay["answer"]["status"] == 200 else [f"the replay was answered {replay['answer']['status']}"]
    status = [letter["status"] for letter in found["writes"]["letters"] if letter["letter_id"] == replay["letter"]]
    problems += [] if status == ["replayed"] else [f"the replayed letter is {status}"]
    problems += [] if any(node["key"] == name for node in found["writes"]["graph"]["nodes"]) else ["the replayed write is not in the graph"]
    return Judged(1, tuple(problems))


def graph_whole(found: Evidence) -> Judged:
    """Every node and edge stands once, and every edge ends at nodes that are there."""
    graph = found["reading"]["graph"]
    nodes = [(node["label"], node["key"]) for node in graph["nodes"]]
    edges = [_ends(edge) for edge in graph["edges"]]
    here = set(nodes)
    loose = [edge for edge in graph["edges"] if not {(edge[end]["label"], edge[end]["key"]) for end in ("source", "target")} <= here]
    problems = [] if len(nodes) == len(here) else [f"{len(nodes) - len(here)} nodes stand twice"]
    problems += [] if len(edges) == len(set(edges)) else [f"{len(edges) - len(set(edges))} edges stand twice"]
    problems += [f"{edge['type']} of {edge['source']['key']} ends nowhere" for edge in loose[:SHOWN]]
    return Judged(len(nodes) + len(edges), tuple(problems))


def scopes(found: Evidence) -> Judged:
    """Who may only read may not write."""
    writes = found["writes"]["by_reader"]
    problems = [] if writes["answer"]["status"] == 403 else [f"a reader's graph write was answered {writes['answer']['status']}"]
    keys = {node["key"] for node in found["writes"]["graph"]["nodes"]}
    problems += ["a reader's graph write is in the graph"] if writes["batch"]["write_id"] in keys else []
    return Judged(1, tuple(problems))


def write_time(found: Evidence) -> Judged:
    """Half of the graph writes are answered within the limit (the tail is judged under load, beside a canary)."""
    seconds = statistics.median(item["answer"]["seconds"] for item in found["writes"]["valid"])
    slow = (f"half of the graph writes took {seconds:.2f} s or more; limit {WRITE_LIMIT_S:g} s",) if seconds >= WRITE_LIMIT_S else ()
    return Judged(len(found["writes"]["valid"]), slow)


def _ends(edge: Evidence) -> tuple[str, ...]:
    source, target = edge["source"], edge["target"]
    return edge["type"], source["label"], source["key"], target["label"], target["key"], edge["qualifier"]


def _holds(stored: Any, sent: Evidence) -> bool:
    return stored is not None and all(stored.get(name) == value for name, value in sent.items())
