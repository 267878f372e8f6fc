"""Three dossiers: cited item by item, every quote verbatim; sections without evidence say so."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest

from harness.journal.events import Measured
from harness.plugin.session import Session
from suites.e2e import agreement
from suites.wing.api import Api
from suites.wing.corpus import Corpus

REAL = (
    ("non-small cell lung cancer", ("pico", "safety", "eligibility")),
    ("major depressive disorder", ("effects",)),
    ("type 2 diabetes and cardiovascular risk", ("dosing",)),
)
SAMPLE = (("migraine", ("pico", "effects", "safety", "dosing", "eligibility")),)


@pytest.fixture(scope="module")
def dossiers(api: Api, corpus: Corpus, harness_session: Session) -> Mapping[str, Any]:
    """The dossiers by topic; the time from the first document to the last dossier is measured."""
    began = time.monotonic()
    built = {topic: api.post("/v1/briefing/dossier", {"topic": {"condition": topic}}) for topic, _ in topics(corpus)}
    seconds = time.monotonic() - began
    ingest = [float(item.event.value) for item in harness_session.measured("ingest_time")]
    if ingest:
        harness_session.run.journal.emit(Measured(trial="", metric="documents_to_dossier", unit="s", value=round(ingest[0] + seconds, 3)))
    return built


def topics(corpus: Corpus) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return SAMPLE if corpus.sample else REAL


@pytest.mark.requirement("OPS-2.1")
def test_dossiers_have_the_sections_asked_for(dossiers: Mapping[str, Any], corpus: Corpus, examined) -> None:
    """Each topic's sections hold evidence, and a section without any says so."""
    for topic, wanted in topics(corpus):
        judged = agreement.dossier_sections(dossiers[topic], wanted)
        examined(judged.examined)
        assert judged.problems == (), topic


@pytest.mark.requirement("OPS-2.1")
def test_every_item_is_cited_and_every_quote_is_verbatim(dossiers: Mapping[str, Any], api: Api, examined) -> None:
    """Each item has a citation, and each citation's quote is its document's text at its offsets."""
    texts: dict[str, str] = {}
    for dossier in dossiers.values():
        for doc_id in {citation["doc_id"] for item in agreement.items(dossier) for citation in item["citations"]}:
            texts.setdefault(doc_id, api.ir(doc_id)["text"])
        judged = agreement.citations_verbatim(dossier, texts)
        examined(judged.examined)
        assert judged.problems == ()


def test_studies_are_counted_once_and_pooled_as_computed(dossiers: Mapping[str, Any], api: Api, examined) -> None:
    """Each document stands in one study, no identifier in two; pooled figures, computed again from the effects, hold no study twice."""
    effects = {record["record_id"]: record for extraction in api.extractions("effects") for record in extraction["records"]}
    for topic, dossier in dossiers.items():
        studies = {document["doc_id"]: study["key"] for study in dossier["studies"] for document in study["documents"]}
        judged = agreement.studies_counted(dossier) + agreement.pooled_as_computed(dossier, effects, studies)
        examined(judged.examined)
        assert judged.problems == (), topic


def test_formats_agree(api: Api, corpus: Corpus, examined) -> None:
    """Markdown and HTML are answered for the same topic, twice the same bytes, with the bibliography."""
    topic = topics(corpus)[0][0]
    for wanted in ("markdown", "html"):
        body = {"topic": {"condition": topic}, "format": wanted}
        first, second = api.http.post("/v1/briefing/dossier", json=body), api.http.post("/v1/briefing/dossier", json=body)
        examined(1)
        assert first.status_code == 200
        assert first.content == second.content
        assert len(first.content) > 500


def test_sample_corpus_is_pooled_conflicting_and_gapped(dossiers: Mapping[str, Any], corpus: Corpus, examined) -> None:
    """On the sample corpus: three homogeneous studies are pooled, the heterogeneous set is not, the conflict and the gap are found."""
    if not corpus.sample:
        from harness.core.errors import Blocked

        raise Blocked("judged on the sample corpus; this run has real data")
    judged = agreement.sample_findings(dossiers["migraine"])
    examined(judged.examined)
    assert judged.problems == ()
