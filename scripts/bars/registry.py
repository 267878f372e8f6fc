"""The bar ``registry``: all studies with results through a running system, compared with an own reading of the registry's JSON."""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bars.support import listed, own_stack, project, result, say
from suites.wing.api import Api

LIMIT_S = 240.0
EFFECTS = {"NCT01367860": 15, "NCT04770285": 20}
TYPES = {"MD": 25, "response_rate_ratio": 8, "median_difference": 2}
EVENT_ROWS, EVENT_STUDIES, STUDIES = 1404, 11, 17
FLAGGED = ("NCT01367860", 14)
Json = Mapping[str, Any]


def main() -> int:
    data = project().data_dir()
    if data is None:
        return result("no real data sets", passed=None, detail="set HARNESS_DATA_DIR, or run `harness data fetch`")
    studies = {study_id(study): study for study in with_results(data)}
    with own_stack() as (_stack, target), Api(target) as api:
        native = ingest(api, list(studies.values()))
        effects = {native[item["doc_id"]]: item["records"] for item in api.extractions("effects")}
        events = {native[item["doc_id"]]: item["records"] for item in api.extractions("ae")}
    problems = [*judge_effects(studies, effects), *judge_events(studies, events)]
    if len(studies) != STUDIES or len(native) != STUDIES:
        problems.append(f"{len(studies)} studies with results were read, {len(native)} ingested; {STUDIES} wanted")
    found = sum(len(records) for records in effects.values())
    rows = sum(len(records) for records in events.values())
    figure = (
        f"{found} effects, {rows} adverse-event rows of {sum(bool(item) for item in events.values())} studies; {len(problems)} problems"
    )
    return result(figure, passed=not problems, detail=listed(problems))


def with_results(data: Path) -> list[Json]:
    lines = gzip.decompress((data / "clinicaltrials_gov" / "studies.v2.jsonl.gz").read_bytes()).splitlines()
    return [study for line in lines if "resultsSection" in (study := json.loads(line))]


def study_id(study: Json) -> str:
    return str(study["protocolSection"]["identificationModule"]["nctId"])


def ingest(api: Api, studies: list[Json]) -> dict[str, str]:
    """Native id by document id of the completed ones."""
    until = time.monotonic() + LIMIT_S
    began = time.monotonic()
    jobs = [api.ingest("ctgov", json.dumps(study).encode()) for study in studies]
    for job in jobs:
        api.wait_job(job, time.sleep, lambda: time.monotonic() > until)
    native = {row["doc_id"]: row["native_id"] for row in api.documents(state="completed")}
    say(f"{len(native)} of {len(studies)} studies ingested in {time.monotonic() - began:.1f} s")
    return native


def judge_effects(studies: Mapping[str, Json], effects: Mapping[str, list[Any]]) -> list[str]:
    """How many, of which types, each as stated; flagged where p and interval disagree and nowhere else."""
    counts = {native: len(records) for native, records in effects.items() if records}
    types = Counter(record["type"] for records in effects.values() for record in records)
    problems = [] if counts == EFFECTS else [f"effects a study: {counts}, wanted {EFFECTS}"]
    problems += [] if types == TYPES else [f"types: {dict(types)}, wanted {TYPES}"]
    flagged = Counter(native for native, records in effects.items() for record in records if record["check"]["status"] == "flagged")
    if flagged != {FLAGGED[0]: FLAGGED[1]}:
        problems.append(f"flagged: {dict(flagged)}, wanted {dict([FLAGGED])}")
    for native, records in effects.items():
        stated = Counter(row for row in map(as_stated, analyses(studies[native])) if row is not None)
        stored = Counter(
            (r["value"], r.get("ci_low"), r.get("ci_high"), r.get("ci_percent"), r.get("p_value"), r["stated_type"]) for r in records
        )
        problems += [f"{native}: {row} is stored and not stated" for row in stored - stated]
    return problems


def analyses(study: Json) -> list[Json]:
    measures = study["resultsSection"].get("outcomeMeasuresModule", {}).get("outcomeMeasures", [])
    return [analysis for measure in measures for analysis in measure.get("analyses", [])]


def as_stated(analysis: Json) -> tuple[float, float, float, float, float | None, str] | None:
    """What the source says of an estimate, as numbers; None where it states none."""
    try:
        numbers = [float(analysis[name]) for name in ("paramValue", "ciLowerLimit", "ciUpperLimit", "ciPctValue")]
    except (KeyError, ValueError):
        return None
    p = analysis.get("pValue")
    return (*numbers, float(p.lstrip("<=> ")) if p else None, analysis["paramType"])


def judge_events(studies: Mapping[str, Json], events: Mapping[str, list[Any]]) -> list[str]:
    """Every row of every arm, and only those, with its counts."""
    problems = []
    for native, study in studies.items():
        wanted, stored = Counter(event_rows(study)), Counter(map(stored_row, events.get(native, [])))
        if wanted != stored:
            problems.append(
                f"{native}: {sum((wanted - stored).values())} rows missing or wrong, {sum((stored - wanted).values())} too many"
            )
    rows, with_rows = sum(map(len, events.values())), sum(map(bool, events.values()))
    if (rows, with_rows) != (EVENT_ROWS, EVENT_STUDIES):
        problems.append(f"{rows} rows of {with_rows} studies, wanted {EVENT_ROWS} of {EVENT_STUDIES}")
    return problems


def event_rows(study: Json) -> list[tuple[Any, ...]]:
    module = study["resultsSection"].get("adverseEventsModule", {})
    return [
        (" ".join(event["term"].split()), serious, stat["groupId"], stat.get("numAffected"), stat.get("numAtRisk"))
        for kind, serious in (("seriousEvents", True), ("otherEvents", False))
        for event in module.get(kind, [])
        for stat in event["stats"]
    ]


def stored_row(record: Json) -> tuple[Any, ...]:
    return record["term"], record["serious"], record["arm_id"], record.get("count"), record.get("denominator")


if __name__ == "__main__":
    raise SystemExit(main())
