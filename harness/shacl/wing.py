"""What this wing gives: names to classes. Graphs are captured by the project's own probe, with the help of ``harness.shacl.capture``."""

DRIVERS: dict[str, str] = {}
PROBES: dict[str, str] = {}
CHECKERS = {"shacl_report": "harness.shacl.checks:ShaclReportChecker"}
