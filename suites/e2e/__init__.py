"""Layer 2: from documents to cited dossiers, checked against an independent reading of the sources."""
