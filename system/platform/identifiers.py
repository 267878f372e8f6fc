"""Native identifiers as people write them in a query: the index and the ranking must read them alike."""

from __future__ import annotations

import re

_NAMED = re.compile(
    r"\b(?P<nct>NCT\d{8})\b"
    r"|\b(?P<pmcid>PMC\d{3,9})\b"
    r"|\bPMID\s*:?\s*(?P<pmid>\d{1,9})\b"
    r"|\b(?P<setid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b",
    re.IGNORECASE,
)


def canonical(native_id: str) -> str:
    """The form in which native ids are compared: case does not tell them apart."""
    return native_id.strip().upper()


def named_identifiers(text: str) -> tuple[str, ...]:
    """The native ids named in ``text`` (NCT…, PMC…, ``PMID: …``, set ids), canonical, in order, without repetitions."""
    found = (match.group(match.lastgroup or 0) for match in _NAMED.finditer(text))
    return tuple(dict.fromkeys(canonical(one) for one in found))
