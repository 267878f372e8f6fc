"""Layer load."""
