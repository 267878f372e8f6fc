"""Floor 1: what every other part stands on. Standard library only."""
