"""Layer retrieval."""
