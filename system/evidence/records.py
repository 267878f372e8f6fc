"""Extraction records: what was found in a document, each grounded in at least one span of its text.

A record holds only what its spans say (absent means omitted). ``record_id`` is the SHA-256 (first 20 hex digits) of
the document id, the kind and the canonical JSON of the record's facts, so that extracting twice gives the same ids.
"""

from __future__ import annotations

import enum
import hashlib

import msgspec

from system.evidence.ir import Span


class Kind(enum.StrEnum):
    """The kinds of records; also the last segment of ``/v1/extract/{kind}``."""

    PICO = "pico"
    EFFECTS = "effects"
    ADVERSE_EVENTS = "ae"
    DOSES = "dose"
    ELIGIBILITY = "eligibility"


class EffectType(enum.StrEnum):
    """The effect measures. Ratios are compared on the log scale; a median is not a difference of means."""

    HAZARD_RATIO = "HR"
    RISK_RATIO = "RR"
    ODDS_RATIO = "OR"
    RESPONSE_RATE_RATIO = "response_rate_ratio"
    MEAN_DIFFERENCE = "MD"
    STANDARDISED_MEAN_DIFFERENCE = "SMD"
    RISK_DIFFERENCE = "RD"
    MEDIAN_DIFFERENCE = "median_difference"


class CheckStatus(enum.StrEnum):
    """Outcome of the claim-versus-quote check (entity, number, unit, direction, negation, arm)."""

    AGREES = "agrees"
    FLAGGED = "flagged"  # written, shown with its flags, never pooled


class Check(msgspec.Struct, frozen=True):
    """The verdict of the claim-versus-quote check with its reasons (empty when the claim agrees with the quote)."""

    status: CheckStatus
    flags: tuple[str, ...] = ()


class Effect(msgspec.Struct, frozen=True):
    """One comparison. ``ci_percent`` is kept as stated (95.0, 97.5 …); ``p_operator`` is one of ``=``, ``<``, ``>``, ``<=``, ``>=``."""

    record_id: str
    doc_id: str
    type: EffectType
    value: float
    outcome: str
    spans: tuple[Span, ...]
    check: Check
    ci_low: float | None = None
    ci_high: float | None = None
    ci_percent: float | None = None
    p_value: float | None = None
    p_operator: str | None = None
    n_total: int | None = None
    intervention: str = ""
    comparator: str = ""
    timeframe: str = ""
    unit: str = ""
    method: str = ""
    stated_type: str = ""  # the measure's name as the source has it
    origin: str = "prose"  # "registry", "table" or "prose"
    path: str = ""  # place in the source: JSON pointer or XPath


class AdverseEvent(msgspec.Struct, frozen=True):
    """One adverse-event row of one arm; counts are never computed back from percentages."""

    record_id: str
    doc_id: str
    term: str
    organ_system: str
    arm_id: str
    arm: str
    serious: bool
    spans: tuple[Span, ...]
    check: Check
    count: int | None = None  # subjects affected
    denominator: int | None = None  # subjects at risk
    events: int | None = None
    grade: int | None = None
    vocabulary: str = ""
    path: str = ""


class Dose(msgspec.Struct, frozen=True):
    """One dosing statement; ``unit`` is a UCUM code, durations are days."""

    record_id: str
    doc_id: str
    drug: str
    amount: float
    unit: str
    spans: tuple[Span, ...]
    check: Check
    amount_high: float | None = None
    route: str = ""
    frequency_per_day: float | None = None
    duration_days: float | None = None
    population: str = ""
    loinc: str | None = None
    path: str = ""


class Criterion(msgspec.Struct, frozen=True):
    """One eligibility criterion. ``kind`` is ``inclusion``, ``exclusion`` or (flagged) ``unknown``; bounds only where they are stated."""

    record_id: str
    doc_id: str
    kind: str
    text: str
    spans: tuple[Span, ...]
    check: Check
    age_min_years: float | None = None
    age_max_years: float | None = None
    sex: str = ""
    path: str = ""


class Pico(msgspec.Struct, frozen=True):
    """Population, interventions, comparators and outcomes of one study."""

    record_id: str
    doc_id: str
    population: tuple[str, ...]
    interventions: tuple[str, ...]
    comparators: tuple[str, ...]
    outcomes: tuple[str, ...]
    spans: tuple[Span, ...]
    check: Check
    timeframes: tuple[str, ...] = ()
    enrolment: int | None = None
    path: str = ""


Record = Effect | AdverseEvent | Dose | Criterion | Pico


def record_id(doc_id: str, kind: Kind, facts: object) -> str:
    """A deterministic id over the facts of a record (a struct or a tuple of plain values, without ids and checks)."""
    canonical = msgspec.json.encode(facts, order="sorted")
    return hashlib.sha256(b"\0".join((doc_id.encode(), kind.value.encode(), canonical))).hexdigest()[:20]


class Extraction(msgspec.Struct, frozen=True):
    """Everything extracted from one document by one version of the extractors."""

    doc_id: str
    extractor: str  # name and version: changing it changes what is recomputed
    effects: tuple[Effect, ...] = ()
    adverse_events: tuple[AdverseEvent, ...] = ()
    doses: tuple[Dose, ...] = ()
    criteria: tuple[Criterion, ...] = ()
    picos: tuple[Pico, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()  # (place in the source, reason): candidates that did not become records
