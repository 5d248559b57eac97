"""Each character with its log probability: the text is that of `generate`, the scores are those of `score`."""

from __future__ import annotations

import pytest
import torch

from charpipe.generation import SampleConfig, generate_scored, sample, sample_many
from charpipe.generation.scored import next_character, read_scored
from charpipe.models import build_model
from charpipe_byte.bytewise import ByteEncoding
from charpipe_gru import charpipe_architectures
from letters import Letters

(GRU,) = charpipe_architectures()
LABELS = "\nabcdef"


def model(size=7):
    return build_model(GRU, GRU.config(hidden_size=9), {}, size).predictor()


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"prompt": "abc", "top_k": 3},
        {"stop": "ab", "temperature": 2},
        {"stop": ["ab", "c"], "temperature": 2},
        {"decoders": {"regex": {"pattern": "[a-c]+f"}}},
    ],
    ids=str,
)
def test_text_is_that_of_sample(chosen):
    predictor, settings = model(), SampleConfig(length=80, **chosen)
    pieces = list(generate_scored(predictor, Letters(LABELS), settings))
    assert settings.prompt + "".join(piece.text for piece in pieces) == sample(
        predictor, Letters(LABELS), settings
    )


def test_number_selects_the_text_of_a_batch():
    predictor, settings = model(), SampleConfig(length=30)
    texts = sample_many(predictor, Letters(LABELS), 3, settings)
    for number, text in enumerate(texts):
        pieces = generate_scored(predictor, Letters(LABELS), settings, number=number)
        assert "".join(piece.text for piece in pieces) == text


def test_log_probabilities_are_those_of_score():
    """Of the model itself, whatever the temperature and the decoders of the draw."""
    predictor = model()
    pieces = list(generate_scored(predictor, Letters(LABELS), SampleConfig(prompt="ab", length=20, top_k=2)))
    text = "ab" + "".join(piece.text for piece in pieces)
    ids = torch.from_numpy(Letters(LABELS).encode(text).astype("int64"))[:, None]
    nats, _ = predictor.score(ids, predictor.initial_state(1))
    found = [piece.log_probability for piece in pieces]
    assert found == pytest.approx([-float(each) for each in nats[1:, 0]], abs=1e-4)
    read = [piece.log_probability for piece in read_scored(predictor, Letters(LABELS), text)]
    assert read[0] is None
    assert read[2:] == pytest.approx(found, abs=1e-4)


def test_bytes_of_a_character_are_one_piece():
    predictor = model(256)
    pieces = list(read_scored(predictor, ByteEncoding(), "aé€"))
    assert [piece.text for piece in pieces] == ["a", "é", "€"]
    ids = torch.tensor([list("aé€".encode())]).T
    nats, _ = predictor.score(ids, predictor.initial_state(1))
    values = -nats[:, 0].double()
    wanted = [float(values[:2].sum()), float(values[2:5].sum())]
    assert pieces[0].log_probability is None
    assert [piece.log_probability for piece in pieces[1:]] == pytest.approx(wanted, abs=1e-4)


def test_a_drawn_first_character_has_no_score():
    pieces = list(generate_scored(model(6), Letters("abcdef"), SampleConfig(length=3)))
    assert [piece.log_probability is None for piece in pieces] == [True, False, False]


def test_next_character_is_the_first_prediction():
    predictor = model()
    (piece,) = generate_scored(predictor, Letters(LABELS), SampleConfig(prompt="ab", length=1))
    assert next_character(predictor, Letters(LABELS), "ab") == pytest.approx(
        piece.log_probabilities, abs=1e-5
    )
