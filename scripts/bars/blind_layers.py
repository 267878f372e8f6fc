"""Where each defect of ``system.seeded_blind`` should be found; its author saw no check and named no layer.

Written before the first of them was tried. ``outage``: in the layer that takes servers away, for that is where it shows.
"""

from __future__ import annotations

from collections.abc import Mapping

_E2E = (
    "rowspan-off-by-one superscript-glued ae-serious-overwritten ae-events-as-affected ae-first-arm-denominator arms-alphabetical "
    "ci-by-magnitude p-operator-dropped unicode-minus-lost dose-microgram-as-milligram dose-upper-only age-maximum-invented "
    "bibliography-by-title pooled-on-raw-scale conflict-without-intervals"
)
_RETRIEVAL = "dense-ignores-filters minmax-by-maximum top-k-before-fusion query-vector-short-key"
_CHAOS = "degraded-not-said ack-before-commit graph-away-says-written relay-marks-first commit-before-effect ready-always-ok"
BLIND_LAYERS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_E2E.split(), ("e2e",)),
    **dict.fromkeys(_RETRIEVAL.split(), ("retrieval",)),
    **dict.fromkeys(_CHAOS.split(), ("chaos",)),
    "search-byte-offsets": ("retrieval", "e2e"),
    "delete-leaves-postings": ("consistency",),
    "delete-leaves-chunk-nodes": ("consistency",),
    "key-shared-by-principals": ("contract", "consistency"),
    "list-filters-behind-limit": ("contract",),
    "job-hides-failures": ("contract", "consistency"),
    "history-leaps": ("consistency",),
    "dead-letter-not-kept": ("shacl",),
    "gate-forgives-edges": ("shacl",),
    "reader-may-write-graph": ("contract",),
}
