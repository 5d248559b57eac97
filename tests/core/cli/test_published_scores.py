"""The published scores beside a run: a block of their own, and how the run differs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from charpipe.cli import main
from charpipe.cli.published import differences, print_published, published_json
from charpipe.config import load_config
from charpipe.config.load import BUILT_IN
from charpipe.runs import Run
from charpipe.runs.published_scores import all_scores, published_scores, published_unit


@dataclass
class Info:
    corpus: str
    origins: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class State:
    metrics: dict[str, float]
    parameters: int | None = 480_000
    step: int = 100


@dataclass
class Trained:
    info: Info
    status: State


def trained(corpus: str, metrics: dict[str, float], **origins: str) -> Run:
    info = Info(corpus, {key.replace("__", "."): value for key, value in origins.items()})
    info.settings = {"train.batch_size": 10, "train.window": 50}
    return cast(Run, Trained(info, State(metrics)))


def test_every_published_corpus_is_in_the_catalogue_and_sorted() -> None:
    catalogue = load_config().config.corpora
    for corpus, scores in all_scores().items():
        in_bytes = catalogue[corpus].tokenizer.name == "byte"
        assert published_unit(corpus) == ("bits_per_byte" if in_bytes else "bits_per_char")
        assert [one.bits for one in scores] == sorted(one.bits for one in scores)
        assert all(one.source for one in scores)


def test_benchmarks_are_divided_as_published() -> None:
    catalogue = load_config().config.corpora
    for corpus in ("text8", "enwik8"):
        sizes = catalogue[corpus].split.sizes
        assert sizes is not None and [size.count for size in sizes] == [90_000_000, 5_000_000, 5_000_000]
    assert set(catalogue["ptb-char"].split.patterns) == {"train", "val", "test"}


def test_a_run_says_how_it_differs() -> None:
    run = trained(
        "enwik8", {"test/bits_per_byte": 2.232, "test/bits_per_char": 9.0}, corpus__split__train="--set"
    )
    origins = {"corpora.enwik8.tokenizer.name": "pipelines.toml", "corpora.enwik8.sources": "pipelines.toml"}
    assert list(differences(run, published_scores("enwik8"), 200_000, origins)) == [
        "score: 2.232 bits/byte, 1.190 more than Mogrifier RLSTM",
        "parameters: 480,000; 0.5 % of the largest",
        "training text: 50,000 of 200,000 tokens read, 0.25 passes",
        "corpus: not as published, because these settings are changed: corpus.split.train, "
        "corpora.enwik8.tokenizer.name",
    ]


def test_what_is_not_known_is_not_said() -> None:
    run = trained("ptb-char", {})
    run.status.parameters = None
    built_in = {"corpora.ptb-char.split.train": BUILT_IN}
    assert list(differences(run, published_scores("ptb-char"), None, built_in)) == [
        "score: none on the test text yet"
    ]


def test_published_scores_are_a_block_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    print_published(trained("text8", {"test/bits_per_char": 3.0}), None, {})
    out = capsys.readouterr().out
    table, beside = out.split("this run beside them")
    assert "Multiplicative LSTM" in table and "45,000,000" in table and "1.270" in table
    assert "3.000" not in table and "score: 3.000 bits/char" in beside
    assert published_json(trained("text8", {}))[0]["bits_per_char"] == 1.096


def test_other_corpora_have_none(capsys: pytest.CaptureFixture[str]) -> None:
    print_published(trained("tiny_shakespeare", {"test/bits_per_char": 3.0}), None, {})
    assert capsys.readouterr().out == ""
    assert published_json(trained("tiny_shakespeare", {})) == []


def test_corpora_show_says_what_a_benchmark_is(project: Any, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["corpora", "show", "ptb-char", "--json"]) == 0
    shown = json.loads(capfd.readouterr().out)
    assert shown["drop"] == " " and shown["split"]["test"] == "ptb.char.test.txt"
