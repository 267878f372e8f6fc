"""What this wing gives: names to classes."""

DRIVERS = {"open_loop": "harness.load.open_loop:OpenLoopDriver", "locust": "harness.load.locust:LocustDriver"}
PROBES: dict[str, str] = {}
CHECKERS = {"certificate": "harness.load.certificate:CertificateChecker", "bodies": "harness.load.certificate:BodiesChecker"}
