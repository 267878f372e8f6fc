"""Text to index terms: lower case, words, no stop words, Snowball stems. The same for documents and queries."""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter

import Stemmer

MAX_TERM = 64  # code points; longer words are cut, so that no input can outgrow an index page

# The stop words of Lucene's EnglishAnalyzer.
STOP_WORDS = frozenset(
    (
        "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in",
        "into", "is", "it", "no", "not", "of", "on", "or", "such", "that", "the", "their",
        "then", "there", "these", "they", "this", "to", "was", "will", "with",
    )
)  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_local = threading.local()


def terms(text: str) -> list[str]:
    """The index terms of ``text`` in order, with repetitions."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    kept = [word.replace("’", "'")[:MAX_TERM] for word in words if word not in STOP_WORDS]
    stems: list[str] = _stemmer().stemWords(kept)
    return [stem for stem in stems if stem]


def frequencies(text: str) -> Counter[str]:
    """How often each index term occurs in ``text``."""
    return Counter(terms(text))


def _stemmer() -> Stemmer.Stemmer:
    """A stemmer of this thread: Snowball stemmers keep state and must not be shared."""
    stemmer = getattr(_local, "stemmer", None)
    if stemmer is None:
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    return stemmer
