"""Which tests of the layered suites judge by the very function that a statement of the reduced run judges by.

A seeded defect that turns the statement red proves these tests as well: same function, same kind of evidence.
"""

from __future__ import annotations

from collections.abc import Mapping

_INGEST = "suites/e2e/test_1_ingest.py::test_"
_GROUNDING = "suites/e2e/test_2_grounding.py::test_"
_DOSSIERS = "suites/e2e/test_3_dossiers.py::test_"
STANDS_FOR: Mapping[str, tuple[str, ...]] = {
    "e2e.documents": (f"{_INGEST}every_document_is_completed_and_none_is_missing",),
    "e2e.adverse_events": (f"{_INGEST}adverse_events_agree_with_the_registry_row_by_row",),
    "e2e.effects": (f"{_INGEST}effects_are_among_what_the_registry_states",),
    "e2e.tables": (f"{_INGEST}tables_of_articles_are_whole",),
    "e2e.label_sections": (f"{_INGEST}labels_keep_their_coded_sections",),
    "e2e.quotes": (f"{_GROUNDING}every_stored_quote_equals_its_slice",),
    "e2e.chunk_slices": (f"{_GROUNDING}every_chunk_equals_its_slice",),
    "e2e.chunk_order": (f"{_GROUNDING}every_chunk_equals_its_slice",),
    "e2e.dossier": (f"{_DOSSIERS}dossiers_have_the_sections_asked_for",),
    "e2e.sample_findings": (f"{_DOSSIERS}sample_corpus_is_pooled_conflicting_and_gapped",),
    "e2e.citations": (f"{_DOSSIERS}every_item_is_cited_and_every_quote_is_verbatim",),
}
