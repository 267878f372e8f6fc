"""Layer chaos."""
