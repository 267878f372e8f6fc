"""What this wing gives: names to classes."""

DRIVERS = {"retrieval_eval": "harness.retrieval.driver:RetrievalEvalDriver"}
PROBES: dict[str, str] = {}
CHECKERS = {"retrieval_quality": "harness.retrieval.checks:RetrievalQualityChecker"}
