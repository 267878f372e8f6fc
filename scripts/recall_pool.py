"""Writes ``scenarios/requests/recall.jsonl``: questions that are all different, so that no cache answers one in place of a retriever.

python -m scripts.recall_pool
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

POOL = Path(__file__).resolve().parent.parent / "scenarios" / "requests" / "recall.jsonl"
CONDITIONS = (
    "non-small cell lung cancer",
    "major depressive disorder",
    "type 2 diabetes",
    "cardiovascular risk",
    "migraine",
    "asthma",
    "breast cancer",
    "hypertension",
    "rheumatoid arthritis",
    "chronic pain",
    "insomnia",
    "stroke",
    "pulmonary fibrosis",
    "back pain",
)
MEASURES = (
    "overall survival",
    "progression-free survival",
    "response rate",
    "change from baseline",
    "quality of life",
    "serious adverse events",
    "discontinuation because of side effects",
    "mortality",
    "remission",
)
QUESTIONS = (
    "{measure} in adults with {condition}",
    "does the treatment improve {measure} compared with placebo in {condition}",
    "{condition}: how was {measure} measured and after how many weeks",
    "{measure} by arm with confidence interval, randomised trial of {condition}",
    "which dose was given and what was the {measure} of patients with {condition}",
)


def main() -> int:
    lines = [
        json.dumps({"query": question.format(measure=measure, condition=condition), "top_k": 20})
        for question, measure, condition in itertools.product(QUESTIONS, MEASURES, CONDITIONS)
    ]
    POOL.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(lines)} questions in {POOL.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
