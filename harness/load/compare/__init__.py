"""Comparison: is B slower than A? A sequential test over interleaved rounds, tables of two sample files, change points over history."""
