"""Worker roles: they consume the event log and run the table of steps."""
