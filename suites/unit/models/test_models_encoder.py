"""A text's vector depends on the text alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.models.catalog import Kind
from system.models.encoder import SHARED_TEXTS, SHARED_TOKENS, Encoder, batches, padded_length

WORDS = ["aspirin", "lowers", "the", "risk", "of", "stroke", "in", "adults", "with", "atrial", "fibrillation", "and", "renal", "impairment"]
TEXTS = [" ".join((WORDS * 12)[:count]) for count in (1, 2, 5, 9, 13, 14, 15, 20, 40, 61, 62, 63, 70, 100)]


@given(st.lists(st.integers(2, 90), max_size=80))
def test_batches_hold_every_text_once_and_one_padded_length(lengths: list[int]) -> None:
    """Grouping loses nothing, mixes no padded lengths, keeps long texts alone and respects the bound."""
    texts = [(0,) * length for length in lengths]
    grouped = list(batches(texts))
    assert sorted(position for batch in grouped for position in batch) == list(range(len(texts)))
    for batch in grouped:
        assert len({padded_length(lengths[position]) for position in batch}) == 1
        assert len(batch) <= (SHARED_TEXTS if lengths[batch[0]] <= SHARED_TOKENS else 1)


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_company_in_a_batch_changes_no_vector(kind: Kind, encoders: dict[Kind, Encoder]) -> None:
    """A text alone, among others and among many copies gives the same bytes."""
    encoder = encoders[kind]
    together = encoder.encode(TEXTS * 3)
    alone = [encoder.encode([text])[0] for text in TEXTS]
    assert together == alone * 3


def test_a_text_always_runs_at_the_same_length(encoders: dict[Kind, Encoder], monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is given the padded length of the text, whatever the lengths of its companions."""
    encoder = encoders["sparse"]
    shapes: list[tuple[int, int]] = []

    class Recorder:
        def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
            assert feed["attention_mask"].sum() == np.count_nonzero(feed["input_ids"])
            shapes.append(feed["input_ids"].shape)
            return [np.zeros((len(feed["input_ids"]), encoder.spec.width), dtype=np.float32)]

    monkeypatch.setattr(encoder, "_session", Recorder())
    encoder.encode(["risk " * count for count in (1, 2, 13, 14, 15, 40, 62, 63, 90)])
    assert shapes == [(4, 16), (1, 32), (1, 48), (1, 64), (1, 65), (1, 92)]


@pytest.mark.parametrize("kind", ["dense", "sparse"])
def test_the_number_of_threads_changes_no_vector(kind: Kind, encoders: dict[Kind, Encoder], models_dir) -> None:
    """Two threads give the same bytes as one."""
    assert Encoder(encoders[kind].spec, models_dir, threads=2).encode(TEXTS[3:]) == encoders[kind].encode(TEXTS[3:])


def test_truncation_keeps_the_end_mark(encoders: dict[Kind, Encoder]) -> None:
    """An over-long text becomes exactly the limit and still ends with [SEP]."""
    encoder = encoders["dense"]
    full = encoder.tokenise(["risk " * 400])[0]
    cut = encoder.truncated(full)
    assert (len(full), len(cut), cut[-1]) == (402, 256, full[-1])


def test_a_text_like_a_mark_is_not_a_new_end(encoders: dict[Kind, Encoder]) -> None:
    """Hostile text that spells a special token is encoded, not crashed on."""
    assert encoders["sparse"].encode(["[SEP] [MASK] \x00 \u202e <script>"])[0]
