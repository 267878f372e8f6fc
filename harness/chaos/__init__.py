"""Chaos: faults that act only on what the harness started, each with proof of effect, an undo, and its recovery measured."""
