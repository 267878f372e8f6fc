"""Everything a registered study states, as records: the one entry point for documents of ClinicalTrials.gov."""

from __future__ import annotations

import hashlib

from system.evidence.extraction.eligibility import registry_criteria
from system.evidence.extraction.grounding import Grounds
from system.evidence.extraction.registry_design import registry_pico
from system.evidence.extraction.registry_effects import registry_effects
from system.evidence.extraction.registry_events import registry_events
from system.evidence.ir import Document
from system.evidence.records import Extraction
from system.evidence.sources.ctgov_decode import decode_study
from system.platform.errors import BadInput

EXTRACTOR = "registry/1"


def extract_registry(document: Document, raw: bytes) -> Extraction:
    """All records of one study. ``raw`` gives the structure, ``document`` the quotes; they must belong together.

    Deterministic: the same document gives the same records in the same order. Raises ``BadInput`` as the parser does.
    """
    if hashlib.sha256(raw).hexdigest() != document.raw_sha256:
        raise BadInput("the bytes are not those the document was parsed from", document.doc_id, "pass the raw object of this document")
    study = decode_study(raw)
    grounds = Grounds.of(document)
    effects, refusals = registry_effects(grounds, study)
    pico = registry_pico(grounds, study)
    return Extraction(
        doc_id=document.doc_id,
        extractor=EXTRACTOR,
        effects=effects,
        adverse_events=registry_events(grounds, study),
        criteria=registry_criteria(grounds, study),
        picos=(pico,) if pico else (),
        refused=tuple((refusal.path, refusal.reason) for refusal in refusals),
    )
