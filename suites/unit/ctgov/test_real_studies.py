"""The 53 real studies, read independently of the parser and compared."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from system.evidence.extraction.registry import extract_registry
from system.evidence.records import CheckStatus
from system.evidence.sources.ctgov import parse_ctgov


def _outcomes(study):
    return study.get("resultsSection", {}).get("outcomeMeasuresModule", {}).get("outcomeMeasures", [])


def _both(raw):
    document = parse_ctgov("", raw)
    return document, extract_registry(document, raw)


def test_the_thirty_five_effects(real_read):
    """Two studies give 35 effects of three types; the other 15 with results give none."""
    counts = {native_id: len(extraction.effects) for native_id, (_, extraction, _) in real_read.items() if extraction.effects}
    assert counts == {"NCT01367860": 15, "NCT04770285": 20}
    types = Counter(effect.type.value for _, extraction, _ in real_read.values() for effect in extraction.effects)
    assert types == {"MD": 25, "response_rate_ratio": 8, "median_difference": 2}
    with_results = sum("resultsSection" in study for _, _, study in real_read.values())
    assert (len(real_read), with_results) == (53, 17)


def test_effects_equal_the_source(real_read):
    """Estimate, limits, level, p value and measure of every effect are those of the JSON at its pointer."""
    for _, extraction, study in real_read.values():
        stated = [(i, j, a) for i, o in enumerate(_outcomes(study)) for j, a in enumerate(o.get("analyses", []))]
        by_path = {e.path: e for e in extraction.effects}
        for i, j, analysis in stated:
            effect = by_path.pop(f"/resultsSection/outcomeMeasuresModule/outcomeMeasures/{i}/analyses/{j}", None)
            if effect is None:
                continue
            assert effect.value == float(analysis["paramValue"])
            assert (effect.ci_low, effect.ci_high) == (float(analysis["ciLowerLimit"]), float(analysis["ciUpperLimit"]))
            assert effect.ci_percent == float(analysis["ciPctValue"]) == 95.0
            assert effect.stated_type == analysis["paramType"]
            if "pValue" in analysis:
                assert effect.p_operator == ("<" if analysis["pValue"].startswith("<") else "=")
                assert effect.p_value == float(analysis["pValue"].lstrip("<"))
            else:
                assert (effect.p_value, effect.p_operator) == (None, None)
            quote = effect.spans[0].quote
            for name in ("paramValue", "ciLowerLimit", "ciUpperLimit", "ciPctValue", "pValue", "paramType"):
                if name in analysis:
                    assert f"| {analysis[name]}" in quote
        assert not by_path


def test_rates_and_the_row_without_a_value_do_not_become_effects(real_read):
    """The Kaplan-Meier rates of NCT02856893 and the analysis of NCT01367860 that states no estimate are refused with a reason."""
    refused = {native_id: extraction.refused for native_id, (_, extraction, _) in real_read.items() if extraction.refused}
    assert refused.keys() == {"NCT01367860", "NCT02856893"}
    assert [reason for _, reason in refused["NCT01367860"]] == ["no estimate is stated"]
    assert ["Kaplan-Meier" in reason for _, reason in refused["NCT02856893"]] == [True, True]


def test_the_significant_p_beside_intervals_across_zero_is_flagged(real_read):
    """NCT01367860 states p < 0.05 for 14 contrasts whose 95 % interval encloses 0: all are flagged, nothing else is."""
    flagged = [(n, e) for n, (_, x, _) in real_read.items() for e in x.effects if e.check.status is CheckStatus.FLAGGED]
    assert Counter(n for n, _ in flagged) == {"NCT01367860": 14}
    assert all(e.p_operator == "<" and e.ci_low < 0 < e.ci_high for _, e in flagged)


def test_every_adverse_event_row_is_exact(real_read):
    """All 1,404 rows of 11 studies (one a term and arm) carry the reported counts, and only those."""
    rows = 0
    studies = 0
    for _, extraction, study in real_read.values():
        module = study.get("resultsSection", {}).get("adverseEventsModule", {})
        arms = {group["id"]: group["title"] for group in module.get("eventGroups", [])}
        wanted = [
            (
                " ".join(e["term"].split()),
                e.get("organSystem"),
                e.get("sourceVocabulary", ""),
                kind == "seriousEvents",
                s["groupId"],
                " ".join(arms[s["groupId"]].split()),
                s.get("numAffected"),
                s.get("numAtRisk"),
                s.get("numEvents"),
            )
            for kind in ("seriousEvents", "otherEvents")
            for e in module.get(kind, [])
            for s in e["stats"]
        ]
        found = [
            (a.term, a.organ_system, a.vocabulary, a.serious, a.arm_id, a.arm, a.count, a.denominator, a.events)
            for a in extraction.adverse_events
        ]
        assert found == wanted
        assert all(a.check.status is CheckStatus.AGREES for a in extraction.adverse_events)
        rows += len(found)
        studies += bool(found)
        for a in extraction.adverse_events:
            cells = a.spans[0].quote.split(" | ")
            assert cells[0] == a.term
            assert str(a.count) in cells
            assert str(a.denominator) in cells
    assert (rows, studies) == (1404, 11)


def test_every_quote_is_verbatim_and_every_id_unique(real_read):
    """Each span equals its slice; no two records of all studies share an id."""
    ids = []
    for document, extraction, _ in real_read.values():
        for record in (*extraction.effects, *extraction.adverse_events, *extraction.criteria, *extraction.picos):
            assert record.spans
            assert all(document.text[s.start : s.end] == s.quote for s in record.spans)
            ids.append(record.record_id)
    assert len(ids) == len(set(ids))


def test_every_study_states_its_design(real_read):
    """Every study gives one PICO with its enrolment, age bounds that match the source, and criteria on both sides."""
    for _, extraction, study in real_read.values():
        module = study["protocolSection"]["eligibilityModule"]
        assert [p.enrolment for p in extraction.picos] == [study["protocolSection"]["designModule"]["enrollmentInfo"]["count"]]
        bounds = extraction.criteria[0]
        assert bounds.age_min_years == float(module["minimumAge"].removesuffix(" Years"))
        assert (bounds.age_max_years is None) == ("maximumAge" not in module)
        assert bounds.sex == module["sex"]
        sides = {c.kind for c in extraction.criteria[1:]}
        assert sides <= {"inclusion", "exclusion"}
        assert "inclusion" in sides


def test_all_studies_take_under_three_seconds(real):
    """Parsing and extracting the 53 studies is quick, and doing it again gives the same."""
    begun = time.process_time()
    first = [_both(raw) for raw in real.values()]
    assert time.process_time() - begun < 3
    assert first == [_both(raw) for raw in real.values()]


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_truncated_studies_are_refused(real, cut):
    """A real study that was cut off is refused with a place and a remedy."""
    from system.platform.errors import BadInput

    for raw in list(real.values())[:10]:
        with pytest.raises(BadInput):
            parse_ctgov("", raw[: int(len(raw) * cut)])
