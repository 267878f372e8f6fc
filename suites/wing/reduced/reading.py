"""The probe ``reduced_reading``: everything the platform holds, as its API answers it, also page by page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import msgspec

from harness.core import jsonio
from harness.run.context import store_evidence
from harness.run.protocols import StepContext
from suites.wing.api import quoted
from suites.wing.identities import KINDS, identities
from suites.wing.reduced.look import Look, keep

PAGE = 3  # documents a page when paging itself is looked at


class ReducedReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes none."""


class ReducedReadingProbe:
    """Evidence ``<step>`` and, from the same answers, ``identities`` as the probe ``system_identities`` makes them."""

    name: ClassVar[str] = "reduced_reading"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedReading
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def capture(self, context: StepContext, parameters: ReducedReading) -> None:
        del parameters
        with Look(context, "reader") as look:
            found = read_all(look)
        keep(context, self.name, context.step, found)
        store_evidence(context, self.name, "identities", jsonio.canonical(identities(Recorded(found))))  # type: ignore[arg-type]


def read_all(look: Look) -> dict[str, Any]:
    rows = look.pages("/v1/documents", "documents", 500)
    documents = {row["doc_id"]: read_document(look, row) for row in rows}
    return {
        "rows": rows,
        "paged": [row["doc_id"] for row in look.pages("/v1/documents", "documents", PAGE)],
        "paged_by": {
            "source=ctgov": [row["doc_id"] for row in look.pages("/v1/documents", "documents", PAGE, source="ctgov")],
            "state=completed": [row["doc_id"] for row in look.pages("/v1/documents", "documents", PAGE, state="completed")],
        },
        "documents": documents,
        "extractions": {kind: look.pages("/v1/extractions", "extractions", 100, kind=kind) for kind in KINDS},
        "extractions_paged": [item["doc_id"] for item in look.pages("/v1/extractions", "extractions", PAGE, kind="pico")],
        "graph": look.graph(),
        "counts": look.get("/v1/counts") or {"records": {}, "graph": {}},
        "refused": look.refused,
    }


def read_document(look: Look, row: Mapping[str, Any]) -> dict[str, Any]:
    """Ledger detail, text with what the IR knows of tables and codes, chunks, and one chunk asked for by its id."""
    path = f"/v1/documents/{quoted(row['doc_id'])}"
    intermediate = look.get(f"{path}/ir") if row["state"] == "completed" else None
    chunks = (look.get(f"{path}/chunks") or {"chunks": []})["chunks"]
    single = look.get(f"/v1/chunks/{quoted(chunks[-1]['chunk_id'])}") if chunks else None
    found = {"detail": look.get(path), "chunks": chunks, "single": single, "text": "", "cells": 0, "codes": []}
    if intermediate is not None:
        found["text"] = intermediate["text"]
        found["title"] = intermediate["metadata"]["title"]
        found["year"] = intermediate["metadata"]["year"]
        found["conditions"] = intermediate["metadata"]["conditions"]
        found["grid"] = [
            [table["table_id"], cell["row"], cell["column"], intermediate["text"][cell["start"] : cell["end"]]]
            for table in intermediate["tables"]
            for cell in table["cells"]
        ]
        found["cells"] = sum(len(table["cells"]) for table in intermediate["tables"])
        found["codes"] = sorted({block["loinc"] for block in intermediate["blocks"] if block.get("loinc")})
    return found


class Recorded:
    """A reading with the methods of ``Api`` that ``identities`` asks."""

    def __init__(self, reading: Mapping[str, Any]) -> None:
        self._reading = reading

    def documents(self) -> list[Mapping[str, Any]]:
        return list(self._reading["rows"])

    def chunks(self, doc_id: str) -> list[Mapping[str, Any]]:
        return list(self._reading["documents"][doc_id]["chunks"])

    def extractions(self, kind: str) -> Iterator[Mapping[str, Any]]:
        yield from self._reading["extractions"][kind]

    def graph(self) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        return self._reading["graph"]["nodes"], self._reading["graph"]["edges"]

    def get(self, _path: str) -> Mapping[str, Any]:
        counts: Mapping[str, Any] = self._reading["counts"]
        return counts
