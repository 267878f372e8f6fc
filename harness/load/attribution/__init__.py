"""Where did the p99 go: spans and the host's condition beside the load, joined with the slowest requests."""
