"""Soak detectors: leaks and drifts in long series that also rise and fall for other reasons."""
