"""A checkpoint whose manifest is right and whose content is not, or is of another machine or another time."""

import json
import pickle
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from charpipe.errors import RunError, UsageError
from charpipe.events import Finished, Notice, Step, TrainingStarted
from charpipe.kernels.jit.processor import this_processor
from charpipe.store.manifest import describe
from charpipe.training import last_checkpoint, train
from charpipe.training.checkpoints import SCHEMA, damage
from pickle_bomb import Bomb


@pytest.fixture
def saved(tmp_path, new_model, tokens, settings):
    """A checkpoint of step 8."""
    list(train(new_model(), tokens, settings(steps=8, engine="plain"), checkpoints=tmp_path))
    return last_checkpoint(tmp_path)


@pytest.fixture
def go_on(new_model, tokens, settings, saved):
    """Goes on from the checkpoint after its manifest was made to fit its files."""

    def resume(**values):
        describe(saved, SCHEMA, {"step": 8}).write(saved)
        assert damage(saved) is None
        chosen = settings(**{"steps": 12, "engine": "plain", **values})
        return list(train(new_model(seed=9), tokens, chosen, checkpoints=saved.parent, resume=saved))

    return resume


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors"])
@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty", "huge header"])
def test_what_is_no_safetensors_file_is_not_parsed(saved, go_on, name, kind, capsys):
    path = saved / name
    if kind == "torch":
        torch.save({"weights": torch.zeros(3)}, path)
    else:
        content = {"pickle": pickle.dumps(Bomb()), "text": b"no tensors here at all", "empty": b""}
        path.write_bytes(content.get(kind, struct.pack("<Q", 1 << 62) + path.read_bytes()[8:]))
    with pytest.raises(RunError, match="not a safetensors file"):
        go_on()
    assert "executed" not in capsys.readouterr().out


def rewrite_header(path, change):
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


NAMES = {"model.safetensors": "head.bias", "optimizer.safetensors": "memory/head.bias/exp_avg"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "change",
    [
        lambda entry: entry.update(shape=[1 << 50]),
        lambda entry: entry.update(shape=[-1]),
        lambda entry: entry.update(shape="wide"),
        lambda entry: entry.update(dtype="I64"),
        lambda entry: entry.update(dtype="CODE"),
        lambda entry: entry.update(data_offsets=[0, 1 << 60]),
        lambda entry: entry.update(data_offsets=[1 << 60, (1 << 60) + 112]),
        lambda entry: entry.update(data_offsets=[8, 4]),
        lambda entry: entry.clear(),
    ],
)
def test_a_lying_header_is_refused(saved, go_on, name, change):
    rewrite_header(saved / name, lambda header: change(header[NAMES[name]]))
    with pytest.raises(RunError):
        go_on()


@pytest.mark.parametrize("name", NAMES)
def test_overlapping_tensors_are_refused(saved, go_on, name):
    def overlap(header):
        first, second = [key for key in header if key != "__metadata__"][:2]
        header[second]["data_offsets"] = header[first]["data_offsets"]

    rewrite_header(saved / name, overlap)
    with pytest.raises(RunError):
        go_on()


def altered(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model", lambda t: t.pop("head.bias"), "lacks 'head.bias'"),
        ("model", lambda t: t.update(more=torch.zeros(1)), "unknown 'more'"),
        ("model", lambda t: t.update({"head.bias": torch.zeros(3)}), "head.bias is F32"),
        ("model", lambda t: t.update({"head.bias": t["head.bias"].double()}), "head.bias is F64"),
        ("optimizer", lambda t: t.update({"memory/more/exp_avg": torch.zeros(1)}), "more/exp_avg"),
        ("optimizer", lambda t: t.update({"memory/head.bias/exp_avg": torch.zeros(3)}), "head.bias/exp_avg"),
        ("optimizer", lambda t: t.pop("memory/head.bias/exp_avg"), "head.bias"),
        (
            "optimizer",
            lambda t: t.update({"memory/head.bias/surprise": t["memory/head.bias/exp_avg"] * 0}),
            "head.bias",
        ),
        ("optimizer", lambda t: t.pop("carried/cell"), "recurrent state in the checkpoint does not fit"),
        (
            "optimizer",
            lambda t: t.update({"carried/cell": torch.zeros(1)}),
            "recurrent state in the checkpoint does not fit",
        ),
        (
            "optimizer",
            lambda t: t.update({"carried/hidden": t["carried/hidden"].long()}),
            "recurrent state in the checkpoint does not fit",
        ),
        (
            "optimizer",
            lambda t: t.update({"carried/more": torch.zeros(1)}),
            "recurrent state in the checkpoint does not fit",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_named(saved, go_on, name, change, said):
    altered(saved / f"{name}.safetensors", change)
    with pytest.raises(RunError, match=said):
        go_on()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("step", "8"), ("step", -1), ("step", 1 << 70), ("steps", None), ("seconds", "long"), ("recent", []),
        ("recent", [1.0]), ("recent", ["a", "b"]), ("metrics", []), ("tokens", 7.5), ("settings", None),
        ("device", 3), ("precision", None), ("scaler", []),
    ],
)  # fmt: skip
def test_a_lying_state_is_refused(saved, go_on, key, value):
    path = saved / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(RunError):
        go_on()


def change_state(saved, **values):
    path = saved / "state.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def losses(events):
    return [float(event.loss) for event in events if isinstance(event, Step)]


@pytest.mark.parametrize("precision", ["float16", "bfloat16", "float32"])
def test_a_checkpoint_of_a_gpu_goes_on_where_there_is_none(saved, go_on, precision):
    """Weights, memory and state are float32 everywhere; the products are this machine's, and so is the rounding."""
    scaler = {"scale": 65536.0, "growth_factor": 2.0, "backoff_factor": 0.5, "growth_interval": 2000}
    expected = losses(go_on(precision="float32"))
    change_state(saved, device="cuda", precision=precision, engine="cuda-graphs", scaler=scaler)
    events = go_on()
    (started,) = [event for event in events if isinstance(event, TrainingStarted)]
    assert (started.step, started.device) == (8, "cpu")
    assert losses(events) == pytest.approx(expected, rel=0.05)
    assert losses(go_on(precision="float32")) == expected


def test_a_precision_that_only_a_gpu_has_is_said(saved, go_on):
    with pytest.raises(UsageError, match="float16 works on CUDA only"):
        go_on(precision="float16")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_to_a_gpu_and_back(saved, go_on):
    assert losses(go_on(device="cuda", precision="float32")) == pytest.approx(
        losses(go_on(precision="float32")), rel=0.05
    )


@pytest.mark.parametrize("engine", ["fast", "auto"])
def test_another_engine_may_go_on(saved, go_on, engine):
    assert losses(go_on(engine=engine)) == pytest.approx(losses(go_on()), rel=0.05)


@pytest.mark.parametrize(("began", "said"), [("fast", 1), ("plain", 0)])
def test_an_engine_that_is_not_there_is_said(saved, go_on, monkeypatch, began, said):
    change_state(saved, engine=began)
    monkeypatch.setattr("charpipe.models.engine.support.this_processor", lambda: None)
    events = go_on(engine="auto")
    warnings = [event for event in events if isinstance(event, Notice) and event.level == "warning"]
    assert (
        len([one for one in warnings if "the engine 'fast', which cannot be used here" in one.message])
        == said
    )


@pytest.mark.skipif(this_processor() is None, reason="the engine is for AVX2 and AVX-512")
def test_an_engine_that_can_be_had_goes_on_where_another_would_be_faster(saved, go_on, monkeypatch):
    change_state(saved, engine="fast")
    for module in ("selection", "support"):
        monkeypatch.setattr(f"charpipe.models.engine.{module}.is_faster", lambda *given: False)
    (started,) = [event for event in go_on(engine="auto") if isinstance(event, TrainingStarted)]
    assert started.engine == "fast"


def test_a_setting_that_was_not_there_yet_had_its_default(saved, go_on):
    state = json.loads((saved / "state.json").read_text())
    del state["settings"]["clip_by"], state["engine"]
    change_state(saved, settings=state["settings"])
    assert isinstance(go_on()[-1], Finished)
    with pytest.raises(RunError, match="clip_by norm -> value"):
        go_on(clip_by="value")


@pytest.mark.parametrize(
    "values",
    [
        {"optimizer": "sgd"}, {"learning_rate": 1e-3}, {"window": 9}, {"seed": 3}, {"schedule": "linear"},
        {"betas": (0.9, 0.999)}, {"clip": 3.0}, {"weight_decay": 0.5},
    ],
    ids=str,
)  # fmt: skip
def test_a_setting_that_makes_it_another_training_is_refused(go_on, values):
    with pytest.raises(RunError, match=f"belongs to another training: {next(iter(values))}"):
        go_on(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 9},
        {"evaluate_every": 1},
        {"checkpoint_every": 2},
        {"keep_checkpoints": 9},
        {"sample_every": 3},
    ],
    ids=str,
)
def test_safe_changes_are_accepted(go_on, values):
    assert go_on(**values)[-1].step == values.get("steps", 12)


@pytest.mark.parametrize("engine", ["auto", "plain"])
@pytest.mark.parametrize("wrong", ["just beyond", "far beyond"])
def test_tokens_that_the_vocabulary_lacks_end_training(tmp_path, new_model, tokens, settings, engine, wrong):
    """Damage within a large file of tokens is not looked for before; nothing may be looked up by it."""
    model = new_model()
    harmed = tokens.copy()
    harmed[100] = model.vocabulary_size if wrong == "just beyond" else 255
    with pytest.raises(RunError, match="in the vocabulary: the tokens are damaged"):
        list(train(model, harmed, settings(engine=engine, steps=200), checkpoints=tmp_path))


@pytest.mark.parametrize("wrong", [-1, 1000])
def test_tokens_that_the_vocabulary_lacks_are_not_scored(new_model, wrong):
    predictor = new_model().predictor()
    with pytest.raises(RunError, match=f"token {wrong} is none of"):
        predictor.score(torch.tensor([[0], [wrong]]), predictor.initial_state(1))
