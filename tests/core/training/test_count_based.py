"""A model that is counted tells the same story as one that is learnt: one step, evaluated, sampled, checkpointed."""

import math

import pytest
import torch
from counting import PAIRS, Pairs, fit, restore

from charpipe.errors import PluginError, RunError
from charpipe.events import (
    Checkpointed,
    Evaluated,
    Finished,
    Notice,
    Sampled,
    StageProgress,
    TrainingStarted,
)
from charpipe.models import load_model
from charpipe.plugin import Architecture, ModelConfig
from charpipe.testing import broken_rules, check_architecture
from charpipe.training import best_checkpoint, last_checkpoint
from charpipe.training.count_based import train_count_based


@pytest.fixture
def train(tmp_path, letters, tokens):
    def run(architecture=PAIRS, **others):
        return train_count_based(
            architecture,
            architecture.config(),
            tokens,
            letters,
            **{"checkpoints": tmp_path, "vocabulary": {"letters": 1}, "plugin": {"name": "x"}, **others},
        )

    return run


def test_its_events(train, tokens):
    events = list(train(validation=tokens[:100]))
    kinds = [type(event) for event in events if not isinstance(event, StageProgress)]
    assert kinds == [TrainingStarted, Notice, Evaluated, Sampled, Checkpointed, Finished]
    started, evaluated, finished = events[0], events[-4], events[-1]
    assert (started.step, started.steps, started.parameters, started.model) == (0, 1, None, "pairs")
    assert 0 < evaluated.metrics["val/loss"] < math.log(30)
    assert (finished.step, finished.reason, finished.metrics) == (1, "steps", evaluated.metrics)
    assert finished.parameters > 0


def test_its_checkpoint_is_a_model(train, tmp_path, tokens):
    list(train(validation=tokens[:100]))
    assert best_checkpoint(tmp_path) == last_checkpoint(tmp_path) == tmp_path / "step-00000001"
    model = load_model(tmp_path / "step-00000001", {"pairs": PAIRS})
    assert (model.title, model.vocabulary, model.plugin) == ("pairs", {"letters": 1}, {"name": "x"})


def test_without_validation_there_is_no_best(train, tmp_path):
    metrics = [event.metrics for event in train() if isinstance(event, Evaluated)]
    assert list(metrics[0]) == ["perf/chars_per_second"]
    assert best_checkpoint(tmp_path) == tmp_path / "step-00000001"


def test_a_stop_keeps_nothing_and_says_so(train, tmp_path):
    stops = iter([False, False, True])
    *_, last = train(stop=lambda: next(stops))
    assert (last.step, last.reason) == (0, "interrupted")
    assert last_checkpoint(tmp_path) is None


def test_what_is_done_is_not_done_again(train, tmp_path, tokens):
    *_, first = train(validation=tokens[:100])
    (again,) = train(validation=tokens[:100], resume=tmp_path / "step-00000001")
    assert again.metrics == first.metrics


def test_a_damaged_checkpoint_is_not_gone_on_with(train, tmp_path):
    list(train())
    (tmp_path / "step-00000001" / "model.safetensors").write_bytes(b"\x80\x04.")
    with pytest.raises(RunError, match="damaged"):
        list(train(resume=tmp_path / "step-00000001"))


@pytest.mark.parametrize(
    ("fit", "restore", "message"),
    [
        (None, None, "needs both fit and restore"),
        (fit, None, "needs both fit and restore"),
        (lambda config, size, tokens: 1, restore, "must be a generator"),
        (lambda config, size, tokens: (1 / 0 for _ in [1]), restore, "division by zero"),
        (lambda config, size, tokens: (event for event in []), restore, "NoneType, which has no"),
    ],
)
def test_faults_of_a_plugin_name_it(train, fit, restore, message):
    with pytest.raises(PluginError, match=f"'broken'.*{message}|{message}"):
        list(train(Architecture("broken", "", ModelConfig, fit=fit, restore=restore)))


def test_pairs_keep_the_contract():
    check_architecture(PAIRS)


def test_broken_contracts_are_named():
    def exaggerates(config, size, tokens):
        found = yield from fit(config, size, tokens)
        honest = found.score
        found.score = lambda ids, state: (honest(ids, state)[0] + 1, honest(ids, state)[1])
        return found

    def trusts(config, size, tensors):
        needed = size * (size + 1)
        values = torch.cat([*(one.flatten() for one in tensors.values()), torch.zeros(needed)])
        return Pairs(values[:needed].view(size + 1, size))

    def rules(**hooks):
        architecture = Architecture("a", "", ModelConfig, **{"fit": fit, "restore": restore, **hooks})
        return {broken.rule for broken in broken_rules(architecture)}

    assert rules(fit=exaggerates) == {"score_equals_steps", "saved_and_loaded"}
    assert rules(restore=trusts) == {"altered_refused"}
    assert rules(restore=None) == {"fit"}
