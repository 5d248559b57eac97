"""A model of a cell writes without torch, and writes what its PyTorch layers write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import charpipe.models.array_model as array_model
from charpipe.errors import RunError
from charpipe.generation import Position, SampleConfig, generate
from charpipe.generation.opening import MAX_PROMPT, open_writer
from charpipe.kernels.jit.numba_functions import can_compile
from charpipe.models import Predictor, build_model, save_model
from charpipe.models.array_model import ArrayModel, read_array_model
from charpipe.models.loaded import Bundle, load_bundle, open_bundle
from charpipe.plugin import Architecture, resolve
from charpipe.plugins.registry import Registry
from charpipe.text.vocabulary import SCHEMA
from charpipe_lstm.cell import Lstm
from letters import Letters

REGISTRY = Registry()
ARCHITECTURES = REGISTRY.all("architecture")
NEURAL = sorted(name for name, one in ARCHITECTURES.items() if not one.counted)
CHARACTERS = "\n abcdefghijklmnop"


def saved(folder: Path, architecture: str, ends: str | None = None, **config) -> Bundle:
    """A model with random weights in a folder, as a checkpoint has it; `ends` is the character that ends documents."""
    tokenizer = REGISTRY.tokenizer("char")
    learnt = resolve(tokenizer.learn)(dict.fromkeys(CHARACTERS, 5), tokenizer.config())
    vocabulary = {"schema": SCHEMA, "tokenizer": "char", **learnt}
    if ends is not None:
        vocabulary["end_token"] = int(resolve(tokenizer.load)(vocabulary).encode(ends)[0])
    size = resolve(tokenizer.load)(vocabulary).size
    chosen = ARCHITECTURES[architecture]
    settings = chosen.config.model_validate({"hidden_size": 12, **config})
    model = build_model(chosen, settings, vocabulary, size)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for values in model.network.parameters():
            values.normal_(0, 0.4, generator=generator)
    save_model(model, folder)
    return open_bundle("a run", folder, REGISTRY)


def written(predictor: Predictor | ArrayModel, encoding, **settings) -> str:
    return "".join(generate(predictor, encoding, SampleConfig(length=120, **settings)))


@pytest.mark.parametrize("name", NEURAL)
@pytest.mark.parametrize("config", [{"layers": 2}, {"embedding_size": 12, "tie_weights": True}])
def test_arrays_write_what_the_network_writes(name: str, config: dict, tmp_path: Path) -> None:
    bundle = saved(tmp_path, name, **config)
    arrays, network = bundle.arrays(), bundle.load().predictor("cpu")
    assert arrays is not None
    assert arrays.network.parameter_count == bundle.load().model.parameters
    for prompt in ("", "abc"):
        assert written(arrays, bundle.encoding, prompt=prompt) == written(
            network, bundle.encoding, prompt=prompt
        )


@pytest.mark.skipif(not can_compile(), reason="needs numba")
@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_compiled_loops_write_from_arrays(name: str, tmp_path: Path) -> None:
    bundle = saved(tmp_path, name, layers=2)
    arrays = bundle.arrays()
    assert arrays is not None
    compiled = written(arrays, bundle.encoding, engine="compiled", prompt="ab")
    assert compiled == written(arrays, bundle.encoding, engine="arrays", prompt="ab")


@pytest.mark.parametrize("engine", ["arrays", "compiled"])
def test_arrays_start_anew_at_the_ends_of_documents(engine: str, tmp_path: Path) -> None:
    if engine == "compiled" and not can_compile():
        pytest.skip("needs numba")
    bundle = saved(tmp_path, "lstm", ends="p")
    arrays, network = bundle.arrays(), bundle.load().predictor("cpu")
    assert arrays is not None
    for prompt in ("", "ab", "abpcd", "abp"):
        settings = {"engine": engine, "prompt": prompt}
        text = written(arrays, bundle.encoding, **settings)
        assert text == written(network, bundle.encoding, **settings)
        after_end = written(arrays, bundle.encoding, engine=engine, prompt=prompt.rpartition("p")[2])
        assert text == after_end
        assert "p" not in text


def test_a_text_of_two_halves_is_the_whole_text(tmp_path: Path) -> None:
    bundle, position = saved(tmp_path, "gru"), Position()
    arrays = bundle.arrays()
    assert arrays is not None
    halves = [
        "".join(generate(arrays, bundle.encoding, SampleConfig(length=60), position=position)) for _ in "ab"
    ]
    assert "".join(halves) == written(arrays, bundle.encoding)


def test_writer_for_a_cell_on_a_cpu_is_made_of_arrays(tmp_path: Path) -> None:
    bundle = saved(tmp_path, "lstm")
    assert isinstance(open_writer(bundle, SampleConfig(), "cpu"), ArrayModel)
    for settings in (SampleConfig(engine="plain"), SampleConfig(prompt="a" * (MAX_PROMPT + 1))):
        assert not isinstance(open_writer(bundle, settings, "cpu"), ArrayModel)


def test_count_based_model_is_not_read_as_arrays(tmp_path: Path) -> None:
    card = {"schema": "charpipe.model/1", "architecture": "ngram", "config": {}, "vocabulary_size": 7}
    bundle = Bundle("a run", tmp_path, ARCHITECTURES["ngram"], Letters())
    (tmp_path / "config.json").write_text(json.dumps({**card, "plugin": {}}))
    assert bundle.arrays() is None


def test_a_file_that_does_not_fit_is_left_to_the_network(tmp_path: Path) -> None:
    bundle = saved(tmp_path, "lstm")
    config = tmp_path / "config.json"
    config.write_text(config.read_text().replace('"hidden_size": 12', '"hidden_size": 13'))
    assert bundle.arrays() is None
    with pytest.raises(RunError, match="does not fit the model"):
        bundle.load()


def test_a_cut_file_is_an_error(tmp_path: Path) -> None:
    bundle = saved(tmp_path, "lstm")
    weights = tmp_path / "model.safetensors"
    content = weights.read_bytes()
    for length in (4, len(content) - 8):
        weights.write_bytes(content[:length])
        with pytest.raises(RunError, match="nothing was loaded"):
            load_bundle("a run", tmp_path, REGISTRY)
        try:
            assert bundle.arrays() is None
        except RunError as error:
            assert "nothing was loaded" in str(error)


def test_a_cell_that_is_no_longer_its_torch_layer_is_left_to_the_network(tmp_path: Path) -> None:
    class Changed(Lstm):
        def step(self, gates, state):
            after = super().step(gates, state)
            return {"hidden": after["hidden"] * 0.5, "cell": after["cell"]}

    bundle = saved(tmp_path, "lstm")
    architecture = Architecture("lstm", "changed", bundle.architecture.config, cell=Changed)
    assert read_array_model(tmp_path, bundle.architecture) is not None
    assert read_array_model(tmp_path, architecture) is None


def test_an_input_table_that_is_too_large_is_left_to_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = saved(tmp_path, "lstm")
    monkeypatch.setattr(array_model, "MAX_TABLE", 100)
    assert bundle.arrays() is None


PROGRAM = """
import sys
from charpipe.cli import main
code = main(sys.argv[1:])
heavy = ("torch", "mlflow", "prefect", "pyarrow", "numba", "rich", "sqlalchemy", "asyncio")
print([name for name in heavy if name in sys.modules], code)
"""


@pytest.mark.parametrize("name", ["lstm", "mgu"])
def test_sample_of_a_cell_imports_no_torch(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    bundle = saved(folder, name, layers=2)
    arguments = ["sample", "./model", "--length", "120", "--device", "cpu", "--prompt", "abc"]
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    text, _, facts = found.stdout.rstrip("\n").rpartition("\n")
    assert facts == "[] 0"
    assert text == "abc" + written(bundle.load().predictor("cpu"), bundle.encoding, prompt="abc")
