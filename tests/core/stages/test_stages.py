"""What is done stays done, what changed runs again with all that depends on it, and an interruption loses nothing."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from charpipe import stages
from charpipe.errors import InterruptedRun, RunError, UsageError
from charpipe.events import Notice, Sampled, StageFinished, StageStarted, Step
from charpipe.runs import find_run, list_runs, read_metrics
from charpipe.runs.models import load_run
from charpipe.stages import Context, TrainRequest, WouldRun
from charpipe.store.locks import exclusive

TEXT = "the quick brown fox jumps over the lazy dog. " * 40


def pipeline(context: Context, corpus: str = "mine.txt", arch: str = "rnn"):
    documents = stages.ingest(context, corpus)
    vocabulary = stages.learn_vocabulary(context, corpus, documents)
    tokens = stages.encode(context, corpus, documents, vocabulary)
    options = {"corpus": corpus, "arch": arch}
    trained = stages.train(
        context, TrainRequest(corpus, arch, "train-and-sample", options), tokens, vocabulary
    )
    scores = stages.evaluate(context, trained, tokens)
    return trained, scores, stages.sample(context, trained)


@pytest.fixture
def corpus(project: Path) -> Path:
    path = project / "mine.txt"
    path.write_text(TEXT)
    return path


def ran(heard) -> list[str]:
    """The stages that worked since the last call."""
    names = [event.stage for event in heard.of(StageStarted)]
    heard.clear()
    return names


ALL = ["ingest", "vocabulary", "encode", "train", "evaluate", "sample"]


def test_scores_come_with_the_surprise_at_the_beginning_of_held_out_text(corpus: Path, open_context) -> None:
    _, scores, _ = pipeline(open_context())
    found = scores.surprise
    assert found["split"] == "val" and "".join(found["pieces"]) in TEXT and len(found["pieces"]) > 1
    assert found["bits"][0] is None and all(bits >= 0 for bits in found["bits"][1:])


def test_everything_runs_once(corpus: Path, open_context, heard) -> None:
    trained, scores, sample = pipeline(open_context())
    assert ran(heard) == ALL
    again, same_scores, same_sample = pipeline(open_context())
    assert [event.skipped for event in heard.of(StageFinished)] == [True] * 6
    assert ran(heard) == []
    assert (again.run, same_scores, same_sample) == (trained.run, scores, sample)
    assert set(scores.metrics) == {
        f"{split}/{name}"
        for split in ("val", "test")
        for name in ("loss", "perplexity", "bits_per_char", "bits_per_byte")
    } | {f"test/{name}{after}_bits_per_char" for name in ("xz", "zstd") for after in ("", "_after_training")}
    assert len(sample.text) == 40


def test_a_text_stays_divided_when_what_it_was_divided_by_is_gone(corpus: Path, open_context, heard) -> None:
    def encode(**kwargs) -> tuple[stages.StageOutput, bytes]:
        context = open_context(**kwargs)
        documents = stages.ingest(context, "mine.txt")
        vocabulary = stages.learn_vocabulary(context, "mine.txt", documents)
        made = stages.encode(context, "mine.txt", documents, vocabulary)
        return made, (context.path(made) / "splits.parquet").read_bytes()

    first, _ = encode()
    corpus.write_text(TEXT + TEXT[:900])  # what is new is divided on its own
    second, places = encode()
    assert second.inputs["divided"] == first.digest
    shutil.rmtree(open_context().store.object(first.digest))
    assert encode()[0].reused
    again, found = encode(force=frozenset({"encode"}))
    assert (again.digest, found) == (second.digest, places)


def test_one_byte_of_the_corpus_runs_what_depends_on_it(corpus: Path, open_context, heard) -> None:
    pipeline(open_context())
    ran(heard)
    corpus.write_text(TEXT.replace("quick", "quack", 1))
    pipeline(open_context())
    assert ran(heard) == ALL


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"corpus__tokenizer__min_count": 2}, ["vocabulary"]),
        (
            {"corpus__split__train": 0.8, "corpus__split__val": 0.15},
            ["encode", "train", "evaluate", "sample"],
        ),
        ({"train__learning_rate": 1e-3}, ["train", "evaluate", "sample"]),
        ({"architectures__rnn__hidden_size": 9}, ["train", "evaluate", "sample"]),
        ({"sample__temperature": 0.5}, ["sample"]),
        ({"train__keep_checkpoints": 5}, []),
        ({"tracking__experiment": "another"}, []),
    ],
)
def test_one_setting_runs_what_depends_on_it(corpus: Path, open_context, heard, setting, expected) -> None:
    pipeline(open_context())
    ran(heard)
    pipeline(open_context(**setting))
    assert ran(heard) == expected


def test_file_times_and_a_moved_workspace_run_nothing(
    corpus: Path, open_context, heard, project: Path
) -> None:
    trained, *_ = pipeline(open_context())
    ran(heard)
    os.utime(corpus, (1, 1))
    moved = (project / ".charpipe").rename(project / "elsewhere")
    moved.rename(project / ".charpipe")
    assert pipeline(open_context())[0].run == trained.run
    assert ran(heard) == []


def test_the_code_of_a_plugin_runs_what_uses_it(project: Path, open_context, heard, monkeypatch) -> None:
    (project / "mine.txt").write_text(TEXT)
    from charpipe.plugins.registry import Provider

    pipeline(open_context())
    ran(heard)
    real = Provider.digest
    monkeypatch.setattr(
        Provider, "digest", lambda self: "changed" if self.module == "charpipe_rnn" else real(self)
    )
    pipeline(open_context())
    assert ran(heard) == ["train", "evaluate", "sample"]
    monkeypatch.setattr(
        Provider, "digest", lambda self: "changed" if self.module == "charpipe_char" else real(self)
    )
    pipeline(open_context())
    # the same vocabulary comes of it, so training and all after it stay as they were
    assert ran(heard) == ["vocabulary", "encode"]


@pytest.mark.parametrize(
    ("module", "name", "expected"),
    [
        ("ingest", "VERSION", ["ingest"]),
        ("encode", "VERSION", ["encode", "train"]),
        ("plan", "VERSION", ["train"]),
    ],
)
def test_a_stage_of_another_version_runs_again(
    corpus: Path, open_context, heard, monkeypatch, module, name, expected
):
    pipeline(open_context())
    ran(heard)
    monkeypatch.setattr(import_module(f"charpipe.stages.{module}"), name, 99)
    pipeline(open_context())
    assert ran(heard)[: len(expected)] == expected


def test_force_does_one_stage_anew(corpus: Path, open_context, heard) -> None:
    first, *_ = pipeline(open_context())
    ran(heard)
    second, *_ = pipeline(open_context(force=frozenset({"train"})))
    assert ran(heard) == ["train", "evaluate", "sample"]
    assert second.run != first.run
    with pytest.raises(UsageError, match="no stage 'trian' to force; did you mean 'train'"):
        open_context(force=frozenset({"trian"}))


def test_a_dry_run_says_what_would_be_done(corpus: Path, open_context) -> None:
    with pytest.raises(WouldRun, match=r"ingest: would run \(first time\), and all after it"):
        pipeline(open_context(dry_run=True))
    pipeline(open_context())
    pipeline(open_context(dry_run=True))
    with pytest.raises(WouldRun, match="train: would run"):
        pipeline(open_context(dry_run=True, train__seed=9))


def interrupt_after(context: Context, step: int) -> Context:
    """The context, in which a stop is requested at a step."""
    tell = context.emit

    def emit(event) -> None:
        tell(event)
        if isinstance(event, Step) and event.step == step:
            context.stop.request(15)

    return replace(context, emit=emit)


@pytest.mark.parametrize("step", [1, 5, 10, 11])
def test_the_same_command_goes_on_after_an_interruption(corpus: Path, open_context, heard, step: int) -> None:
    whole, *_ = pipeline(open_context(force=frozenset({"train"})))
    context = open_context(force=frozenset({"train"}))
    context = interrupt_after(context, step)
    with pytest.raises(InterruptedRun, match="charpipe resume") as caught:
        pipeline(context)
    assert caught.value.exit_code == 143
    (run,) = [run for run in list_runs(context.workspace.runs) if run.status.state == "interrupted"]
    assert run.status.step == step
    status = json.loads((context.workspace.runs / whole.run / "run.json").read_text())
    (context.workspace.runs / whole.run).rename(context.workspace.root / "whole")
    resumed, *_ = pipeline(open_context())
    assert resumed.run == run.name
    assert status["action"] == run.info.action
    ours, theirs = (folder for folder in (run.folder, context.workspace.root / "whole"))
    weights = [
        (folder / "checkpoints" / "step-00000012" / "model.safetensors").read_bytes()
        for folder in (ours, theirs)
    ]
    assert weights[0] == weights[1]
    metrics = [
        [
            {k: v for k, v in line.items() if k not in ("time", "perf/chars_per_second")}
            for line in read_metrics(folder / "metrics.jsonl")
        ]
        for folder in (ours, theirs)
    ]
    assert metrics[0] == metrics[1][: len(metrics[0])]


def test_a_killed_run_counts_as_interrupted(corpus: Path, open_context) -> None:
    trained, *_ = pipeline(open_context())
    run = find_run(open_context().workspace.runs, trained.run)
    run.update(state="running")
    assert run.status.state == "interrupted"
    with run.lock():
        assert run.status.state == "running"
        with pytest.raises(RunError, match="is being trained by another process"), run.lock():
            pass


def test_resuming_uses_the_recorded_inputs_and_refuses_others(corpus: Path, open_context) -> None:
    context = open_context()
    context = interrupt_after(context, 5)
    with pytest.raises(InterruptedRun):
        pipeline(context)
    (run,) = list_runs(context.workspace.runs)
    corpus.write_text("something else entirely " * 50)
    with pytest.raises(UsageError, match=r"learning_rate 0\.\d+ -> 0\.001; leave train\.learning_rate out"):
        pipeline(open_context(resume=run, train__learning_rate=1e-3))
    assert pipeline(open_context(resume=run))[0].run == run.name


def test_how_a_corpus_is_divided_stays_as_it_was_first(project: Path, open_context) -> None:
    folder = project / "many"
    folder.mkdir()
    for number in range(100):
        (folder / f"{number}.txt").write_text(f"document {number} " * 20)
    context = open_context()
    documents = stages.ingest(context, "many")
    vocabulary = stages.learn_vocabulary(context, "many", documents)
    assert stages.encode(context, "many", documents, vocabulary).facts["split_by"] == "documents"
    (folder / "0.txt").unlink()
    documents = stages.ingest(context, "many")
    assert stages.encode(context, "many", documents, vocabulary).facts["split_by"] == "documents"


def test_a_tiny_text_shows_what_is_expected_next(open_context) -> None:
    context = open_context(train__steps=5)
    _, scores, _ = pipeline(context, "hello")
    assert [row["text"] for row in scores.predictions] == ["h", "he", "hel", "hell"]
    assert all(abs(sum(row["next"].values()) - 1) < 1e-5 for row in scores.predictions)
    assert scores.metrics == {}


def test_samples_and_scores_are_kept_with_the_run(corpus: Path, open_context, heard) -> None:
    trained, scores, sample = pipeline(open_context(sample__prompt="the "))
    run = find_run(open_context().workspace.runs, trained.run)
    lines = list(read_metrics(run.metrics_file))
    assert lines[-1]["val/loss"] == scores.metrics["val/loss"]
    assert np.isclose(lines[-1]["val/bits_per_char"], lines[-1]["val/loss"] / np.log(2))
    assert run.status.metrics["test/loss"] == scores.metrics["test/loss"]
    samples = list(read_metrics(run.samples_file))
    assert samples[-1]["prompt"] + samples[-1]["text"] == sample.text
    assert len(samples) == len(heard.of(Sampled)) + 1


def test_resuming_goes_on_with_the_run_that_was_named_wherever_its_corpus_is(
    corpus: Path, open_context, project: Path
) -> None:
    context = open_context()
    context = interrupt_after(context, 5)
    with pytest.raises(InterruptedRun):
        pipeline(context)
    (first,) = list_runs(context.workspace.runs)
    other, *_ = pipeline(open_context(force=frozenset({"train"})))
    corpus.unlink()
    assert pipeline(open_context(resume=first))[0].run == first.name != other.run
    assert first.status.state == "finished"


def test_a_damaged_run_harms_only_itself(corpus: Path, open_context) -> None:
    context = open_context()
    trained, *_ = pipeline(context)
    broken = context.workspace.runs / "20200101-0000-x-rnn-0000"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert pipeline(open_context())[0].run == trained.run
    assert find_run(context.workspace.runs, "best:mine.txt").name == trained.run


def test_a_damaged_checkpoint_is_neither_scored_nor_sampled(corpus: Path, open_context) -> None:
    context = open_context(
        train__evaluate_every=1, train__learning_rate=3, train__schedule="constant"
    )  # none gets better
    trained, *_ = pipeline(context)
    run = find_run(context.workspace.runs, trained.run)
    assert run.checkpoint("best") != run.checkpoint("last")
    for which, advice in [("best", "the last one is intact"), ("last", "--force train")]:
        weights = run.checkpoint(which) / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 0x80  # a sign
        weights.write_bytes(content)
        with pytest.raises(RunError, match=f"the {which} checkpoint of .* is damaged: .*{advice}"):
            load_run(run, context.registry, which)


def test_a_damaged_manifest_is_mended(corpus: Path, open_context) -> None:
    context = open_context()
    documents = stages.ingest(context, "mine.txt")
    (context.path(documents) / "manifest.json").write_text("{}")
    again = stages.ingest(open_context(), "mine.txt")
    assert not again.reused
    assert stages.ingest(open_context(), "mine.txt").reused


def test_a_folder_may_hold_the_workspace(corpus: Path, open_context) -> None:
    assert stages.ingest(open_context(), ".").facts["documents"] == 2  # the text and pipelines.toml
    assert stages.ingest(open_context(), ".").reused


def test_corpora_of_the_same_file_name_are_divided_apart(project: Path, open_context, heard) -> None:
    for place, count in (("x", 120), ("y", 1)):
        (project / place / "data").mkdir(parents=True)
        for number in range(count):
            (project / place / "data" / f"{number}.txt").write_text(f"document {number} " * 40)
    by = []
    for wanted in ("x/data", "y/data"):
        context = open_context()
        documents = stages.ingest(context, wanted)
        vocabulary = stages.learn_vocabulary(context, wanted, documents)
        by.append(stages.encode(context, wanted, documents, vocabulary).facts["split_by"])
    assert by == ["documents", "contiguous"]


def test_too_small_a_corpus_leaves_no_run(project: Path, open_context) -> None:
    (project / "one.txt").write_text("x")
    context = open_context()
    with pytest.raises(UsageError, match="the text is too short to train on: it has 1 token"):
        pipeline(context, "one.txt")
    assert list_runs(context.workspace.runs) == []


def test_a_stop_ends_the_waiting_for_another_process(corpus: Path, open_context) -> None:
    context = open_context()
    tell = context.emit

    def emit(event) -> None:
        tell(event)
        if isinstance(event, Notice) and "waiting for" in event.message:
            context.stop.request(15)

    context = replace(context, emit=emit)
    plan_lock = context.workspace.store / "locks"
    documents = stages.ingest(context, "mine.txt")
    locks = sorted(plan_lock.glob("*.lock"))
    assert locks
    for lock in locks:
        with exclusive(lock), pytest.raises(InterruptedRun):
            stages.ingest(replace(context, force=frozenset({"ingest"})), "mine.txt")
    assert documents.facts["documents"] == 1
