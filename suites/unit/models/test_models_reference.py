"""The exported graphs against a BERT forward pass written in plain numpy, straight from the original tensors."""

from __future__ import annotations

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.special import erf

from system.models.catalog import SPECS, Kind
from system.models.encoder import Encoder, dense_vector, sparse_vector

TEXTS = [
    "a",
    "Aspirin reduces the risk of stroke.",
    "Tamoxifène 20 mg/d — Übelkeit in 12.5 % (n=48) of β-blocker users; p < 0.001",
    "Vitamin D supplementation did not lower the incidence of falls in adults aged 70 years or older. " * 3,
    "Metformin was compared with placebo in 3,234 participants without diabetes. " * 30,
]


class PlainBert:
    """Post-norm BERT for one text: no batch, no padding, no mask; float64 throughout."""

    def __init__(self, folder: Path) -> None:
        self.config = json.loads((folder / "config.json").read_text())
        self.tensors = {
            name.removeprefix("bert."): tensor.astype(np.float64) for name, tensor in load_file(folder / "model.safetensors").items()
        }

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        gain = self.tensors.get(f"{name}.weight", self.tensors.get(f"{name}.gamma"))
        shift = self.tensors.get(f"{name}.bias", self.tensors.get(f"{name}.beta"))
        centred = x - x.mean(axis=1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + self.config["layer_norm_eps"]) * gain + shift

    def dense(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def attend(self, x: np.ndarray, name: str) -> np.ndarray:
        query, key, value = (self.dense(x, f"{name}.{part}") for part in ("query", "key", "value"))
        size = self.config["hidden_size"] // self.config["num_attention_heads"]
        heads = []
        for start in range(0, self.config["hidden_size"], size):
            part = slice(start, start + size)
            scores = query[:, part] @ key[:, part].T / sqrt(size)
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ value[:, part])
        return np.concatenate(heads, axis=1)

    def hidden(self, ids: tuple[int, ...]) -> np.ndarray:
        x = self.tensors["embeddings.word_embeddings.weight"][list(ids)] + self.tensors["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.norm(x + self.tensors["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for index in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{index}"
            x = self.norm(
                x + self.dense(self.attend(x, f"{layer}.attention.self"), f"{layer}.attention.output.dense"),
                f"{layer}.attention.output.LayerNorm",
            )
            x = self.norm(
                x + self.dense(gelu(self.dense(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense"), f"{layer}.output.LayerNorm"
            )
        return x

    def sentence(self, ids: tuple[int, ...]) -> np.ndarray:
        mean = self.hidden(ids).mean(axis=0)
        return mean / np.linalg.norm(mean)

    def splade(self, ids: tuple[int, ...]) -> np.ndarray:
        x = self.norm(gelu(self.dense(self.hidden(ids), "cls.predictions.transform.dense")), "cls.predictions.transform.LayerNorm")
        logits = x @ self.tensors["embeddings.word_embeddings.weight"].T + self.tensors["cls.predictions.bias"]
        return np.log1p(np.maximum(logits, 0)).max(axis=0)


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + erf(x / sqrt(2)))


def as_row(kind: Kind, stored: bytes) -> np.ndarray:
    if kind == "dense":
        return dense_vector(stored)
    row = np.zeros(SPECS["sparse"].width)
    indices, values = sparse_vector(stored)
    row[indices] = values
    return row


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_vectors_equal_the_plain_reference(kind: Kind, encoders: dict[Kind, Encoder], models_dir: Path) -> None:
    """Every vector is within 1e-4 cosine of the reference, and within 1e-4 of it in every component."""
    encoder = encoders[kind]
    plain = PlainBert(encoder.spec.folder(models_dir))
    for text, stored in zip(TEXTS, encoder.encode(TEXTS), strict=True):
        ids = encoder.truncated(encoder.tokenise([text])[0])
        expected = plain.sentence(ids) if kind == "dense" else plain.splade(ids)
        actual = as_row(kind, stored)
        cosine = actual @ expected / np.linalg.norm(actual) / np.linalg.norm(expected)
        assert 1 - cosine < 1e-4
        assert np.abs(actual - expected).max() < 1e-4


def test_dense_vectors_have_unit_length(encoders: dict[Kind, Encoder]) -> None:
    """Dense vectors are L2-normalised, so a dot product is a cosine."""
    for stored in encoders["dense"].encode(TEXTS):
        assert np.linalg.norm(dense_vector(stored)) == pytest.approx(1, abs=1e-6)


def test_sparse_expansion_means_something(encoders: dict[Kind, Encoder], models_dir: Path) -> None:
    """A related text shares more sparse weight with a query than an unrelated one."""
    query, near, far = (
        as_row("sparse", s)
        for s in encoders["sparse"].encode(["heart attack treatment", "therapy of myocardial infarction", "a cheap hotel in Rome"])
    )
    assert query @ near > 2 * (query @ far)
