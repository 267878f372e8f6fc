"""What this wing gives: names to classes."""

DRIVERS: dict[str, str] = {}
PROBES: dict[str, str] = {}
CHECKERS = {
    "acknowledged_kept": "harness.consistency.acknowledged:AcknowledgedKeptChecker",
    "same_identities": "harness.consistency.identities:SameIdentitiesChecker",
}
