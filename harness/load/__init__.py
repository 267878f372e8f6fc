"""Load: open-loop arrivals whose figures carry a certificate; Locust beside it as a subprocess."""
