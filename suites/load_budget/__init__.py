"""Budgets and back-pressure: load that takes minutes."""
