"""Floor 3: the runner, which knows no wing, and the Protocols that wings implement."""
