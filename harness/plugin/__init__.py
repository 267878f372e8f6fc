"""The pytest plugin: does nothing until a fixture asks; then one session is one run with one journal and one report."""
