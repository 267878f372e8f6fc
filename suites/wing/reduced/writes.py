"""The driver ``reduced_writes``: valid graph writes, repeated ones, each kind of refusal, and a dead letter's replay."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from harness.run.protocols import MetricSpec, StepContext
from suites.wing.reduced import batches
from suites.wing.reduced.look import Look, keep

VALID = 6
OWN = "write:"


class ReducedWrites(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Takes none."""


class ReducedWritesDriver:
    """Evidence ``writes``: what was sent and answered, then the dead letters and the graph that is left."""

    name: ClassVar[str] = "reduced_writes"
    parameters: ClassVar[type[msgspec.Struct]] = ReducedWrites
    metrics: ClassVar[tuple[MetricSpec, ...]] = ()
    requires: ClassVar[frozenset[str]] = frozenset({"target"})

    def run(self, context: StepContext, parameters: ReducedWrites) -> None:
        del parameters
        with Look(context, "writer") as look, Look(context, "reader") as reader:
            by_reader = _write(reader, batches.valid(f"{context.trial}-by-reader"))
            valid = [_write(look, batches.valid(f"{context.trial}-ok-{number}")) for number in range(VALID)]
            again = look.ask("POST", "/v1/kg/write", json=valid[0]["batch"])
            first = batches.study_of(valid[0]["batch"]["write_id"])
            known = _write(look, batches.valid(f"{context.trial}-known", study=first, bring_study=False))
            refused = [{"broken": name, **_write(look, batches.broken(name, f"{context.trial}-bad-{name}"))} for name in batches.BROKEN]
            replay = _replay(look, context.trial)
            for item in (*valid, known):
                item["state"] = look.ask("GET", f"/v1/kg/writes/{item['batch']['write_id']}")
            letters = look.pages("/v1/kg/dead-letters", "dead_letters", 100)
            found = {
                "valid": valid,
                "again": again,
                "known": known,
                "refused": refused,
                "replay": replay,
                "letters": letters,
                "by_reader": by_reader,
            }
            keep(context, self.name, "writes", {**found, "graph": _own(look.graph()), "unanswered": look.refused})


def _write(look: Look, batch: batches.Batch) -> dict[str, Any]:
    return {"batch": batch, "answer": look.ask("POST", "/v1/kg/write", json=batch)}


def _replay(look: Look, trial: str) -> dict[str, Any]:
    """A write whose study is not there yet is refused; once the study is written, its dead letter is replayed."""
    study_batch = batches.valid(f"{trial}-late-study")
    late = batches.valid(f"{trial}-replayed", study=batches.study_of(study_batch["write_id"]), bring_study=False)
    refused = _write(look, late)
    cause = _write(look, study_batch)
    body = refused["answer"]["body"] or {}
    letter = str(body.get("dead_letter_id", "none"))
    return {"refused": refused, "cause": cause, "letter": letter, "answer": look.ask("POST", f"/v1/kg/dead-letters/{letter}/replay")}


def _own(graph: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """What writes support, without the documents' part of the graph."""
    return {kind: [item for item in items if any(name.startswith(OWN) for name in item["supporters"])] for kind, items in graph.items()}
