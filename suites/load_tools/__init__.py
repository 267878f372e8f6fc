"""Layer load_tools: only with --full."""
