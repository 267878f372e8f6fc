"""What this wing gives: names to classes."""

DRIVERS = {"schemathesis": "harness.contract.fuzzing:SchemathesisDriver", "api_manners": "harness.contract.manners:MannersDriver"}
PROBES: dict[str, str] = {}
CHECKERS = {
    "contract_operations": "harness.contract.checks:OperationsChecker",
    "contract_manners": "harness.contract.checks:MannersChecker",
}
