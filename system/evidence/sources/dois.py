"""DOIs and the versions behind them: one grammar for what orders versions and for what joins the documents of one study.

Preprint servers and publishers of versioned articles put the version behind the DOI of the work; elsewhere a ``.v12`` may be a volume
and a last number an article of its own, so only what is known to be a version is taken for one.
"""

from __future__ import annotations

import re
from typing import Final

_VERSIONED: Final = re.compile(
    r"(?P<slash>10\.\d{4,9}/.+?)/v(?P<v1>\d{1,3})"
    r"|(?P<server>10\.(?:1101|20944|26434|31219|31234|48550|6084)/.+?)[._-]?v(?P<v2>\d{1,3})"
    r"|(?P<open>10\.(?:12688|3310|21956)/[a-z0-9]+\.\d+|10\.7554/elife\.\d+)\.(?P<v3>\d{1,3})",
    re.IGNORECASE,
)
_ADDRESS: Final = re.compile(r"^(?:(?:https?:)?//)?(?:(?:dx|www)\.)?doi\.org/|^(?:info:)?doi[:/]\s*", re.IGNORECASE)


def work_and_version(doi: str) -> tuple[str, str]:
    """The DOI of the work in lower case, and the version behind it ("" where there is none)."""
    found = _VERSIONED.fullmatch(doi)
    if found is None:
        return doi.lower(), ""
    return (found["slash"] or found["server"] or found["open"]).lower(), found["v1"] or found["v2"] or found["v3"]


def bare(text: str) -> str:
    """A DOI in lower case without its address or prefix, blanks and final punctuation."""
    return _ADDRESS.sub("", "".join(text.split())).rstrip(".,;)").lower()
