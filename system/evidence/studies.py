"""Which documents report one study: the crosswalk over PubMed ids, PMC ids, DOIs and registration numbers.

Two steps, each a transitive closure that does not depend on the order of documents. First the forms of one publication are
joined over publication ids (and over the source's own id, for versions). Then publications and registry records are joined over
registration numbers. A publication joins a trial only where it names one number of a registry: an article on several trials,
a review or a meta-analysis *covers* them and is none of them.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from system.evidence.ir import Document, Source
from system.evidence.sources.dois import bare, work_and_version
from system.evidence.sources.registrations import SCHEMES as REGISTRIES
from system.evidence.sources.registrations import normal_registration

Identifier = tuple[str, str]  # (scheme, value in its normal form)
_T = TypeVar("_T", bound=Hashable)

_SYNTHESIS_TYPE = re.compile(r"review|meta-?\s?analysis|guideline", re.IGNORECASE)
_SYNTHESIS_TITLE = re.compile(
    r"\b(?:systematic(?:ally)?\s+review|meta[\s-]?analys[ei]s|pooled\s+analys[ei]s|umbrella\s+review)\b", re.IGNORECASE
)
_NO_STUDY = frozenset({Source.SPL, Source.PASSAGES})


class Study(msgspec.Struct, frozen=True):
    """One study. ``key`` is its NCT number, else its least other identifier as ``scheme:value``, else a document's id."""

    key: str
    documents: tuple[str, ...]  # ids, sorted
    identifiers: tuple[Identifier, ...]  # of all documents, those that say which study it is
    shared: tuple[Identifier, ...]  # those that at least two documents have
    covers: tuple[Identifier, ...] = ()  # registration numbers of the several trials that an article reports


class Crosswalk(msgspec.Struct, frozen=True):
    """The studies of a set of documents, in the order of their keys."""

    studies: tuple[Study, ...]

    def by_document(self) -> Mapping[str, Study]:
        """The study of each document."""
        return {doc_id: study for study in self.studies for doc_id in study.documents}

    def covered(self, study: Study) -> tuple[str, ...]:
        """What ``study`` reports beside itself: keys of studies here, else registration numbers, each as one name."""
        if not study.covers:
            return ()
        keys = {identifier: other.key for other in self.studies for identifier in other.identifiers}
        return tuple(sorted({keys.get(identifier, _name(identifier)) for identifier in study.covers} - {study.key}))


def crosswalk(documents: Iterable[Document]) -> Crosswalk:
    """The studies that ``documents`` report; labels and passages report none of their own and are left out."""
    known = {document.doc_id: document for document in documents if document.source not in _NO_STUDY}
    own = {doc_id: frozenset(_own(document)) for doc_id, document in known.items()}
    publications = _closure({doc_id: (*ids, (known[doc_id].source.value, known[doc_id].native_id)) for doc_id, ids in own.items()})
    names: dict[tuple[str, ...], frozenset[Identifier]] = {}
    covers: dict[tuple[str, ...], frozenset[Identifier]] = {}
    for members in publications:
        names[members], covers[members] = _registrations([known[doc_id] for doc_id in members])
    found = []
    claims = _claims(known.values())
    links = {members: names[members] | _results(members, known, own, claims) for members in publications}
    for group in _closure(links):
        ids = sorted(doc_id for members in group for doc_id in members)
        held = {doc_id: own[doc_id] | names[members].intersection(_registered(known[doc_id])) for members in group for doc_id in members}
        found.append(_study(ids, held, tuple(sorted({number for members in group for number in covers[members]}))))
    return Crosswalk(tuple(sorted(found, key=lambda study: study.key)))


def _claims(documents: Iterable[Document]) -> Mapping[str, frozenset[str]]:
    """PubMed ids that registry records name as reports of their results, with the records that do."""
    claimed: dict[str, set[str]] = defaultdict(set)
    for document in documents:
        for scheme, value in document.metadata.identifiers:
            if scheme == "result_pmid":
                claimed[normal_identifier("pmid", value)].add(document.native_id)
    return {pmid: frozenset(records) for pmid, records in claimed.items()}


def _results(
    members: tuple[str, ...],
    known: Mapping[str, Document],
    own: Mapping[str, frozenset[Identifier]],
    claims: Mapping[str, frozenset[str]],
) -> frozenset[Identifier]:
    """The PubMed ids over which a trial and the one report of its results are one study; a report that several trials name is of none."""
    documents = [known[doc_id] for doc_id in members]
    if any(map(is_synthesis, documents)):
        return frozenset()
    named = {pmid for document in documents for pmid, records in claims.items() if document.native_id in records}
    mine = {value for doc_id in members for scheme, value in own[doc_id] if scheme == "pmid"}
    return frozenset(("result", pmid) for pmid in named | mine if len(claims.get(pmid, ())) == 1)


def is_synthesis(document: Document) -> bool:
    """Whether the document is made of other studies (a review, a meta-analysis, a guideline)."""
    meta = document.metadata
    return document.source is not Source.CTGOV and bool(_SYNTHESIS_TYPE.search(meta.study_type) or _SYNTHESIS_TITLE.search(meta.title))


def identifiers_of(document: Document) -> tuple[Identifier, ...]:
    """All identifiers of a document in their normal form, sorted: publication ids and registration numbers."""
    return tuple(sorted({*_own(document), *_registered(document)}))


def _registrations(documents: list[Document]) -> tuple[frozenset[Identifier], frozenset[Identifier]]:
    """(numbers that make a publication a trial, numbers of trials that it only covers).

    The forms of it that name one number a registry decide, if they agree: a full text also mentions the numbers of others.
    """
    named = [frozenset(_registered(document)) for document in documents]
    everything = frozenset().union(*named)
    if any(document.source is Source.CTGOV for document in documents):
        return everything, frozenset()
    single = frozenset().union(*(numbers for numbers in named if _one_a_registry(numbers)))
    if single and _one_a_registry(single) and not any(map(is_synthesis, documents)):
        return single, frozenset()
    return frozenset(), everything


def _one_a_registry(numbers: frozenset[Identifier]) -> bool:
    return len({scheme for scheme, _ in numbers}) == len(numbers)


def _study(doc_ids: list[str], held: Mapping[str, Iterable[Identifier]], covers: tuple[Identifier, ...]) -> Study:
    count: dict[Identifier, int] = defaultdict(int)
    for identifiers in held.values():
        for identifier in identifiers:
            count[identifier] += 1
    listed = tuple(sorted(count, key=_rank))
    shared = tuple(identifier for identifier in listed if count[identifier] > 1)
    return Study(_name(listed[0]) if listed else doc_ids[0], tuple(doc_ids), listed, shared, covers)


def _rank(identifier: Identifier) -> tuple[int, str, str]:
    """NCT numbers first, then other registries, then publication ids."""
    scheme, value = identifier
    order = ("nct", "isrctn", "eudract", "euct", *sorted(REGISTRIES), "pmid", "doi", "pmcid")
    return order.index(scheme), scheme, value


def _name(identifier: Identifier) -> str:
    scheme, value = identifier
    return value if scheme == "nct" else f"{scheme}:{value}"


def _own(document: Document) -> Iterator[Identifier]:
    """The ids of the publication itself."""
    native = {Source.PUBMED: "pmid", Source.JATS: "pmcid" if document.native_id.upper().startswith("PMC") else ""}.get(document.source)
    for scheme, value in (*document.metadata.identifiers, *([(native, document.native_id)] if native else [])):
        if scheme in {"doi", "pmid", "pmcid"} and (normal := normal_identifier(scheme, value)):
            yield scheme, normal


def _registered(document: Document) -> Iterator[Identifier]:
    """The registration numbers that a document names; a registry record's own first."""
    native = [("nct", document.native_id)] if document.source is Source.CTGOV else []
    for scheme, value in (*native, *document.metadata.identifiers):
        scheme_here = "nct" if scheme == "nct_alias" else scheme  # a number that the same record had before
        if scheme_here in REGISTRIES and value:
            yield scheme_here, normal_registration(scheme_here, value)


def normal_identifier(scheme: str, value: str) -> str:
    """One form of a publication id: DOIs in lower case without address and version, ``PMC123``, ``123``; "" where it is none."""
    plain = "".join(value.split())
    if scheme == "doi":
        doi, _ = work_and_version(bare(plain))
        return doi if doi.startswith("10.") else ""
    found = re.fullmatch(
        r"(?:pmc(?:id)?:?)?(?:pmc)?0*(\d+)(?:\.\d+)?" if scheme == "pmcid" else r"(?:pmid:?)?0*(\d+)(?:\.\d+)?", plain, re.IGNORECASE
    )
    return "" if found is None else f"PMC{found[1]}" if scheme == "pmcid" else found[1]


def _closure(named: Mapping[_T, Iterable[Hashable]]) -> list[tuple[_T, ...]]:
    """The groups of things that are connected over common names."""
    parent: dict[Hashable, Hashable] = {}

    def root(item: Hashable) -> Hashable:
        while parent.setdefault(item, item) != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for thing, names in named.items():
        for name in names:
            parent[root(("name", name))] = root(("thing", thing))
    groups: dict[Hashable, list[_T]] = defaultdict(list)
    for thing in named:
        groups[root(("thing", thing))].append(thing)
    return [tuple(group) for group in groups.values()]
