"""What this wing gives: names to classes."""

DRIVERS = {"kill": "harness.chaos.kill:KillDriver", "prove_guards": "harness.chaos.guards:ProveGuards"}
PROBES: dict[str, str] = {}
CHECKERS = {
    "proof_of_effect": "harness.chaos.checks:ProofOfEffectChecker",
    "guards_tripped": "harness.chaos.checks:GuardsTrippedChecker",
    "no_residue": "harness.chaos.checks:NoResidueChecker",
}
