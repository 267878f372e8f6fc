"""Layer contract."""
