"""The one entry: dispatch, order, duplicates and grounding; and the real articles and labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from system.evidence.extraction import assemble
from system.evidence.extraction.assemble import EXTRACTOR, Ungrounded, extract, only, require_grounded
from system.evidence.ir import BlockKind, Document, Metadata, Source, Span
from system.evidence.records import CheckStatus, Kind
from system.evidence.sources.jats import parse_jats
from system.evidence.sources.spl import parse_spl

Make = Callable[..., Any]
SENTENCE = "The risk of stroke was lower (hazard ratio, 0.79; 95% CI, 0.66 to 0.95)."


def test_dispatches_by_source(draft: Make) -> None:
    """Articles give effects and no doses, labels give doses and no effects."""
    dosing = "The dose of Zen is 10 mg once daily."
    article = extract(draft().add(SENTENCE).add(dosing, "Dosage", loinc="34068-7").build(), b"")
    label = extract(draft(Source.SPL, Metadata(interventions=("Zen",))).add(SENTENCE).add(dosing, "Dosage", loinc="34068-7").build(), b"")
    assert (len(article.effects), len(article.doses), len(label.effects), len(label.doses)) == (1, 0, 0, 1)
    assert article.extractor == label.extractor == EXTRACTOR


def test_same_document_same_bytes(draft: Make) -> None:
    """Extraction is a function of the document: order and ids are fixed."""
    document = (
        draft().add(f"{SENTENCE} {SENTENCE.replace('0.79', '0.80')}").table([["Outcome", "OR (95% CI)"], ["Pain", "1.2 (1.1–1.3)"]]).build()
    )
    once, again = extract(document, b""), extract(document, b"")
    assert msgspec.json.encode(once) == msgspec.json.encode(again)
    assert [e.origin for e in once.effects] == ["prose", "prose", "table"]
    assert len({e.record_id for e in once.effects}) == 3


def test_duplicates_are_removed_by_record_id(draft: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that two extractors find is stored once."""
    monkeypatch.setattr(assemble, "effects_from_tables", assemble.effects_from_prose)
    assert len(extract(draft().add(SENTENCE).build(), b"").effects) == 1


@pytest.mark.parametrize("shift", [(1, 1), (0, -1), (0, 10_000), (-1, 0)])
def test_a_wrong_offset_is_never_stored(draft: Make, monkeypatch: pytest.MonkeyPatch, shift: tuple[int, int]) -> None:
    """An extractor that is off by one ends in an error, not in a record."""

    def wrong(document: Document) -> tuple[Any, ...]:
        return tuple(
            msgspec.structs.replace(e, spans=tuple(Span(s.start + shift[0], s.end + shift[1], s.quote) for s in e.spans))
            for e in assemble.effects_from_tables(document)
        )

    monkeypatch.setattr(assemble, "effects_from_prose", wrong)
    document = draft().table([["Outcome", "OR (95% CI)"], ["Pain", "1.2 (1.1–1.3)"]]).build()
    with pytest.raises(Ungrounded):
        extract(document, b"")


def test_a_record_without_a_span_is_refused(draft: Make) -> None:
    """No span, no record."""
    document = draft().add(SENTENCE).build()
    (effect,) = extract(document, b"").effects
    for broken in (msgspec.structs.replace(effect, spans=()), msgspec.structs.replace(effect, doc_id="other")):
        with pytest.raises(Ungrounded):
            require_grounded(document, [broken])


def test_only_keeps_one_kind(draft: Make) -> None:
    """The records of one kind can be asked for alone."""
    extraction = extract(draft().add(SENTENCE).build(), b"")
    assert only(extraction, Kind.EFFECTS).effects == extraction.effects
    assert only(extraction, Kind.DOSES).effects == ()


def test_every_article_extracts_and_every_quote_is_its_slice(articles: list[tuple[str, bytes]]) -> None:
    """All real articles: nothing is raised, 100 % of quotes are verbatim, and what is flagged stays a small part."""
    effects = []
    for name, raw in articles:
        document = parse_jats(f"jats:{name}#1:0", raw)
        found = extract(document, raw).effects
        assert all(document.text[s.start : s.end] == s.quote for e in found for s in e.spans)
        effects += found
    assert len(articles) == 101
    assert len(effects) >= 250
    assert sum(e.check.status is CheckStatus.FLAGGED for e in effects) <= 0.05 * len(effects)


def test_real_labels_give_their_doses(labels: list[tuple[str, bytes]]) -> None:
    """Ranges, frequencies and UCUM units of real labels; the boxed warning doses nothing."""
    by_name = {name: extract(parse_spl(f"spl:{name}#1:0", raw), raw).doses for name, raw in labels}
    lipitor = {(d.amount, d.amount_high, d.unit, d.frequency_per_day) for d in by_name["lipitor-orig.xml.gz"]}
    assert {(10.0, 80.0, "mg", 1.0), (40.0, None, "mg", 1.0), (20.0, None, "mg", 1.0)} <= lipitor
    humira = {(d.amount, d.unit, d.frequency_per_day) for d in by_name["humira.xml.gz"]}
    assert {(40.0, "mg", 1 / 14), (40.0, "mg", 1 / 7), (20.0, "mg", 1 / 14)} <= humira
    assert all(d.loinc != "34066-1" and d.check.status is CheckStatus.AGREES for doses in by_name.values() for d in doses)


def test_hostile_text_is_data(draft: Make) -> None:
    """Mark-up, formulas and control characters in a sentence are quoted, not interpreted."""
    text = "=cmd|'/c calc'!A1 <script>x</script> \u202e risk of stroke (hazard ratio, 0.79; 95% CI, 0.66 to 0.95)."
    (effect,) = extract(draft().add("Title", "", BlockKind.TITLE).add(text).build(), b"").effects
    assert effect.spans[0].quote == text
