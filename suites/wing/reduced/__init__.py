"""The reduced judging run: ten documents through every layer in seconds. Drivers and probes store what happened, checkers judge it."""
