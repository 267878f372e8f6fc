"""The trap documents: payloads beside the sample corpus, and what a careful reader finds in them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from suites.wing.corpus import Corpus, sample_corpus

FOLDER = Path(__file__).resolve().parent.parent.parent / "fixtures" / "detection"
BROKEN = "one-broken.xml"  # its second record cannot be told apart from any other: it must fail, alone, and its job must say so


def corpus() -> Corpus:
    """The documents, as a corpus of their own."""
    return sample_corpus(FOLDER)


@functools.cache
def expected() -> Any:
    """Written by hand: texts, cells, records, records that must not be there, and a dossier."""
    return json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
