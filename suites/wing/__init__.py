"""Drivers and probes that only make sense for the evidence platform; named in ``harness.toml``."""
