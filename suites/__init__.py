"""The suites: they know the platform by its interfaces (HTTP, files), never by import."""
