"""A reading is what the model does, character by character, whatever the tokens are."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from charpipe.errors import UsageError
from charpipe.evaluation import score_text
from charpipe.inspection import read
from charpipe.models import build_model
from charpipe_byte.bytewise import ByteEncoding
from charpipe_char.characters import CharEncoding
from charpipe_gru import charpipe_architectures

(GRU,) = charpipe_architectures()


def predictor(size: int):
    return build_model(GRU, GRU.config(hidden_size=6), {}, size).predictor()


def test_units_expectations_and_surprise_are_the_models_own() -> None:
    encoding = CharEncoding("ehlo", False)
    model = predictor(4)
    found = read(model, encoding, "hello")
    ids = torch.from_numpy(encoding.encode("hello").astype("int64"))[:, None]
    model.network.eval()
    for place in range(5):
        with torch.no_grad():
            logits, state = model.network(ids[: place + 1], model.initial_state(1))
        chances = logits[-1, 0].softmax(-1).numpy()
        np.testing.assert_allclose(found.units[place], state["hidden"].flatten().numpy(), atol=1e-5)
        np.testing.assert_allclose(found.chances[place], np.sort(chances)[::-1], atol=1e-5)
        np.testing.assert_allclose(chances[found.likeliest[place]], found.chances[place], atol=1e-5)
        if place < 4:
            assert found.bits[place + 1] == pytest.approx(-math.log2(chances[ids[place + 1, 0]]), abs=1e-4)
    assert math.isnan(found.bits[0])
    assert found.bits_per_char == pytest.approx(found.bits[1:].mean())


def test_a_character_of_several_bytes_is_one_cell_with_all_their_surprise() -> None:
    encoding, text = ByteEncoding(), "aü字e\u0301🙂"
    model = predictor(256)
    found = read(model, encoding, text)
    assert [piece.text for piece in found.pieces] == list(text)
    assert [(piece.first, piece.last) for piece in found.pieces] == [
        (0, 0), (1, 2), (3, 5), (6, 6), (7, 8), (9, 12),
    ]  # fmt: skip
    scores = score_text(model, encoding, text)
    assert found.bits[1:].sum() == pytest.approx(scores.nats * scores.tokens / math.log(2), rel=1e-4)
    assert found.tokens.tolist() == [ord("a"), 0xC3, 0xE5, ord("e"), 0xCC, 0xF0]


def test_a_character_that_is_spelled_is_one_cell_too() -> None:
    encoding = CharEncoding("ab", True)
    assert [piece.text for piece in read(predictor(encoding.size), encoding, "aéb").pieces] == ["a", "é", "b"]


class Certain:
    """A model without units that always expects token 0 and holds the others for impossible."""

    vocabulary_size = 4

    def initial_state(self, batch_size):
        return {"context": torch.zeros(3, batch_size, dtype=torch.int64)}

    def step(self, ids, state):
        logits = torch.full((len(ids), 4), -math.inf)
        logits[:, 0] = 0
        return logits, state


def test_a_counted_model_has_no_units_and_may_be_surprised_without_end() -> None:
    found = read(Certain(), CharEncoding("ehlo", False), "eeh")
    assert found.groups == () and found.units.shape == (3, 0)
    assert found.bits.tolist()[1:] == [0.0, math.inf]
    assert found.likeliest[0, 0] == 0 and found.chances[0].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize(("text", "words"), [("h", "1 character;"), ("", "0 characters;"), ("hex", "'x'")])
def test_what_cannot_be_read_is_said(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(predictor(4), CharEncoding("ehlo", False), text)
