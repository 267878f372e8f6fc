"""Budgets: what a service may take, how fast its objectives may burn, and when a run has lost already."""
