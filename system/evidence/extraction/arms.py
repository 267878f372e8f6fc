"""The two arms of a comparison as one sentence names them; a comparison whose sides are not both named leaves fields empty."""

from __future__ import annotations

import re

_NO_FIRST = (
    "the|a|an|those|patients|group|baseline|that|in|of|no|any|both|each|subjects|women|men|participants|people|than|receiving|"
    "treatment|therapy|use|example|increased|decreased|reduced|significantly|when|respondents"
)
_NO_LATER = (
    "was|were|is|had|versus|vs|compared|than|and|in|for|with|of|developing|patients|participants|subjects|groups?|arms?|reduced|increased"
)


def _arm(name: str, words: int = 4) -> str:
    return rf"(?P<{name}>(?!(?:{_NO_FIRST})\b)[A-Za-z][\w+/αβγ-]*(?:\s+(?!(?:{_NO_LATER})\b)[\w+/αβγ-]+){{0,{words}}}?)"


_ONE, _OTHER = _arm("intervention"), _arm("comparator")
_GROUP = r"(?:\s+(?:groups?|arms?|recipients?|patients|participants|therapy|treatment)\b)?"
_THOSE = (
    r"(?:the\s+|(?:those|patients|participants|women|men|children|that)\s+"
    r"(?:in|with|on|of|receiving|taking|given|treated\s+with|assigned\s+to)\s+(?:the\s+)?)?"
)
_TO = r"(?:versus|vs\.?|(?:as\s+)?compared\s+(?:with|to)|relative\s+to|rather\s+than)"
_END = (
    r"(?=\s*(?:[,;:()\[\].]|$|\b(?:was|were|is|had|groups?|arms?|patients|recipients|"
    r"in|for|with|at|after|during|by|on|and|significantly|reduced|increased)\b))"
)
_VERB = (
    r"(?:did\s+not\s+)?(?:significantly\s+|also\s+)?"
    r"(?:reduc|increas|improv|decreas|lower|prolong|prevent|shorten)(?:e|es|ed|s)?\b"
)
_CONTROL = r"(?P<comparator>placebo|control|standard[\s-]care|usual[\s-]care|sham)"
# In order of how surely they name both sides; within one pattern the match nearest to the effect counts.
_PAIRS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        (
            rf"\b(?:receiving|taking|treated\s+with|assigned\s+to|randomi[sz]ed\s+to)\s+(?:the\s+)?{_ONE}{_GROUP}\s+"
            rf"(?:[^;.()]{{0,100}}?\s)??(?:{_TO}|than)\s+(?:in\s+|with\s+)?{_THOSE}{_OTHER}{_END}"
        ),
        rf"\b(?:treatment|therapy|use|administration)\s+(?:with|of)\s+{_ONE}\s+(?:was|were)\s+[^;.()]{{0,100}}?\s(?:{_TO}|than)\s+{_THOSE}{_OTHER}{_END}",
        rf"\b(?:with|for|on|by|favou?red)\s+(?:the\s+)?{_ONE}{_GROUP},?\s+{_TO}\s+{_THOSE}{_OTHER}{_END}",
        rf"\bin\s+(?:the\s+)?{_ONE}\s+(?:groups?|arms?|recipients?|patients),?\s+{_TO}\s+{_THOSE}{_OTHER}{_END}",
        rf"\b(?:in|with|for|on)\s+(?:the\s+)?{_ONE}{_GROUP}\s+than\s+(?:in|with|for|on)\s+{_THOSE}{_OTHER}{_END}",
        rf"\bin\s+the\s+{_ONE}\s+(?:group|arm),?\s+[^;.()]{{0,100}}?\sthan\s+(?:in|that\s+of)\s+the\s+{_OTHER}\s+(?:group|arm)\b",
        rf"\bin\s+the\s+{_ONE}\s+(?:group|arm)\s+(?:and|versus|vs\.?)\s+[^;()]{{0,60}}?\bin\s+the\s+{_CONTROL}\s+(?:group|arm)\b",
        rf"\bdifferences?\b[^;.()]{{0,80}}?\bbetween\s+(?:the\s+)?(?!placebo|control|usual|standard|sham){_ONE}{_GROUP}\s+and\s+(?:the\s+)?{_OTHER}{_END}",
        rf"^\s*compared\s+(?:with|to)\s+{_THOSE}{_OTHER}{_GROUP},\s+{_ONE}{_GROUP}\s+{_VERB}",
        rf"^\s*{_ONE}{_GROUP}\s+{_VERB}[^.;()]{{0,80}}?,?\s{_TO}\s+{_THOSE}{_OTHER}{_END}",
        rf"^\s*{_ONE}\s+(?:versus|vs\.?)\s+{_OTHER}\s*:",
    )
)
_ONLY_COMPARATOR = re.compile(rf"\bcompared\s+(?:with|to)\s+{_THOSE}{_OTHER}{_END}", re.IGNORECASE)


def arms_in(sentence: str, start: int, clause: tuple[int, int]) -> tuple[str, str]:
    """(intervention, comparator) named in the clause of the effect at ``start``; "" for a side that is not named."""
    text = sentence[clause[0] : clause[1]]
    for pattern in _PAIRS:
        found = list(pattern.finditer(text))
        if found:
            nearest = min(found, key=lambda match: abs(match.start() + clause[0] - start))
            return nearest["intervention"].strip(), nearest["comparator"].strip()
    only = _ONLY_COMPARATOR.search(text)
    return ("", only["comparator"].strip()) if only else ("", "")
