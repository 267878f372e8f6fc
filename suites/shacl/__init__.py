"""Layer shacl."""
