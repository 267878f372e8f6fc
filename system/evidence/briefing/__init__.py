"""Briefing: from extraction records to a dossier in which every item is cited."""
