"""What this wing gives: names to classes. The drivers belong to the platform that is judged: they know its stores."""

DRIVERS: dict[str, str] = {}
PROBES: dict[str, str] = {}
CHECKERS = {
    "restore_faithful": "harness.recovery.checks:RestoreFaithfulChecker",
    "negative_controls": "harness.recovery.checks:NegativeControlsChecker",
}
