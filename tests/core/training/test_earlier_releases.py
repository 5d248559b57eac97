"""What earlier releases wrote still loads, samples and goes on; tests/fixtures/checkpoints/make.py made it."""

import json
import shutil
from pathlib import Path

import pytest

from charpipe.evaluation import score
from charpipe.events import Step
from charpipe.generation import SampleConfig, sample
from charpipe.models import load_model
from charpipe.plugin import resolve
from charpipe.plugins.registry import Registry
from charpipe.training import TrainConfig, last_checkpoint, train
from charpipe.training.checkpoints import damage

RELEASES = sorted(
    path for path in (Path(__file__).parents[2] / "fixtures" / "checkpoints").iterdir() if path.is_dir()
)


@pytest.fixture(params=RELEASES, ids=lambda path: path.name)
def release(request, tmp_path):
    """A copy of what a release left."""
    return shutil.copytree(request.param, tmp_path / request.param.name)


@pytest.fixture
def checkpoint(release):
    found = last_checkpoint(release)
    assert damage(found) is None
    return found


@pytest.fixture
def model(checkpoint):
    registry = Registry()
    architectures = {name: registry.architecture(name) for name in ("rnn", "lstm", "gru")}
    return load_model(checkpoint, architectures)


@pytest.fixture
def encoding(model):
    return resolve(Registry().all("tokenizer")["char"].load)(model.vocabulary)


def test_there_is_one_of_this_format():
    assert RELEASES


def test_it_samples(model, encoding):
    text = sample(model.predictor(), encoding, SampleConfig(length=30, prompt="a r"))
    assert len(text) == 33
    assert len(encoding.encode(text)) == 33


def test_it_goes_on_as_it_would_have_then(release, checkpoint, model, encoding):
    expected = json.loads((release / "expected.json").read_text())
    settings = TrainConfig(**json.loads((checkpoint / "state.json").read_text())["settings"])
    tokens = encoding.encode(expected["text"])
    events = train(model, tokens, settings, checkpoints=release, resume=checkpoint)
    losses = [float(event.loss) for event in events if isinstance(event, Step)]
    assert losses == pytest.approx(expected["after"], rel=1e-4)
    assert score(model.predictor(), tokens).nats == pytest.approx(expected["score_after"], rel=1e-4)
