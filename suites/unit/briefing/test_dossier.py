"""The dossier: sections in order, everything cited verbatim, gaps and questions said, hostile text inert."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import jsonschema
import msgspec
import pytest

from system.evidence.briefing.dossier import MAX_ITEMS, build_dossier
from system.evidence.briefing.escaping import markdown, visible
from system.evidence.briefing.model import BriefingError, Dossier, Priority, SectionId, Topic, render_json
from system.evidence.briefing.render_html import render_html
from system.evidence.briefing.render_markdown import render_markdown
from system.evidence.ir import Source, Span
from system.evidence.records import Check, CheckStatus
from system.gateway import schemas
from system.platform.errors import BadInput
from system.platform.ports import SearchFilter

from .conftest import Shelf

ASTHMA = Topic("asthma")
HOSTILE = (
    "<script>alert(1)</script> [x](javascript:alert(1)) `code` | cell | **bold** https://evil.example/ www.evil.example "
    '=HYPERLINK("http://evil.example") \u202egnp.exe \x1b[31m &lt;b&gt; <img src=x onerror=alert(1)> "\' {{ 7*7 }} asthma'
)


def section(dossier: Dossier, wanted: SectionId) -> Any:
    return next(s for s in dossier.sections if s.id is wanted)


def test_sections_stand_in_their_order(full_shelf: Shelf) -> None:
    """Summary, PICO, effects, safety, dosing, eligibility, coverage, questions; and every one has something here."""
    dossier = build_dossier(full_shelf, ASTHMA)
    assert [s.title for s in dossier.sections] == ["Summary", "PICO", "Effects", "Safety", "Dosing", "Eligibility", "Coverage", "Questions"]
    assert all(s.items for s in dossier.sections)


def test_every_item_is_cited_verbatim(full_shelf: Shelf) -> None:
    """Each citation's quote is the slice of its document, with title, identifiers and a bibliography number."""
    dossier = build_dossier(full_shelf, ASTHMA)
    for item in (item for s in dossier.sections for item in s.items):
        assert item.citations
        for c in item.citations:
            assert full_shelf.documents[c.doc_id].text[c.start : c.end] == c.quote != ""
            assert dossier.bibliography[c.number - 1].doc_id == c.doc_id
    assert sum(entry.citations for entry in dossier.bibliography) > len(dossier.bibliography)


@pytest.mark.parametrize("field", ["effects", "adverse_events", "doses", "criteria", "picos"])
def test_a_wrong_quote_is_an_error(full_shelf: Shelf, field: str) -> None:
    """A record whose quote is not at its offsets ends the build; no dossier is made."""
    doc_id = next(i for i, x in full_shelf.extractions.items() if getattr(x, field))
    known = full_shelf.extractions[doc_id]
    record = getattr(known, field)[0]
    span = record.spans[0]
    broken = msgspec.structs.replace(record, spans=(Span(span.start + 1, span.end, span.quote),))
    full_shelf.extractions[doc_id] = msgspec.structs.replace(known, **{field: (broken,)})
    with pytest.raises(BriefingError, match="is not the quote"):
        build_dossier(full_shelf, ASTHMA)


def test_a_record_without_a_span_is_an_error(full_shelf: Shelf) -> None:
    """No citation, no item."""
    doc_id, known = next((i, x) for i, x in full_shelf.extractions.items() if x.doses)
    full_shelf.extractions[doc_id] = msgspec.structs.replace(known, doses=(msgspec.structs.replace(known.doses[0], spans=()),))
    with pytest.raises(BriefingError, match="no citation"):
        build_dossier(full_shelf, ASTHMA)


def test_pool_conflict_and_gap_are_found(full_shelf: Shelf) -> None:
    """Three homogeneous trials pool, the true conflict is named, the planned outcome without evidence is a gap."""
    dossier = build_dossier(full_shelf, ASTHMA)
    assert [(p.outcome, p.studies) for p in dossier.pooled] == [("asthma attack", 3)]
    assert [c.outcome for c in dossier.conflicts] == ["cough"]
    assert any(gap.kind == "outcome" and "Quality of life" in gap.text and gap.citations for gap in dossier.gaps)
    assert any(gap.kind == "ungraded" for gap in dossier.gaps)
    assert not any("asthma attack" in gap.text for gap in dossier.gaps)


def test_the_key_of_every_group_is_shown(full_shelf: Shelf) -> None:
    """What was pooled, and what was not, says in which circumstances: in the JSON, in Markdown and on the page."""
    dossier = build_dossier(full_shelf, ASTHMA)
    assert [(g.key.time_point, g.key.adjustment) for g in (*dossier.pooled, *dossier.not_pooled)] == [("not stated", "not stated")] * 2
    said = "time point: not stated; dose: not stated; population: not stated; adjustment: not stated"
    for page in (render_markdown(dossier), render_html(dossier)):
        assert f"I² = 0.0 %; {said}" in page
        assert f"2 comparable studies; pooling needs 3. Key: {said}" in page


def test_the_json_has_the_form_that_the_api_document_states(full_shelf: Shelf) -> None:
    """The schema of the answer is made from the structs that are encoded."""
    stated = {"$ref": schemas.DOSSIER_REF, "components": {"schemas": schemas.dossier_components()}}
    body = msgspec.json.decode(render_json(build_dossier(full_shelf, ASTHMA)))
    judge = jsonschema.Draft202012Validator(stated)
    assert list(judge.iter_errors(body)) == []
    assert list(judge.iter_errors({**body, "studies": None})) != []


def test_questions_stand_in_their_priority(full_shelf: Shelf) -> None:
    """Gaps before conflicts before open ones."""
    doc_id, known = next((i, x) for i, x in full_shelf.extractions.items() if x.doses)
    flagged = msgspec.structs.replace(known.doses[0], check=Check(CheckStatus.FLAGGED, ("unit",)))
    full_shelf.extractions[doc_id] = msgspec.structs.replace(known, doses=(flagged,))
    questions = build_dossier(full_shelf, ASTHMA).questions
    order = [list(Priority).index(q.priority) for q in questions]
    assert order == sorted(order)
    assert {q.priority for q in questions} == set(Priority)


def test_a_section_without_evidence_says_so(shelf: Shelf) -> None:
    """Nothing is made up: an empty section has its sentence, and is a gap and a question."""
    shelf.put("a", ["Zen reduced attacks."])
    dossier = build_dossier(shelf, ASTHMA)
    for wanted in (SectionId.PICO, SectionId.EFFECTS, SectionId.SAFETY, SectionId.DOSING, SectionId.ELIGIBILITY):
        assert section(dossier, wanted).items == ()
        assert section(dossier, wanted).notes[0].startswith("No evidence was found for this section")
    assert [gap.text for gap in dossier.gaps][:2] == ["No evidence for PICO.", "No evidence for Effects."]


def test_nothing_found_is_a_dossier_too(shelf: Shelf) -> None:
    """An unknown condition gives gaps, no items and no bibliography."""
    dossier = build_dossier(shelf, Topic("unheard of"))
    assert dossier.bibliography == ()
    assert len(dossier.gaps) == 5
    assert b'"bibliography": []' in render_json(dossier)


def test_only_documents_about_the_topic_count(full_shelf: Shelf) -> None:
    """A document is kept for its metadata or for the phrase in its text, and only with the intervention asked for."""
    full_shelf.put("other", ["Nothing of it."], title="Psoriasis", conditions=("Psoriasis",))
    names = {entry.doc_id for entry in build_dossier(full_shelf, ASTHMA).bibliography}
    assert not any("other" in name for name in names)
    assert any(":zen#" in name for name in names)
    assert build_dossier(full_shelf, Topic("asthma", "Yoga")).bibliography == ()


@pytest.mark.parametrize(
    ("times", "source", "kept"), [(1, Source.JATS, False), (3, Source.JATS, True), (1, Source.PUBMED, True), (1, Source.SPL, True)]
)
def test_a_passing_mention_does_not_make_a_topic(shelf: Shelf, times: int, source: Source, *, kept: bool) -> None:
    """A whole article must name the condition more than once or twice; an abstract or a label need not."""
    shelf.put("a", ["It helps in asthma."] * times, title="Zen", source=source, conditions=())
    assert bool(build_dossier(shelf, ASTHMA).bibliography) is kept


def test_outcome_and_filters_narrow(full_shelf: Shelf) -> None:
    """The outcome keeps its effects only; an outcome nobody measured is a gap; sources and years are filters."""
    cough = build_dossier(full_shelf, Topic("asthma", "Zen", "cough"))
    assert len(section(cough, SectionId.EFFECTS).items) == 2
    none = build_dossier(full_shelf, Topic("asthma", "Zen", "fever"))
    assert any(gap.kind == "outcome" and "fever" in gap.text for gap in none.gaps)
    only = build_dossier(full_shelf, ASTHMA, SearchFilter(sources=("spl",)))
    assert [entry.doc_id.split(":")[0] for entry in only.bibliography] == ["spl"]
    assert build_dossier(full_shelf, ASTHMA, SearchFilter(year_from=2030)).bibliography == ()


def test_registry_and_article_are_one_study(shelf: Shelf) -> None:
    """Two documents of one trial and one other trial are two studies, so nothing is pooled."""
    shelf.put("NCT00000001", source=Source.CTGOV).effect(0.8, 0.7, 0.92, origin="registry")
    shelf.put("pmc1", identifiers=(("nct", "NCT00000001"),)).effect(0.75, 0.62, 0.91)
    shelf.put("pmc2", identifiers=(("nct", "NCT00000002"),)).effect(0.85, 0.7, 1.03)
    dossier = build_dossier(shelf, ASTHMA)
    assert dossier.pooled == ()
    assert [g.reason for g in dossier.not_pooled] == ["2 comparable studies; pooling needs 3"]


def test_long_sections_are_bounded_and_say_so(shelf: Shelf) -> None:
    """What is left out is counted."""
    paper = shelf.put("a", [f"Criterion {i}." for i in range(MAX_ITEMS + 7)])
    for i in range(MAX_ITEMS + 7):
        paper.criterion(f"Criterion {i}.")
    found = section(build_dossier(shelf, ASTHMA), SectionId.ELIGIBILITY)
    assert (len(found.items), found.notes) == (MAX_ITEMS, ("7 further items are not shown here.",))


@pytest.mark.parametrize("topic", [Topic(""), Topic("  "), Topic("x" * 301), Topic("a", "b" * 301)])
def test_a_bad_topic_is_refused(shelf: Shelf, topic: Topic) -> None:
    """The error names the place and the remedy."""
    with pytest.raises(BadInput, match="condition"):
        build_dossier(shelf, topic)


def test_same_evidence_same_bytes(full_shelf: Shelf) -> None:
    """All three forms are functions of the evidence."""
    one, two = build_dossier(full_shelf, ASTHMA), build_dossier(full_shelf, ASTHMA)
    assert (render_json(one), render_markdown(one), render_html(one)) == (render_json(two), render_markdown(two), render_html(two))
    assert msgspec.json.decode(render_json(one), type=Dossier) == one


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile(shelf: Shelf) -> Dossier:
    paper = shelf.put("a", [HOSTILE], title=HOSTILE, journal=HOSTILE, authors=(HOSTILE,), identifiers=(("doi", HOSTILE),))
    paper.effect(0.8, 0.7, 0.9, outcome=HOSTILE, intervention=HOSTILE, timeframe=HOSTILE, check=Check(CheckStatus.FLAGGED, (HOSTILE,)))
    paper.criterion(HOSTILE)
    paper.event(HOSTILE, HOSTILE)
    return build_dossier(shelf, Topic(f"asthma {HOSTILE[:200]}"))


def test_html_is_self_contained_and_hostile_text_is_inert(shelf: Shelf) -> None:
    """No script, handler, address or control character comes out of a document; the policy would refuse them too."""
    shelf.put("b", ["x"])
    shelf_dossier = build_dossier(shelf, ASTHMA)
    page = render_html(msgspec.structs.replace(hostile(shelf), sections=hostile(shelf).sections + shelf_dossier.sections))
    reader = Reader()
    reader.feed(page)
    assert {tag for tag, _ in reader.tags} <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "main", "section", "details", "summary",
        "span", "ul", "li", "sup", "a", "blockquote", "div", "p",
    }  # fmt: skip
    assert all(
        set(attributes) <= {"id", "class", "href", "title", "open", "lang", "charset", "http-equiv", "content", "name"}
        for _, attributes in reader.tags
    )
    assert all((a.get("href") or "#").startswith("#ref-") or not a.get("href") for tag, a in reader.tags if tag == "a")
    policy = next(a["content"] for tag, a in reader.tags if tag == "meta" and a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "<script>alert(1)</script>" in reader.text


def test_markdown_keeps_hostile_text_as_text(shelf: Shelf) -> None:
    """No HTML, link, code, table cell, formula line or control character comes out of a document."""
    page = render_markdown(hostile(shelf))
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert not re.search(r"(?<!\\)<[a-z/]", page)
    assert not re.search(r"(?<!\\)\[x(?<!\\)\]\(", page)
    assert not re.search(r"(?<!\\)`|(?<!\\)\|", page)
    assert "https://" not in page
    assert "javascript:" not in page
    assert not re.search(r"(?m)^\s*(?:[-*] )?[=+@]", page)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb", "a b"), ("# h", r"\# h"), ("- x", r"\- x"), ("1. x", r"1\. x"), ("=1+1", r"\=1+1"),
        ("a*b*", r"a\*b\*"), ("HR 0.79 (0.66 to 0.95)", "HR 0.79 (0.66 to 0.95)"),
        ("x\x00y\u2066z", "x\ufffdy\ufffdz"), ("javascript:x", r"javascript\:x"), ("a@b.c", r"a\@b.c"),
    ],
)  # fmt: skip
def test_markdown_escapes_what_would_act(text: str, line: str) -> None:
    """Plain numbers stay readable; everything that starts mark-up is escaped."""
    assert markdown(text) == line


def test_visible_keeps_ordinary_text() -> None:
    """Letters of any script, tabs and line feeds stay."""
    assert visible("αβ 中文 עברית\t\n") == "αβ 中文 עברית\t\n"
