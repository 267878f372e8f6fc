"""When requests are meant to be sent, and which: shapes, mixes, sequences, trace replay, dry run, knee search."""
