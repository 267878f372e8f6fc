"""Generic suites: a foreign project's ``harness.toml`` names one as ``suite = "package:contract"``; they know no platform."""
