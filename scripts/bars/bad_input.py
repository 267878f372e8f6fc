"""The bar ``bad_input``: mutated files through the API of a running system, broken scenarios and wrong usage through the command line.

Every mutated file is refused (400 or 413), or its document fails, each with error, place and remedy; or it is still valid and is
completed. Documents beside it go on. Nothing crashes, hangs, restarts, or is half written.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections import Counter
from typing import Any

import httpx

from harness.topology.stack import Stack
from scripts.bars import bad_usage
from scripts.bars.mutations import mutants
from scripts.bars.support import corpus, listed, own_stack, result, say
from suites.wing.api import Api

JOB_LIMIT_S = 120.0
GOOD = {"ctgov": "NCT90000001.json", "jats": "velotril-review.xml", "spl": "velotril.xml", "pubmed": "velotril-sleep.xml"}
KINDS = ("pico", "effects", "ae", "dose", "eligibility")
OURS = "a defect of the platform"


@dataclasses.dataclass(slots=True)
class Tally:
    """What became of the files, and what was wrong with that."""

    fates: Counter[str] = dataclasses.field(default_factory=Counter)
    files: Counter[str] = dataclasses.field(default_factory=Counter)
    failed: set[str] = dataclasses.field(default_factory=set)
    problems: list[str] = dataclasses.field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=("files", "usage"), help="only this part")
    options = parser.parse_args()
    tally, usage = Tally(), bad_usage.Usage()
    if options.part != "usage":
        with own_stack() as (stack, target), Api(target) as api:
            send_all(api, tally, options.seed)
            neighbours(api, tally)
            half_written(api, tally)
            tally.problems += disturbed(stack)
    if options.part != "files":
        usage = bad_usage.check()
    problems = [*tally.problems, *usage.problems]
    fates = ", ".join(f"{count} {name}" for name, count in sorted(tally.fates.items()))
    tried = f"{usage.scenarios} scenarios, {usage.other} configurations and command lines"
    figure = f"{sum(tally.files.values())} files ({fates}); {tried}; {len(problems)} problems"
    enough = options.part is not None or (len(tally.files) == 4 and min(tally.files.values()) >= 20 and usage.scenarios >= 20)
    return result(figure, passed=not problems and enough, detail=listed(problems, 30))


def send_all(api: Api, tally: Tally, seed: int) -> None:
    """Send every mutant first, then wait: a document that blocks others shows."""
    good = {payload.source: payload.content for payload in corpus(sample=True).payloads if payload.name == GOOD[payload.source]}
    jobs: list[tuple[str, str]] = []
    for source, right in good.items():
        others = {name: content for name, content in good.items() if name != source}
        for kind, payload in mutants(source, right, others, seed):
            name = f"{source}: {kind}"
            tally.files[source] += 1
            if payload == right:
                tally.problems.append(f"{name}: the mutation changed nothing")
            job = send(api, tally, source, name, payload)
            if job:
                jobs.append((name, job))
        say(f"{source}: {tally.files[source]} mutated files sent")
    for name, job in jobs:
        settle(api, tally, name, job)


def send(api: Api, tally: Tally, source: str, name: str, payload: bytes) -> str:
    """The job's id; empty when the payload was refused, which is judged here."""
    headers = {"Content-Type": "application/octet-stream"}
    try:
        response = api.http.post(f"/v1/ingest/{source}", content=payload, headers=headers, timeout=60.0)
    except httpx.HTTPError as error:
        tally.problems.append(f"{name}: no answer: {type(error).__name__}: {error}")
        return ""
    if response.status_code == 202:
        return str(response.json()["job_id"])
    tally.fates[f"refused {response.status_code}"] += 1
    if response.status_code not in {400, 413}:
        tally.problems.append(f"{name}: answered {response.status_code}: {response.text[:200]}")
        return ""
    body = response.json()
    tally.problems += [f"{name}: the refusal has no {member}" for member in ("detail", "remedy", "instance") if not body.get(member)]
    return ""


def waited(api: Api, job: str) -> list[Any]:
    """The documents of a job when all are final; raises ``TimeoutError``."""
    until = time.monotonic() + JOB_LIMIT_S
    return list(api.wait_job(job, time.sleep, lambda: time.monotonic() > until)["documents"])


def settle(api: Api, tally: Tally, name: str, job: str) -> None:
    """Wait for a job and judge how each of its documents ended."""
    try:
        documents = waited(api, job)
    except (TimeoutError, httpx.HTTPError) as error:
        tally.fates["hung"] += 1
        tally.problems.append(f"{name}: {error}")
        return
    if not documents:
        tally.problems.append(f"{name}: the job ended without any document")
    for document in documents:
        tally.fates[document["state"]] += 1
        if document["state"] == "failed":
            tally.failed.add(document["doc_id"])
            judge_reason(tally, name, document["reason"] or {})
        elif document["state"] != "completed":
            tally.problems.append(f"{name}: {document['doc_id']} ended as {document['state']}")


def judge_reason(tally: Tally, name: str, reason: dict[str, str]) -> None:
    """A reason has error, place and remedy; one that blames the platform is a crash that was caught."""
    missing = [member for member in ("error", "place", "remedy") if not reason.get(member, "").strip()]
    if missing:
        tally.problems.append(f"{name}: the reason has no {', '.join(missing)}: {json.dumps(reason)[:200]}")
    elif OURS in reason["remedy"]:
        tally.problems.append(f"{name}: an unexpected error: {reason['error'][:200]} (at {reason['place']})")


def neighbours(api: Api, tally: Tally) -> None:
    """In one payload with a bad document, the good ones go on; and the system still takes everything that is right."""
    good = {payload.name: payload for payload in corpus(sample=True).payloads}
    studies = [json.loads(good[name].content) for name in ("NCT90000002.json", "NCT90000003.json")]
    mixed = json.dumps([studies[0], {"protocolSection": "text"}, studies[1]]).encode()
    letters = good["velotril-letters.xml"].content
    broken = letters.replace(b"<PubmedArticle>", b"<PubmedArticle><MedlineCitation/></PubmedArticle><PubmedArticle>", 1)
    for source, payload in (("ctgov", mixed), ("pubmed", broken)):
        job = send(api, tally, source, f"{source}: good and bad in one payload", payload)
        states = Counter(item["state"] for item in waited(api, job))
        if states != Counter(completed=2, failed=1):
            tally.problems.append(f"{source}: two good documents beside a bad one ended as {dict(states)}")
        tally.failed |= {item["doc_id"] for item in api.job(job)["documents"] if item["state"] == "failed"}
    for right in good.values():
        job = send(api, tally, right.source, right.name, right.content)
        for item in waited(api, job):
            if item["state"] != "completed":
                tally.problems.append(f"{right.name}: afterwards a right document ended as {item['state']}: {item['reason']}")


def half_written(api: Api, tally: Tally) -> None:
    """No failed document left chunks, records, index rows or graph elements."""
    nodes, edges = api.graph()
    supported = {supporter for element in (*nodes, *edges) for supporter in element["supporters"]}
    for doc_id in sorted(tally.failed):
        if chunks := _chunks(api, doc_id):
            tally.problems.append(f"{doc_id}: failed, and {len(chunks)} chunks are stored")
        records = [record for kind in KINDS for item in api.extractions(kind, doc_id) for record in item["records"]]
        if records:
            tally.problems.append(f"{doc_id}: failed, and {len(records)} records are stored")
        if doc_id in supported:
            tally.problems.append(f"{doc_id}: failed, and it supports elements of the graph")
    whole = sum(len(_chunks(api, row["doc_id"])) for row in api.documents(state="completed"))
    rows = api.get("/v1/counts")["records"]["index_rows"]
    if rows != whole:
        tally.problems.append(f"the index has {rows} rows, the completed documents have {whole} chunks")


def _chunks(api: Api, doc_id: str) -> list[Any]:
    try:
        return list(api.chunks(doc_id))
    except httpx.HTTPStatusError as error:
        if error.response.status_code in {400, 404}:
            return []
        raise


def disturbed(stack: Stack) -> list[str]:
    """Services that ended or were restarted while the files went through."""
    found = [f"{item.name} was restarted {item.restarts} times" for item in stack.services() if item.restarts or not item.healthy]
    kinds = Counter(f"{event.service}: {event.kind}" for event in stack.events() if "exit" in event.kind or "unhealthy" in event.kind)
    return [*found, *(f"supervisor event {name} × {count}" for name, count in kinds.items())]


if __name__ == "__main__":
    raise SystemExit(main())
