"""The evidence graph: what a document contributes, its RDF form and the SHACL gate before every write."""
