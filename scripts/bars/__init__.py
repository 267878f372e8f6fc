"""The bars that the issues set, each run as a command of its own: ``python -m scripts.bars``."""
