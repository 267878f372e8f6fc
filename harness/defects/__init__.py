"""Seeded defects: how a running system is broken on purpose, and what the checks are worth that find it."""
