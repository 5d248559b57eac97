"""A model whose vocabulary grew says the same as before about the old characters, and expects the new ones rarely."""

import pytest
import torch

from charpipe.errors import RunError
from charpipe.models import Model, build_model, embedding_width
from charpipe.models.bundle import tensors
from charpipe.models.growth import RARE, fixed_width, grow, grow_memory
from charpipe.plugin import ArchitectureConfig
from charpipe.training import TrainConfig
from charpipe.training.optimizers import build_optimizer, load_optimizer_state, optimizer_state
from charpipe_gru import charpipe_architectures as gru
from charpipe_lstm import charpipe_architectures as lstm
from charpipe_rnn import charpipe_architectures as rnn

ARCHITECTURES = {item.name: item for hook in (rnn, lstm, gru) for item in hook()}
SHAPES = [{}, {"embedding_size": 5}, {"embedding_size": 12, "tie_weights": True}, {"layers": 2}]


def build(name: str, size: int, seed: int = 1, **settings: object) -> Model:
    architecture = ARCHITECTURES[name]
    config = architecture.config(**{"hidden_size": 12, **settings})
    return build_model(architecture, config, {}, size, seed=seed)


@pytest.mark.parametrize("settings", SHAPES, ids=str)
@pytest.mark.parametrize("name", ARCHITECTURES)
@torch.no_grad()
def test_old_characters_keep_what_was_learnt(name: str, settings: dict[str, object]) -> None:
    old, new = build(name, 9, **settings), build(name, 14, seed=2, **settings)
    for parameter in old.network.parameters():
        parameter.mul_(4)  # sure of itself, as a trained model is
    grow(new.network, tensors(old.network), 9, 14)
    ids = torch.randint(9, (30, 3))
    was, state = old.network.eval()(ids, old.network.initial_state(3))
    now, other = new.network.eval()(ids, new.network.initial_state(3))
    torch.testing.assert_close(now[..., :9], was)
    for key in state:
        torch.testing.assert_close(other[key], state[key])
    rare = now.softmax(-1)[..., 9:].sum(-1)
    assert 0 < rare.max() <= 5 / (9 * RARE) * 1.001
    unseen, _ = new.network(torch.randint(9, 14, (4, 3)), new.network.initial_state(3))
    assert unseen.isfinite().all()


@pytest.mark.parametrize("settings", SHAPES, ids=str)
def test_the_optimiser_remembers_the_old_rows_and_goes_on(settings: dict[str, object]) -> None:
    old, new = build("lstm", 9, **settings), build("lstm", 14, seed=2, **settings)
    train = TrainConfig()
    optimizer = build_optimizer(old.network, train)
    for _ in range(3):
        logits, _ = old.network(torch.randint(9, (8, 2)), old.network.initial_state(2))
        logits.logsumexp(-1).sum().backward()
        optimizer.step()
    kept = optimizer_state(optimizer, old.network)
    grow(new.network, tensors(old.network), 9, 14)
    grown = grow_memory(kept, new.network)
    for name, before in kept.items():
        if before.ndim:
            part = tuple(slice(0, size) for size in before.shape)
            assert torch.equal(grown[name][part], before)
            assert grown[name].sum() == pytest.approx(float(before.sum()), abs=1e-5)
    another = build_optimizer(new.network, train)
    load_optimizer_state(another, new.network, grown)
    logits, _ = new.network(torch.randint(14, (8, 2)), new.network.initial_state(2))
    logits.logsumexp(-1).sum().backward()
    another.step()
    assert all(parameter.isfinite().all() for parameter in new.network.parameters())


@pytest.mark.parametrize(
    ("other", "message"),
    [({"hidden_size": 13}, "another size"), ({"layers": 2}, "built otherwise")],
)
def test_another_size_is_refused_and_named(other: dict[str, object], message: str) -> None:
    with pytest.raises(RunError, match=message):
        grow(build("gru", 14, **other).network, tensors(build("gru", 9).network), 9, 14)


def test_the_width_of_the_input_does_not_flip_where_the_vocabulary_grows() -> None:
    config = ArchitectureConfig()
    fixed = fixed_width(config, config, 127, 130)
    assert embedding_width(config, 130) == 128
    assert embedding_width(fixed, 130) is None
    assert fixed_width(config, fixed, 130, 131) == fixed
    assert fixed_width(config, config, 60, 70) == config
    assert fixed_width(config, config, 200, 210) == config
    wide = ArchitectureConfig(embedding_size=7)
    assert fixed_width(wide, config, 127, 130) == wide
    old, new = build("lstm", 127), build("lstm", 130, embedding_size=0)
    grow(new.network, tensors(old.network), 127, 130)
