"""The document of a registered study."""

from __future__ import annotations

import json
import unicodedata

import pytest

from system.evidence.ir import BlockKind, Source, document_id
from system.evidence.sources.ctgov import CRITERIA, parse_ctgov
from system.evidence.sources.ctgov_eligibility import PartKind, heading_side, split_criteria
from system.evidence.sources.split import SplitItem, split


def _value(study, pointer):
    for step in pointer.lstrip("/").split("/"):
        study = study[int(step)] if isinstance(study, list) else study[step]
    return study


def _grounded_leaves(document, study):
    """Every span-map entry whose pointer leads to a leaf, with the leaf: read here without the parser's help."""
    for entry in document.span_map:
        try:
            leaf = _value(study, entry.path)
        except (KeyError, IndexError, ValueError, TypeError):
            continue
        if isinstance(leaf, (str, int)) and not isinstance(leaf, bool):
            yield entry, str(leaf)


def test_every_figure_of_the_results_is_in_the_text_as_the_source_wrote_it(two_arms):
    """Each analysis figure and each adverse-event count is found at its JSON pointer, character for character."""
    document = parse_ctgov("", two_arms)
    study = json.loads(two_arms)
    shown = {entry.path: document.text[entry.start : entry.end] for entry, _ in _grounded_leaves(document, study)}
    for i, outcome in enumerate(study["resultsSection"]["outcomeMeasuresModule"]["outcomeMeasures"]):
        for j, analysis in enumerate(outcome["analyses"]):
            for name, value in analysis.items():
                if name != "groupIds":
                    assert shown[f"/resultsSection/outcomeMeasuresModule/outcomeMeasures/{i}/analyses/{j}/{name}"] == value
    for kind in ("seriousEvents", "otherEvents"):
        for t, term in enumerate(study["resultsSection"]["adverseEventsModule"][kind]):
            for s, stats in enumerate(term["stats"]):
                for name in stats.keys() - {"groupId"}:
                    assert shown[f"/resultsSection/adverseEventsModule/{kind}/{t}/stats/{s}/{name}"] == str(stats[name])


def test_offsets_hold(two_arms, observational):
    """Blocks lie apart by one blank line, cells inside their table's block, and exactly the untouched leaves say identity."""
    for raw in (two_arms, observational):
        document = parse_ctgov("", raw)
        for before, after in zip(document.blocks, document.blocks[1:], strict=False):
            assert document.text[before.end : after.start] == "\n\n"
        assert [b.path_index for b in document.blocks] == list(range(len(document.blocks)))
        for table in document.tables:
            block = document.blocks[table.block_index]
            assert all(block.start <= cell.start <= cell.end <= block.end for cell in table.cells)
        for entry, leaf in _grounded_leaves(document, json.loads(raw)):
            shown = document.text[entry.start : entry.end]
            assert (shown == leaf) == (entry.transform == "identity")
            if "markdown" not in entry.transform:
                assert shown == " ".join(unicodedata.normalize("NFC", leaf).split())


def test_identity_version_and_metadata_come_from_the_study(two_arms, observational):
    """The document id is made of NCT number, day of the last update and bytes; an id that is given is kept."""
    document = parse_ctgov("", two_arms)
    assert document.doc_id == document_id(Source.CTGOV, "NCT99000001", "2021-05-06", two_arms)
    assert (document.native_id, document.version) == ("NCT99000001", "2021-05-06")
    assert parse_ctgov("ctgov:given", two_arms).doc_id == "ctgov:given"
    meta = document.metadata
    assert meta.title == "Examplol Versus Placebo in Adults With High Blood Pressure"
    assert (meta.year, meta.phase, meta.status, meta.study_type) == (2018, "PHASE2/PHASE3", "COMPLETED", "INTERVENTIONAL")
    assert meta.conditions == ("Hypertension", "Café au lait spots")
    assert meta.interventions == ("Examplol", "Placebo tablet")
    assert ("nct", "NCT99000001") in meta.identifiers
    assert parse_ctgov("", observational).version == "undated"


def test_markdown_escapes_are_removed_and_the_transform_says_so(two_arms):
    """Free text reads as meant, and the span map names what was done to it."""
    document = parse_ctgov("", two_arms)
    assert "10 mg/m^2 are given when pressure is > 140 mmHg" in document.text
    entry = next(e for e in document.span_map if "m^2" in document.text[e.start : e.end])
    assert entry.transform == "markdown"
    assert len([b for b in document.blocks if b.path.endswith("/briefSummary") and b.kind is BlockKind.PARAGRAPH]) == 2


def test_criteria_are_blocks_with_their_side(two_arms):
    """Headings switch the side, list items carry it, nested items stay with their parent."""
    document = parse_ctgov("", two_arms)
    found = [(b.kind, b.label, document.text[b.start : b.end]) for b in document.blocks if b.path == CRITERIA]
    assert found == [
        (BlockKind.HEADING, "inclusion", "Key Inclusion Criteria:"),
        (BlockKind.LIST_ITEM, "inclusion", "Systolic pressure > 140 mmHg"),
        (BlockKind.LIST_ITEM, "inclusion", "At least one of: 1. diabetes 2. smoking"),
        (BlockKind.HEADING, "exclusion", "Exclusion Criteria:"),
        (BlockKind.LIST_ITEM, "exclusion", "Pregnancy"),
        (BlockKind.LIST_ITEM, "exclusion", "Heart failure"),
    ]


@pytest.mark.parametrize(
    ("line", "side"),
    [
        ("Inclusion Criteria:", "inclusion"),
        ("Inclusion:", "inclusion"),
        ("EXCLUSION CRITERIA", "exclusion"),
        ("**Key exclusion criteria:**", "exclusion"),
        ("Intra-operative Exclusion Criteria:", "exclusion"),
        ("Inclusion criteria for patients (Part A):", "inclusion"),
        ("Inclusion/Exclusion Criteria:", ""),
        ("Further inclusion criteria apply.", None),
        ("exclusion of allergy was not possible", None),
        ("The primary inclusion criteria for this study will be a diagnosis", None),
        ("No prior therapy", None),
    ],
)
def test_headings(line, side):
    """Only a line that opens a list of criteria changes the side."""
    found = heading_side(line)
    assert (found[0] if found else None) == side


def test_odd_criteria_texts():
    """Text before any heading has no side; text behind a heading's colon, continuation lines and sub-headings are kept apart."""
    text = "Preface.\n\nInclusion: born at term\n\nFor twins:\n\n* both\n  take part\n\n"
    parts = split_criteria(text + "Exclusion Criteria:\n\n* a:\n\n   1. b\n\n     2. c\n* d")
    assert [(p.kind, p.side, p.text) for p in parts] == [
        (PartKind.PARAGRAPH, "", "Preface."),
        (PartKind.HEADING, "inclusion", "Inclusion:"),
        (PartKind.PARAGRAPH, "inclusion", "born at term"),
        (PartKind.HEADING, "inclusion", "For twins:"),
        (PartKind.ITEM, "inclusion", "both\ntake part"),
        (PartKind.HEADING, "exclusion", "Exclusion Criteria:"),
        (PartKind.ITEM, "exclusion", "a:\n1. b\n2. c"),
        (PartKind.ITEM, "exclusion", "d"),
    ]
    assert split_criteria("") == ()


def test_the_identity_is_that_of_the_splitter(two_arms, observational):
    """Splitting a page and parsing its items give the same document ids."""
    items = split(Source.CTGOV, b'{"studies": [' + two_arms + b"," + observational + b"]}")
    for item in items:
        assert isinstance(item, SplitItem)
        document = parse_ctgov("", item.raw)
        assert (document.native_id, document.version) == (item.native_id, item.version)
    assert [item.version for item in items] == ["2021-05-06", "undated"]


def test_parsing_is_deterministic(two_arms):
    """The same bytes give an equal document."""
    assert parse_ctgov("", two_arms) == parse_ctgov("", two_arms)
