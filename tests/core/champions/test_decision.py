"""The paired bootstrap, and what it is fed with."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from charpipe.champions.decision import Contestant, bootstrap, decide, min_passages
from charpipe.champions.held_out import HeldOut, Passage
from charpipe.config.settings.promotion import PromotionConfig
from charpipe.evaluation.passages import passage_nats
from letters import Letters

CONFIG = PromotionConfig(resamples=2000)


class Costs:
    """A predictor that asks `costs[token]` nats for a token, and a hundred for the first after a fresh state."""

    def __init__(self, costs: list[float]) -> None:
        self.costs, self.vocabulary_size = torch.tensor(costs), len(costs)

    def initial_state(self, batch_size: int) -> dict[str, torch.Tensor]:
        return {"fresh": torch.ones(1, batch_size, 1)}

    def step(self, ids: torch.Tensor, state: Any) -> Any:
        raise NotImplementedError

    def score(self, ids: torch.Tensor, state: Any) -> Any:
        nats = self.costs[ids[1:]].clone()
        nats[0] += 100 * state["fresh"][0, :, 0]
        return nats, {"fresh": torch.zeros_like(state["fresh"])}


def contestant(costs: list[float], characters: str = "ab") -> Contestant:
    return Contestant("x", Costs(costs), Letters(characters))


def held(count: int = 20, **more: Any) -> HeldOut:
    """Texts with more and more of b."""
    passages = tuple(Passage(f"{n}", "a", "a" * 20 + "b" * (n % 7)) for n in range(count))
    return HeldOut("documents", passages, **more)


def test_better_on_every_text_wins_and_worse_or_equal_does_not() -> None:
    good, bad = contestant([100.5, 1.0]), contestant([101.0, 1.0])
    won = decide(good, bad, held(), CONFIG)
    assert (won.promoted, won.probability) == (True, 1.0)
    assert won.difference is not None
    assert won.difference < 0
    assert won.interval is not None
    assert won.interval[0] <= won.difference <= won.interval[1]
    lost = decide(bad, good, held(), CONFIG)
    assert (lost.promoted, lost.probability) == (False, 0.0)
    same = decide(good, good, held(), CONFIG)
    assert (same.promoted, same.reason) == (False, "it is no better: the scores are equal")


def test_better_by_chance_is_not_better() -> None:
    """EarlyStages in the mean because of one text, behind in most."""
    passages = (*(Passage(f"{n}", "a", "a" * 20) for n in range(20)), Passage("odd", "a", "b" * 20))
    challenger, champion = contestant([1.01, 0.1]), contestant([1.0, 0.5])
    decided = decide(challenger, champion, HeldOut("documents", passages), CONFIG)
    assert not decided.promoted
    assert decided.difference is not None
    assert decided.difference < 0
    assert "but not significantly" in decided.reason


def test_a_score_that_is_no_number_never_wins() -> None:
    fine = contestant([1.0, 1.0])
    for broken in ([math.nan, 1.0], [math.inf, 1.0], [0.1, math.nan]):
        for rival in (fine, None):
            decided = decide(contestant(broken), rival, held(), CONFIG)
            assert (decided.promoted, decided.finite) == (False, False)
            assert decided.to_json()["validation"]["challenger"] is None
    assert decide(fine, contestant([math.inf, 1.0]), held(), CONFIG).promoted


def test_texts_that_one_cannot_spell_are_left_out_and_counted() -> None:
    challenger, champion = contestant([0.9, 1.0], "ab"), contestant([1.0], "a")
    decided = decide(challenger, champion, held(28), CONFIG)
    assert decided.validation is not None
    assert (decided.validation.passages, decided.validation.unspelled) == (4, 24)
    assert decided.reason.startswith(
        "too few texts to compare them: 4 held-out texts, without 24 one of the models cannot"
    )
    assert not decided.promoted
    assert decide(challenger, champion, held(35), CONFIG).promoted


def test_the_test_split_decides_nothing() -> None:
    only_b = tuple(Passage(f"{n}", "a", "b" * 20) for n in range(20))
    challenger, champion = contestant([0.5, 9.0]), contestant([1.0, 0.1])
    texts = tuple(Passage(f"{n}", "a", "a" * 20) for n in range(20))
    decided = decide(
        challenger, champion, HeldOut("documents", texts, only_b, only_b, "the test split"), CONFIG
    )
    assert decided.promoted
    assert decided.test is not None
    assert decided.test.challenger is not None
    assert decided.test.champion is not None
    assert decided.test.challenger > decided.test.champion


@given(st.floats(0.5, 0.999))
def test_so_few_texts_cannot_say_so_much(confidence: float) -> None:
    least = min_passages(confidence)
    assert least == 2 or 2.0 ** -(least - 1) > 1 - confidence >= 2.0**-least - 1e-12


def test_two_equal_models_are_seldom_told_apart() -> None:
    """Of many pairs that differ by chance alone about a twentieth is promoted, and not many more."""
    generator, count = np.random.default_rng(1), 0
    characters = np.full(60, 100)
    for _ in range(300):
        probability, _ = bootstrap(generator.normal(size=60), characters, PromotionConfig(resamples=400))
        count += probability >= 0.95
    assert 3 <= count <= 35


def test_a_passage_costs_the_same_whatever_lies_beside_it() -> None:
    predictor = Costs([1.0, 2.0])
    tokens = [(np.array([0, 1, 0, 1]), 2), (np.array([1, 0]), 1), (np.zeros(700, np.uint8), 300)]
    together = passage_nats(predictor, tokens)
    assert together.tolist() == [3.0, 101.0, 400.0]
    assert [passage_nats(predictor, [one])[0] for one in tokens] == together.tolist()
    assert passage_nats(predictor, []).tolist() == []


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in ({"confidence": 1.0}, {"confidence": 0.2}, {"characters": 0}, {"resamples": 1}):
        with pytest.raises(ValueError, match="Input should be"):
            PromotionConfig(**wrong)  # type: ignore[arg-type]
