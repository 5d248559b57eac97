"""A model on disk comes back the same; what only pretends to be one is refused before it is loaded."""

import json
import pickle
import struct
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from charpipe.errors import PluginError, RunError, UsageError
from charpipe.models import build_model, load_model, save_model
from charpipe_lstm import charpipe_architectures
from pickle_bomb import Bomb

(LSTM,) = charpipe_architectures()
KNOWN = {"lstm": LSTM}


@pytest.fixture
def model():
    config = LSTM.config(hidden_size=6, embedding_size=6, tie_weights=True)
    return build_model(LSTM, config, {"characters": ["a", "é", "🙂"]}, 3, plugin={"name": "charpipe_lstm"})


@pytest.fixture
def bundle(model, tmp_path):
    save_model(model, tmp_path)
    return tmp_path


def test_saved_and_loaded(model, bundle):
    loaded = load_model(bundle, KNOWN)
    assert (loaded.architecture, loaded.config, loaded.vocabulary) == ("lstm", model.config, model.vocabulary)
    assert loaded.plugin == {"name": "charpipe_lstm"}
    assert loaded.network.embedding.weight is loaded.network.head.weight
    for one, other in zip(model.network.parameters(), loaded.network.parameters(), strict=True):
        assert torch.equal(one, other)
    assert {path.name for path in bundle.iterdir()} == {"model.safetensors", "config.json", "vocabulary.json"}


def test_weights_depend_on_the_seed_alone(model):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    same = build_model(LSTM, model.config, {}, 3)
    other = build_model(LSTM, model.config, {}, 3, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(same.network.head.weight, model.network.head.weight)
    assert not torch.equal(other.network.head.weight, model.network.head.weight)


def test_weights_that_cannot_be_tied_are_refused():
    with pytest.raises(UsageError, match="embedding_size"):
        build_model(LSTM, LSTM.config(hidden_size=6, tie_weights=True), {}, 3)


def test_an_unknown_architecture_is_named(bundle):
    with pytest.raises(PluginError, match="'lstm'"):
        load_model(bundle, {})


@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty"])
def test_what_is_no_safetensors_file(bundle, kind, capsys):
    path = bundle / "model.safetensors"
    if kind == "torch":
        torch.save(torch.zeros(3), path)
    else:
        path.write_bytes({"pickle": pickle.dumps(Bomb()), "text": b"not a model at all", "empty": b""}[kind])
    with pytest.raises(RunError, match="not a safetensors file"):
        load_model(bundle, KNOWN)
    assert "executed" not in capsys.readouterr().out


def rewrite_header(path, change):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@pytest.mark.parametrize(
    "change",
    [
        lambda header: header["head.bias"].update(shape=[1 << 50]),
        lambda header: header["head.bias"].update(dtype="I64"),
        lambda header: header["head.bias"].update(data_offsets=[0, 12]),
        lambda header: header["head.bias"].update(data_offsets=[1 << 60, (1 << 60) + 12]),
        lambda header: header.update({"head.bias": 3}),
    ],
)
def test_a_lying_header(bundle, change):
    rewrite_header(bundle / "model.safetensors", change)
    with pytest.raises(RunError):
        load_model(bundle, KNOWN)


def test_a_header_of_huge_length(bundle):
    path = bundle / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 1 << 62) + path.read_bytes()[8:])
    with pytest.raises(RunError, match="not a safetensors file"):
        load_model(bundle, KNOWN)


def test_missing_and_extra_tensors_are_named(bundle):
    path = bundle / "model.safetensors"
    tensors = load_file(path)
    tensors["surplus"] = tensors.pop("head.bias")
    save_file(tensors, path)
    with pytest.raises(RunError, match=r"lacks 'head.bias' and has an unknown 'surplus'"):
        load_model(bundle, KNOWN)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "charpipe.model/99"),
        ("architecture", 3),
        ("vocabulary_size", 1 << 40),
        ("vocabulary_size", -1),
        ("config", {"hidden_size": "big"}),
        ("config", {"hidden_size": 65536}),
        ("config", {"surprise": 1}),
    ],
)
def test_a_lying_config_takes_no_memory(bundle, key, value):
    path = bundle / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(RunError):
        load_model(bundle, KNOWN)


def test_loading_a_model_does_not_import_sympy(tmp_path):
    """PyTorch imports it, in seconds, to draw normal numbers for a network without numbers."""
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from charpipe.models import build_model, load_model, save_model\n"
        "from charpipe.plugins.registry import Registry\n"
        "gru = Registry().architecture('gru')\n"
        "model = build_model(gru, gru.config(hidden_size=4), {}, 7, seed=1)\n"
        "save_model(model, Path(sys.argv[1]))\n"
        "load_model(Path(sys.argv[1]), {'gru': gru})\n"
        "assert 'sympy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
