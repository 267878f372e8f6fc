"""The bar ``retrieval_full``: ``harness verify --full --only retrieval``, its figures read from summary.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.bars.support import call, listed, project, result, say, scratch

LIMIT_S = 1800.0
NDCG, RECALL = 0.72, 0.95
BM25_FROM, BM25_TO, BM25_MARGIN = 0.6647, 0.6789, 0.02
DOCUMENTS = 5183
SINGLE = ("bm25", "sparse", "dense")


def main() -> int:
    if project().data_dir() is None:
        return result("no real data sets", passed=None, detail="set HARNESS_DATA_DIR, or run `harness data fetch`")
    with scratch() as folder:
        done = call("verify", "--full", "--only", "retrieval", "--reports", str(folder), limit_s=LIMIT_S)
        say(done.stderr.strip()[-600:])
        found = folder / "latest" / "summary.json"
        if not found.is_file():
            return result("no summary", passed=False, detail=(done.stdout + done.stderr)[-2000:])
        return judge(found, done.returncode)


def judge(summary: Path, code: int) -> int:
    """Each figure against its bar; a missing one is a failure."""
    stored = json.loads(summary.read_bytes())
    ndcg, recall = figures(stored, "ndcg@10"), figures(stored, "recall@100")
    missing = [name for name in ("fused", *SINGLE) if name not in ndcg or name not in recall]
    if missing or stored["verdict"] == "BLOCKED":
        blocked = [row["reason"] for row in stored["rows"] if row["verdict"] == "BLOCKED"]
        known = sorted({f"{item['name']} {dict(item['tags'])}" for item in stored["metrics"]})
        detail = f"verdict {stored['verdict']}; {listed(blocked)}; metrics: {listed(known)}"
        return result(f"no figures for {', '.join(missing)}", passed=None if blocked else False, detail=detail)
    problems = [f"fused nDCG@10 {ndcg['fused']:.4f} < {NDCG}"] if ndcg["fused"] < NDCG else []
    problems += [f"fused Recall@100 {recall['fused']:.4f} < {RECALL}"] if recall["fused"] < RECALL else []
    problems += [f"{name} {ndcg[name]:.4f} is not below fused" for name in SINGLE if ndcg[name] >= ndcg["fused"]]
    if not BM25_FROM - BM25_MARGIN <= ndcg["bm25"] <= BM25_TO + BM25_MARGIN:
        problems.append(f"BM25 {ndcg['bm25']:.4f} is not within {BM25_MARGIN} of {BM25_FROM} to {BM25_TO}")
    if max((item["items"] for item in stored["data"]), default=0) < DOCUMENTS:
        problems.append(f"not the whole collection of {DOCUMENTS}: {stored['data']}")
    if code != 0:
        problems.append(f"harness verify ended with {code} ({stored['verdict']})")
    shown = ", ".join(f"{name} {ndcg[name]:.4f}" for name in ("fused", *SINGLE))
    return result(f"nDCG@10 {shown}; Recall@100 fused {recall['fused']:.4f}", passed=not problems, detail=listed(problems))


def figures(stored: Mapping[str, Any], metric: str) -> dict[str, float]:
    """Value by ranking (the tag's value) of one metric over all documents."""
    found: dict[str, float] = {}
    for item in stored["metrics"]:
        if item["name"].lower() == metric and item["value"] is not None:
            found |= {str(tag): float(item["value"]) for tag in item["tags"].values() if str(tag) in {"fused", *SINGLE}}
    return found


if __name__ == "__main__":
    raise SystemExit(main())
