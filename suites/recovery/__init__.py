"""Layer recovery."""
