"""Extraction: from a parsed document to records that are grounded in its text."""
