"""What this wing gives: names to classes."""

DRIVERS = {"seed_defect": "harness.defects.driver:SeedDefectDriver"}
PROBES: dict[str, str] = {}
CHECKERS = {"defect_reached": "harness.defects.checks:DefectReachedChecker"}
