"""Metrics of updates and evaluations: charpipe's own, those of plugins, and those that fail."""

import json
import math
from functools import partial

import pytest
import torch

from charpipe.events import Evaluated, Notice, Reported, Step
from charpipe.models.card import read_json
from charpipe.plugin import Metric
from charpipe.plugins.builtin import charpipe_metrics
from charpipe.runs import Recorder, Run, RunInfo
from charpipe.runs.recorder import read_metrics
from charpipe.training import last_checkpoint, train

OWN = {metric.name: metric for metric in charpipe_metrics()}


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def metric(name, function, when="update"):
    return {name: Metric(name, "", function, when)}


@pytest.fixture
def run(tmp_path, new_model, tokens, settings):
    """Trains with these metrics and settings; returns the events."""

    def training(metrics=OWN, *, folder="c", model=None, **values):
        chosen = settings(precision="float32", **values)
        model = model or new_model()
        more = {"validation": tokens[:300], "metrics": metrics, "checkpoints": tmp_path / folder}
        return list(train(model, tokens[300:], chosen, **more))

    return training


def test_reports_have_means_of_ten_updates(run):
    events = run(steps=25)
    losses = [float(event.loss) for event in of(Step, events)]
    reports = {event.step: event.metrics for event in of(Reported, events)}
    assert reports.keys() == {10, 20}
    assert reports[10]["train/loss"] == sum(losses[:10]) / 10
    assert reports[20]["train/loss"] == sum(losses[10:20]) / 10
    rates = {event.step: event.learning_rate for event in of(Step, events)}
    assert all(reports[step]["train/learning_rate"] == rates[step] for step in reports)


def test_perplexity_is_exp_of_the_reported_loss(run):
    events = run()
    for event in of(Reported, events):
        assert event.metrics["train/perplexity"] == math.exp(event.metrics["train/loss"])
    evaluations = of(Evaluated, events)
    assert evaluations
    for event in evaluations:
        assert event.metrics["val/perplexity"] == math.exp(event.metrics["val/loss"])
        assert "test/perplexity" not in event.metrics


@pytest.mark.parametrize(
    "clip", [{}, {"clip": 1e-6}, {"clip": 0.0}, {"clip_by": "value", "clip": 1e-6}], ids=str
)
@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_grad_norm_is_that_of_the_gradient_before_clipping(run, new_model, clip, engine):
    """With a learning rate of nothing the weights stay, and so do the gradients but for the tokens."""
    model = new_model(dropout=0)
    values = {"learning_rate": 1e-30, "optimizer": "sgd", "engine": engine, "steps": 10}
    (report,) = of(Reported, run(folder="a", model=model, **values, **clip))
    (other,) = of(Reported, run(folder="b", model=new_model(dropout=0), **values, clip=1e9))
    assert report.metrics["train/grad_norm"] == pytest.approx(other.metrics["train/grad_norm"], rel=0.2)
    assert report.metrics["train/grad_norm"] > 1e-3


def test_grad_norm_is_the_l2_norm_of_all_gradients(run, new_model):
    model, norms = new_model(dropout=0), []
    for parameter in model.network.parameters():
        parameter.register_hook(lambda gradient: norms.append(gradient.square().sum()))
    (report,) = of(Reported, run(model=model, engine="plain", steps=10))
    updates = torch.stack(norms).view(10, -1).sum(1).sqrt()  # hooks: every parameter, in each update
    assert report.metrics["train/grad_norm"] == pytest.approx(updates.mean().item(), rel=1e-4)


@pytest.mark.parametrize("values", [{}, {"clip": 0.0}, {"clip_by": "value"}, {"average": 0.9}], ids=str)
def test_metrics_change_no_weights(tmp_path, run, values):
    def harmful(facts):
        for name in facts.weights:
            facts.weights[name].zero_()
        torch.rand(3)
        torch.set_grad_enabled(False)
        raise RuntimeError("no")

    run({}, folder="without", **values)
    run({**OWN, **metric("mine/harmful", harmful)}, folder="with", **values)
    found = [
        (last_checkpoint(tmp_path / name) / "model.safetensors").read_bytes() for name in ("with", "without")
    ]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda facts: 1 / 0, "raised ZeroDivisionError: division by zero"),
        (lambda facts: math.nan, "returned nan"),
        (lambda facts: torch.tensor(math.inf), "returned inf"),
        (lambda facts: "3", "raised TypeError: '3' is not a number"),
        (lambda facts: True, "raised TypeError: True is not a number"),
        (lambda facts: torch.zeros(2), "raised RuntimeError"),
        (lambda facts: 10**400, "raised OverflowError"),
        (lambda facts: exit(), "raised SystemExit"),
        (lambda: 1.0, "raised TypeError"),
        ("no_such_module:function", "raised PluginError: 'no_such_module:function' cannot be imported"),
    ],
)
@pytest.mark.parametrize("when", ["update", "evaluation"])
def test_failing_metric_is_left_out_with_one_warning(run, function, said, when):
    good = metric("mine/good", lambda facts: facts.step, when)
    events = run({**metric("mine/bad", function, when), **good})
    warnings = [event.message for event in of(Notice, events) if event.level == "warning"]
    assert len(warnings) == 1
    assert warnings[0].startswith(f"the metric mine/bad {said}")
    kind = Reported if when == "update" else Evaluated
    assert all(event.metrics["mine/good"] == event.step for event in of(kind, events))
    assert not any("mine/bad" in event.metrics for event in of(kind, events))
    assert events[-1].step == 30


def test_metric_that_is_not_known_is_left_out_silently(run):
    events = run(metric("mine/none", lambda facts: None))
    assert not any("mine/none" in event.metrics for event in of(Reported, events))
    assert not of(Notice, events)


def test_metric_cannot_replace_one_of_charpipes_own(run):
    events = run(metric("val/loss", lambda facts: 0.0, "evaluation"))
    assert all(event.metrics["val/loss"] > 0.1 for event in of(Evaluated, events))
    assert [event.message for event in of(Notice, events)] == [
        "the metric val/loss has the name of one of charpipe's own; it is left out, and everything else continues"
    ]


def test_facts_say_where_the_training_is(run):
    found = []
    metrics = metric("mine/update", found.append) | metric("mine/evaluation", found.append, "evaluation")
    events = run(metrics, steps=10, evaluate_every=10)
    update, evaluation = found
    assert (update.step, update.tokens) == (evaluation.step, evaluation.tokens) == (10, 10 * 32)
    assert update.loss == update.metrics["train/loss"] == of(Reported, events)[0].metrics["train/loss"]
    assert 0 < update.seconds < evaluation.seconds
    assert (evaluation.grad_norm, evaluation.learning_rate) == (None, None)
    assert evaluation.metrics["val/loss"] == of(Evaluated, events)[0].metrics["val/loss"]
    with pytest.raises(TypeError):
        evaluation.metrics["val/loss"] = 0.0


def test_facts_have_the_weights_of_now(tmp_path, run):
    def norm(facts):
        return facts.weights["head.weight"].norm()

    values = {"steps": 10, "average": 0.9, "evaluate_every": 10}
    model_norms = metric("mine/trained", norm) | metric("mine/averaged", norm, "evaluation")
    events = run(model_norms, **values)
    from safetensors.torch import load_file

    last = last_checkpoint(tmp_path / "c")
    averaged = load_file(last / "model.safetensors")["head.weight"].norm().item()
    trained = load_file(last / "optimizer.safetensors")["trained/head.weight"].norm().item()
    assert of(Reported, events)[0].metrics["mine/trained"] == pytest.approx(trained)
    assert of(Evaluated, events)[0].metrics["mine/averaged"] == pytest.approx(averaged)
    assert trained != averaged


@pytest.mark.parametrize("clip_by", ["norm", "value"])
@pytest.mark.parametrize("stop_at", [3, 10, 13])
def test_resumed_run_reports_what_an_uninterrupted_one_does(
    tmp_path, new_model, tokens, settings, stop_at, clip_by
):
    """The means of a report are of updates before and after the interruption."""
    chosen = settings(precision="float32", clip_by=clip_by)

    def lines(name, stops):
        info = RunInfo(
            name=name, created="", action="", corpus="", architecture="lstm", architecture_config={},
            vocabulary_size=1, inputs={},
        )  # fmt: skip
        run = Run.create(tmp_path / name, info)
        for stop in stops:
            recorder, resume, steps = Recorder(run), last_checkpoint(run.checkpoints), []
            recorder.rewind(int(resume.name[5:]) if resume else 0, resume)
            for event in train(
                new_model(), tokens[300:], chosen, validation=tokens[:300], checkpoints=run.checkpoints,
                resume=resume, metrics=OWN, stop=partial(steps.__contains__, stop),
            ):  # fmt: skip
                recorder(event)
                if isinstance(event, Step):
                    steps.append(event.step)
        return [
            {key: line[key] for key in line if key not in ("time", "perf/chars_per_second")}
            for line in read_metrics(run.metrics_file)
        ]

    whole = lines("whole", [None])
    assert sum("train/grad_norm" in line for line in whole) == 3
    assert lines("parts", [stop_at, None]) == whole


def test_measurements_that_are_no_numbers_are_refused(tmp_path, run, new_model, tokens, settings):
    from charpipe.errors import RunError
    from charpipe.store.manifest import describe
    from charpipe.training.checkpoints import SCHEMA

    run(steps=3)
    last = last_checkpoint(tmp_path / "c")
    for wrong in ([], {"loss": 3}, {"loss": ["3"]}, {"loss": [True]}):
        state = read_json(last / "state.json") | {"measurements": wrong}
        (last / "state.json").write_text(json.dumps(state))
        (last / "manifest.json").unlink()
        describe(last, SCHEMA, {"step": 3}).write(last)
        with pytest.raises(RunError, match="no usable 'measurements'"):
            list(train(new_model(), tokens[300:], settings(steps=5), checkpoints=tmp_path, resume=last))


def test_bits_per_char_need_the_tokens_per_character(tmp_path, new_model, tokens, settings):
    found = []
    more = {"metrics": metric("mine/seen", lambda facts: found.append(dict(facts.metrics)), "evaluation")}
    for ratio in (None, 2.0):
        events = train(
            new_model(), tokens, settings(steps=1), validation=tokens, checkpoints=tmp_path / str(ratio),
            tokens_per_character=ratio, **more,
        )  # fmt: skip
        list(events)
    assert "val/bits_per_char" not in found[0]
    assert found[1]["val/bits_per_char"] == found[1]["val/loss"] / math.log(2) * 2.0
