"""Floor 2: the append-only, hash-chained record of a run, and the types of its events."""
