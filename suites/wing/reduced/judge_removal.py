"""Judges a deletion: exactly what only the deleted documents supported is gone, everywhere, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suites.e2e.agreement import SHOWN, Judged
from suites.wing.reduced.removal import SIZE

Evidence = Mapping[str, Any]
SAME = 1e-6


def removed_exactly(found: Evidence) -> Judged:
    removal = found["removal"]
    gone, after = set(removal["removed"]), removal["after"]
    problems = [f"a deletion was answered {status}" for status in removal["answers"] if status != 204]
    problems += [f"a deleted document is answered {status}" for status in after["asked"] if status != 404]
    kept = set(removal["rows"]) - gone
    problems += [] if set(after["rows"]) == kept else [f"the ledger has {len(after['rows'])} documents, {len(kept)} should be left"]
    problems += [f"extractions of {name} are left" for name in sorted(gone & set(after["extractions"]))]
    problems += [f"{name} is still found" for name in sorted(gone & set(after["retrieved"]))]
    left = removal["counted"]["records"].get("chunks", 0) - sum(removal["chunks"].values()) if removal["counted"] else 0
    if after["sizes"]["dense"] != min(SIZE, left):
        problems.append(f"{after['sizes']['dense']} results where {SIZE} were asked for: the deleted take their places")
    problems += _graph(removal["before"], after["graph"], gone)
    problems += _counts(removal)
    return Judged(len(gone), tuple(problems[:SHOWN]))


def renewed(found: Evidence) -> Judged:
    """A document that was deleted and ingested again leaves every score as it was: the deletion left nothing behind."""
    said = found["removal"]["renewed"]
    problems = [f"the deletion was answered {status}" for status in said["deleted"] if status != 204]
    problems += [] if said["state"] == "completed" else [f"ingested again, it is {said['state']}"]
    before, after = dict(map(tuple, said["before"])), dict(map(tuple, said["after"]))
    moved = [name for name in before.keys() | after.keys() if abs(before.get(name, 0.0) - after.get(name, 0.0)) > SAME]
    problems += [f"{len(moved)} of {len(before)} scores are others than before"] if moved else []
    return Judged(len(before), tuple(problems))


def _graph(before: Evidence, after: Evidence, gone: set[str]) -> list[str]:
    problems = []
    for kind in ("nodes", "edges"):
        expected = {_identity(item): left for item in before[kind] if (left := sorted(set(item["supporters"]) - gone))}
        found = {_identity(item): sorted(item["supporters"]) for item in after[kind]}
        lost, left_over = expected.keys() - found.keys(), found.keys() - expected.keys()
        problems += [f"{len(lost)} {kind} are lost that others support"] if lost else []
        problems += [f"{len(left_over)} {kind} are left that only it supported"] if left_over else []
        wrong = [name for name in expected.keys() & found.keys() if expected[name] != found[name]]
        problems += [f"{len(wrong)} {kind} name other supporters than they have"] if wrong else []
    return problems


def _identity(item: Evidence) -> tuple[Any, ...]:
    if "label" in item:
        return item["label"], item["key"]
    return item["type"], item["source"]["key"], item["target"]["key"], item["qualifier"]


def _counts(removal: Evidence) -> list[str]:
    if not removal["counted"] or not removal["after"]["counts"]:
        return ["the counts cannot be read"]
    before, after = removal["counted"]["records"], removal["after"]["counts"]["records"]
    chunks = sum(removal["chunks"].values())
    less = {"documents": len(removal["removed"]), "chunks": chunks, "index_rows": chunks}
    return [
        f"{name}: {before.get(name)} became {after.get(name)}, {count} should be gone"
        for name, count in less.items()
        if before.get(name, 0) - after.get(name, 0) != count
    ]
