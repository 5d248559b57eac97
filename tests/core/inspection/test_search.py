"""The search finds a unit that was planted, and is not fooled by units that know nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from charpipe.inspection import Finding, Search, detectors, search
from charpipe.inspection.segments import RUN_UP, cut, record
from charpipe.inspection.text_kinds import KEYS
from charpipe.inspection.units import Unit, groups
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures
from letters import Letters

(LSTM,) = charpipe_architectures()
ALPHABET = 'abcdefgh "\n'
PLANTED = 7


class Quoting:
    """A model with noise for units, one of which, if `planted`, is low from one double quote to the next."""

    vocabulary_size = len(ALPHABET)

    def __init__(self, seed: int, planted: bool) -> None:
        self.noise, self.planted = torch.Generator().manual_seed(seed), planted

    def initial_state(self, batch_size):
        return {
            "count": torch.zeros(1, batch_size, dtype=torch.int64),
            "trace": torch.ones(2, batch_size, 16),
        }

    def step(self, ids, state):
        open_now = (state["count"] ^ (ids == ALPHABET.index('"')).long()) * (ids != ALPHABET.index("\n"))
        trace = torch.randn(2, len(ids), 16, generator=self.noise)
        if self.planted:
            trace[1, :, PLANTED] = -4.0 * open_now[0] + 0.1 * trace[1, :, PLANTED]
        return torch.zeros(len(ids), self.vocabulary_size), {"count": open_now, "trace": trace}


def text(seed: int, words: int = 1500) -> np.ndarray:
    """Words, some of them between quotes; every line begins outside."""
    generator, parts = np.random.default_rng(seed), []
    for number in range(words):
        word = "".join(generator.choice(list("abcdefgh"), generator.integers(2, 7)))
        parts.append(f'"{word} {word}"' if generator.random() < 0.3 else word)
        parts.append("\n\n" if number % 9 == 8 else " ")
    return Letters(ALPHABET).encode("".join(parts))


def run(planted: bool) -> Search:
    blanks = [Quoting(100 + n, False) for n in range(2)]
    return search(Quoting(1, planted), blanks, Letters(ALPHABET), text(1), text(2), 16_384)


def of(found: Search, key: str) -> Finding:
    return next(finding for finding in found.findings if finding.signal.key == key)


def test_a_planted_unit_is_found_and_the_controls_are_low() -> None:
    found = run(planted=True)
    finding = of(found, "double_quotes")
    assert found.findings[0] is finding
    assert finding.verdict == "found"
    assert finding.best is not None
    assert finding.best.unit == Unit("trace", 1, PLANTED)
    assert finding.best.sign == -1
    assert finding.best.held_out > 0.8
    assert finding.hits is not None and finding.hits > 0.9
    assert finding.false_alarms is not None and finding.false_alarms < 0.2
    assert finding.untrained is not None and abs(finding.untrained) < 0.2
    assert finding.shuffled is not None and abs(finding.shuffled) < 0.3
    assert all(one.held_out < 0.3 for one in finding.runners_up)
    assert finding.sparse is not None and 1 <= len(finding.sparse.units) <= 5
    assert finding.sparse.units[0][0] == Unit("trace", 1, PLANTED) and finding.sparse.units[0][1] < 0
    assert finding.sparse.held_out > 0.8
    assert finding.sparse.untrained is None or abs(finding.sparse.untrained) < 0.2
    assert detectors(found) == {Unit("trace", 1, PLANTED): finding.signal}


def test_noise_is_not_found_to_know_anything() -> None:
    found = run(planted=False)
    assert {finding.verdict for finding in found.findings} == {"not above the controls", "too rare"}
    assert of(found, "block_comment").verdict == "too rare"
    assert of(found, "block_comment").spans == (0, 0)
    assert of(found, "word_start").best is not None


def test_signals_of_other_kinds_of_text_are_not_tried() -> None:
    found = run(planted=False)
    assert found.kind == "prose"
    assert of(found, "position").best is not None and of(found, "in_word").best is not None
    assert {one.signal.key for one in found.findings if one.best} <= set(KEYS["prose"])
    assert "block_comment" not in {one.signal.key for one in found.rare}
    assert "capital_word" in {one.signal.key for one in found.rare}
    assert {one.verdict for one in found.findings if one.best is None} <= {
        "too rare",
        "not of this kind of text",
    }


def test_without_an_untrained_network_nothing_counts_as_found() -> None:
    found = search(Quoting(1, True), [], Letters(ALPHABET), text(1), text(2), 16_384)
    assert all(finding.verdict != "found" for finding in found.findings)
    assert of(found, "double_quotes").untrained is None


def test_a_recording_is_what_the_network_passes_through() -> None:
    predictor = build_model(LSTM, LSTM.config(hidden_size=5, layers=2), {}, len(ALPHABET)).predictor()
    predictor.network.eval()
    segments = cut(Letters(ALPHABET), text(3), 4096)
    recorded = record(predictor, segments)
    assert [(g.tensor, g.layer, g.size, g.first) for g in groups(predictor)] == [
        ("hidden", 0, 5, 0), ("hidden", 1, 5, 5), ("cell", 0, 5, 10), ("cell", 1, 5, 15),
    ]  # fmt: skip
    places, segment = segments.counted
    assert places.min() == RUN_UP
    row = len(places) - 1
    ids = torch.from_numpy(segments.tokens[: places[row] + 1, segment[row] : segment[row] + 1].copy())
    with torch.no_grad():
        _, state = predictor.network(ids, predictor.initial_state(1))
    expected = torch.cat([state["hidden"].flatten(), state["cell"].flatten()]).numpy()
    np.testing.assert_allclose(recorded[row], expected, atol=2e-3)


@pytest.mark.parametrize(
    ("tokens", "most", "segments"), [(600, 10_000, 1), (9000, 10_000, 4), (9000, 4100, 2)]
)
def test_texts_are_cut_from_beginning_to_end(tokens: int, most: int, segments: int) -> None:
    source = text(4, 3000)[:tokens]
    made = cut(Letters(ALPHABET), source, most)
    assert made.tokens.shape[1] == segments
    assert (made.tokens[0, 0], made.tokens[-1, -1]) == (source[0], source[-1])
