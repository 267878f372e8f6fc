"""Broken studies: always a BadInput with a JSON pointer and a remedy, never another exception."""

from __future__ import annotations

import copy
import json
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from system.evidence.sources.ctgov import parse_ctgov
from system.platform.errors import BadInput

PROTOCOL = "/protocolSection"
ANALYSIS = "/resultsSection/outcomeMeasuresModule/outcomeMeasures/0/analyses/0"
EVENTS = "/resultsSection/adverseEventsModule"
DROP = object()


def _set(raw: bytes, pointer: str, value: object) -> bytes:
    study = json.loads(raw)
    *parents, last = pointer.lstrip("/").split("/")
    spot = study
    for step in parents:
        spot = spot[int(step)] if isinstance(spot, list) else spot[step]
    if value is DROP:
        del spot[last]
    elif isinstance(spot, list):
        spot[int(last)] = value
    else:
        spot[last] = value
    return json.dumps(study).encode()


@pytest.mark.parametrize(
    ("pointer", "value", "place"),
    [
        (f"{PROTOCOL}", DROP, "/"),
        (f"{PROTOCOL}", [], PROTOCOL),
        (f"{PROTOCOL}", None, PROTOCOL),
        (f"{PROTOCOL}/identificationModule", DROP, PROTOCOL),
        (f"{PROTOCOL}/identificationModule/nctId", DROP, f"{PROTOCOL}/identificationModule"),
        (f"{PROTOCOL}/identificationModule/nctId", "NCT123", f"{PROTOCOL}/identificationModule/nctId"),
        (f"{PROTOCOL}/identificationModule/nctId", "../../etc/passwd", f"{PROTOCOL}/identificationModule/nctId"),
        (f"{PROTOCOL}/identificationModule/nctId", "NCT00000001\n", f"{PROTOCOL}/identificationModule/nctId"),
        (f"{PROTOCOL}/identificationModule/nctId", 12345678, f"{PROTOCOL}/identificationModule/nctId"),
        (f"{PROTOCOL}/statusModule", DROP, PROTOCOL),
        (f"{PROTOCOL}/statusModule/overallStatus", "  ", f"{PROTOCOL}/statusModule/overallStatus"),
        (f"{PROTOCOL}/designModule/enrollmentInfo/count", -1, f"{PROTOCOL}/designModule/enrollmentInfo/count"),
        (f"{PROTOCOL}/designModule/enrollmentInfo/count", 1_000_001, f"{PROTOCOL}/designModule/enrollmentInfo/count"),
        (f"{PROTOCOL}/designModule/enrollmentInfo/count", 10**40, f"{PROTOCOL}/designModule/enrollmentInfo/count"),
        (f"{PROTOCOL}/designModule/enrollmentInfo/count", "200", f"{PROTOCOL}/designModule/enrollmentInfo/count"),
        (f"{PROTOCOL}/designModule/enrollmentInfo/count", 1.5, f"{PROTOCOL}/designModule/enrollmentInfo/count"),
        (f"{PROTOCOL}/conditionsModule/conditions", "Hypertension", f"{PROTOCOL}/conditionsModule/conditions"),
        (f"{PROTOCOL}/conditionsModule/conditions/0", {"a": 1}, f"{PROTOCOL}/conditionsModule/conditions/0"),
        (f"{PROTOCOL}/eligibilityModule/minimumAge", "old", f"{PROTOCOL}/eligibilityModule/minimumAge"),
        (f"{PROTOCOL}/eligibilityModule/minimumAge", "-3 Years", f"{PROTOCOL}/eligibilityModule/minimumAge"),
        (f"{PROTOCOL}/eligibilityModule/eligibilityCriteria", 7, f"{PROTOCOL}/eligibilityModule/eligibilityCriteria"),
        ("/resultsSection", [], "/resultsSection"),
        (f"{ANALYSIS}/paramValue", -3.0, f"{ANALYSIS}/paramValue"),
        (f"{ANALYSIS}/paramValue", "9" * 500, f"{ANALYSIS}/paramValue"),
        (f"{ANALYSIS}/groupIds/1", "OG009", f"{ANALYSIS}/groupIds/1"),
        (f"{EVENTS}/seriousEvents/0/term", "", f"{EVENTS}/seriousEvents/0/term"),
        (f"{EVENTS}/seriousEvents/0/term", DROP, f"{EVENTS}/seriousEvents/0"),
        (f"{EVENTS}/seriousEvents/0/stats/1/groupId", "EG777", f"{EVENTS}/seriousEvents/0/stats/1/groupId"),
        (f"{EVENTS}/seriousEvents/0/stats/0/numAffected", -1, f"{EVENTS}/seriousEvents/0/stats/0/numAffected"),
        (f"{EVENTS}/seriousEvents/0/stats/0/numAffected", "3", f"{EVENTS}/seriousEvents/0/stats/0/numAffected"),
        (f"{EVENTS}/seriousEvents/0/stats/0/numAtRisk", 10**30, f"{EVENTS}/seriousEvents/0/stats/0/numAtRisk"),
    ],
)
def test_a_wrong_value_is_named_with_its_pointer(read, two_arms, pointer, value, place):
    """The error says where the value stands and what to do about it."""
    with pytest.raises(BadInput) as caught:
        read(_set(two_arms, pointer, value))
    assert caught.value.place == place
    assert caught.value.error
    assert len(caught.value.remedy) > 20


@pytest.mark.parametrize(
    "mutate",
    [
        lambda raw: raw[: len(raw) // 2],
        lambda raw: raw[:-3],
        lambda raw: b"",
        lambda raw: b"null",
        lambda raw: b"[]",
        lambda raw: b'"text"',
        lambda raw: raw.decode().encode("utf-16"),
        lambda raw: raw.replace(b"Hypertension", b"Hyper\xfftension"),
        lambda raw: raw.replace(b'"hasResults": true', b'"other": "\xff"'),
        lambda raw: raw.replace(b"Hypertension", b"\\ud800"),
        lambda raw: raw.replace(b'"count": 200', b'"count": NaN'),
        lambda raw: raw.replace(b'"count": 200', b'"count": 1e400'),
        lambda raw: raw + b"{}",
        lambda raw: b'{"protocolSection":' * 200_000,
        lambda raw: b"<?xml version='1.0'?><clinical_study/>",
        lambda raw: b"\x1f\x8b\x08\x00",
    ],
)
def test_what_is_no_json_study_is_refused(read, two_arms, mutate):
    """Truncated, wrongly encoded, nested without end, of another kind: one exception type, with a place and a remedy."""
    with pytest.raises(BadInput) as caught:
        read(mutate(two_arms))
    assert caught.value.place.startswith("/")
    assert caught.value.remedy


@pytest.mark.parametrize(
    "module", ["descriptionModule", "conditionsModule", "designModule", "armsInterventionsModule", "outcomesModule", "eligibilityModule"]
)
def test_an_optional_module_may_be_missing(read, two_arms, module):
    """A study without it is parsed and gives no records about it."""
    document, extraction = read(_set(two_arms, f"{PROTOCOL}/{module}", DROP))
    assert document.text
    assert len(extraction.adverse_events) == 5
    if module == "eligibilityModule":
        assert extraction.criteria == ()


@pytest.mark.parametrize(
    "module", ["participantFlowModule", "baselineCharacteristicsModule", "outcomeMeasuresModule", "adverseEventsModule"]
)
def test_a_results_module_may_be_missing(read, two_arms, module):
    """The other modules are read as before."""
    _, extraction = read(_set(two_arms, f"/resultsSection/{module}", DROP))
    assert bool(extraction.effects) == (module != "outcomeMeasuresModule")
    assert bool(extraction.adverse_events) == (module != "adverseEventsModule")


def test_hostile_text_is_text(read, two_arms):
    """Markup, control characters and cell separators change nothing but the text itself."""
    hostile = "<script>x</script>\u0000\u001b[31m a | b \n| c \u202e=1+1"
    raw = _set(two_arms, f"{EVENTS}/seriousEvents/0/term", hostile)
    document, extraction = read(raw)
    assert extraction.adverse_events[0].term == "<script>x</script>[31m a | b | c =1+1"
    assert "\x1b" not in document.text
    assert extraction.adverse_events[0].check.flags == ()


@pytest.mark.parametrize(
    "text", ["_" * 300_000, "* a\n" * 60_000, "* a\n   * b\n" + "   * c\n" * 60_000, "(" * 300_000, "inclusion " * 40_000, " " * 300_000]
)
def test_long_texts_take_linear_time(two_arms, text):
    """No eligibility text makes the parser slow."""
    raw = _set(two_arms, f"{PROTOCOL}/eligibilityModule/eligibilityCriteria", text)
    begun = time.perf_counter()
    parse_ctgov("", raw)
    assert time.perf_counter() - begun < 10


def _pointers(node: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    if isinstance(node, dict):
        inner = [p for key, value in node.items() for p in _pointers(value, (*path, key))]
    elif isinstance(node, list):
        inner = [p for key, value in enumerate(node) for p in _pointers(value, (*path, key))]
    else:
        inner = []
    return [path, *inner] if path else inner


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_any_mutation_gives_records_or_bad_input(read, two_arms, data):
    """Whatever stands in whatever place: the study is read with exact quotes, or refused as BadInput."""
    study = json.loads(two_arms)
    path = data.draw(st.sampled_from(_pointers(study)))
    spot = copy.deepcopy(study)
    target = spot
    for step in path[:-1]:
        target = target[step]
    odd = [
        "",
        "NA",
        "1e999",
        "0e999",
        "-",
        "Hazard Ratio",
        None,
        True,
        -1,
        0,
        10**25,
        1.5,
        [],
        {},
        [[]],
        {"a": 1},
        "\u200b",
        "é\u0301",
        "\ud800",
    ]
    target[path[-1]] = data.draw(st.sampled_from(odd))
    try:
        document, extraction = read(json.dumps(spot).encode())
    except BadInput as error:
        assert error.place
        assert error.remedy
        return
    for record in (*extraction.effects, *extraction.adverse_events, *extraction.criteria, *extraction.picos):
        assert record.spans
        assert all(document.text[s.start : s.end] == s.quote for s in record.spans)
