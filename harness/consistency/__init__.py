"""Consistency: what was acknowledged is there, once, and nothing else; what is rebuilt equals what was."""
