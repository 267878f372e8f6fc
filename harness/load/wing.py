"""What this wing gives: names to classes."""

DRIVERS = {
    "open_loop": "harness.load.open_loop:OpenLoopDriver",
    "knee": "harness.load.shape.knee_driver:KneeDriver",
    "locust": "harness.load.locust:LocustDriver",
    "k6": "harness.load.k6:K6Driver",
    "certify": "harness.load.certify.driver:CertifyDriver",
    "budget": "harness.load.budget.driver:BudgetDriver",
    "budget_table": "harness.load.budget.driver:BudgetTableDriver",
    "resources": "harness.load.budget.resources:ResourcesDriver",
    "host": "harness.load.attribution.host:HostDriver",
    "stage_timings": "harness.load.attribution.stage_timings:StageTimingsDriver",
    "recall": "harness.load.recall:RecallDriver",
}
PROBES = {"attribution": "harness.load.attribution.check:AttributionProbe"}
CHECKERS = {
    "certificate": "harness.load.certificate:CertificateChecker",
    "failures": "harness.load.failures:FailuresChecker",
    "bodies": "harness.load.certificate:BodiesChecker",
    "knee": "harness.load.shape.knee_check:KneeChecker",
    "mix": "harness.load.shape.mix_check:MixChecker",
    "k6_agreement": "harness.load.k6_agreement:K6AgreementChecker",
    "certified": "harness.load.certify.checks:CertifiedChecker",
    "budget": "harness.load.budget.checks:BudgetChecker",
    "soak": "harness.load.soak.checker:SoakChecker",
    "attribution": "harness.load.attribution.check:AttributionChecker",
    "recall_under_fault": "harness.load.recall_check:RecallUnderFaultChecker",
}
