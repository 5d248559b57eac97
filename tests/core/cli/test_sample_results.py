"""`charpipe sample`: scores, beam search, prompts from a file, constraints, held units, the page."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from charpipe import stages
from charpipe.cli import main
from charpipe.stages import TrainRequest
from waiting import until

TEXT = "The cat sat on the mat.\nThe dog sat on the log.\n" * 60


@pytest.fixture
def trained(project: Path, open_context) -> str:
    """The name of a small run."""
    (project / "corpus.txt").write_text(TEXT)
    context = open_context(train__steps=3)
    documents = stages.ingest(context, "corpus.txt")
    vocabulary = stages.learn_vocabulary(context, "corpus.txt", documents)
    tokens = stages.encode(context, "corpus.txt", documents, vocabulary)
    return stages.train(context, TrainRequest("corpus.txt", "rnn"), tokens, vocabulary).run


@pytest.fixture
def sampled(trained: str, capfd: pytest.CaptureFixture[str]):
    """What `charpipe sample RUN ...` prints."""

    def sample(*words: str) -> str:
        assert main(["sample", trained, "--length", "30", *words]) == 0
        return capfd.readouterr().out

    return sample


def json_lines(printed: str) -> list[Any]:
    return [json.loads(line) for line in printed.splitlines()]


def test_beam_prints_texts_with_scores(sampled) -> None:
    (found,) = json_lines(sampled("--beam", "3", "--prompt", "The", "--json"))
    scores = [one["log_probability"] for one in found["results"]]
    assert len(scores) == 3
    assert scores == sorted(scores, reverse=True)
    assert all(one["text"].startswith("The") and len(one["text"]) == 33 for one in found["results"])
    printed = sampled("--beam", "3", "--prompt", "The")
    assert f"--- 1 of 3: {scores[0]:.3f} nats, {scores[0] / 30:.3f} per character" in printed


def test_log_probabilities_in_text_and_json(sampled) -> None:
    plain = sampled("--prompt", "The")
    (found,) = json_lines(sampled("--prompt", "The", "--logprobs", "--json"))
    assert found["text"] + "\n" == plain
    assert "".join(one["character"] for one in found["characters"]) == found["text"][3:]
    assert found["log_probability"] == pytest.approx(
        sum(one["log_probability"] for one in found["characters"])
    )
    lines = sampled("--prompt", "The", "--logprobs").splitlines()
    assert len(lines) == 31
    assert float(lines[0].split()[0]) == pytest.approx(found["characters"][0]["log_probability"], abs=1e-4)
    assert lines[-1].endswith("per character")


def test_prompts_of_a_file_in_order(sampled, project: Path) -> None:
    (project / "prompts.jsonl").write_text('"The cat\\n"\n{"prompt": "dog"}\n')
    found = json_lines(sampled("--prompts-file", "prompts.jsonl", "--json", "--count", "2"))
    assert [one["prompt"] for one in found] == ["The cat\n", "The cat\n", "dog", "dog"]
    assert all(len(one["text"]) == len(one["prompt"]) + 30 for one in found)
    assert sampled("--prompts-file", "prompts.jsonl").count("\n--- 2 of 2\ndog") == 1
    scored = json_lines(sampled("--prompts-file", "prompts.jsonl", "--json", "--logprobs"))
    alone = json_lines(sampled("--prompts-file", "prompts.jsonl", "--json"))
    assert [one["text"] for one in scored] == [one["text"] for one in alone]


def test_prompts_of_standard_input(sampled, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"The\ncat\n")))
    assert [one["prompt"] for one in json_lines(sampled("--prompts-file", "-", "--json"))] == ["The", "cat"]


def test_several_stop_texts_and_a_regular_expression(sampled) -> None:
    assert re.fullmatch(r"The[^ht]*\n", sampled("--prompt", "The", "--stop", "h", "--stop", "t"))
    assert re.fullmatch(r"[a-z]{3}\.\n", sampled("--regex", r"[a-z]{3}\."))


def test_a_held_unit_changes_the_text(sampled) -> None:
    plain = sampled()
    assert sampled("--clamp", "0.1=30") != plain
    assert sampled("--clamp", "hidden.0.1=30", "--count", "2").split("\n")[1:] != plain.split("\n")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--beam 99", "wider than the vocabulary"),
        ("--beam 0", "give --beam 1 or more"),
        ("--beam 2 --temperature 1", "so --temperature has no meaning with it"),
        ("--beam 2 --seed 0", "so --seed has no meaning"),
        ("--beam 2 --greedy", "so --greedy has no meaning"),
        ("--beam 2 --count 2", "so --count has no meaning"),
        ("--beam 2 --logprobs", "so --logprobs has no meaning"),
        ("--regex (", "is not valid"),
        ("--regex Q", "no text over the model's vocabulary"),
        ("--regex=", "--regex is empty"),
        ("--clamp 1.0=1", "no layer 1; its layers are 0 alone"),
        ("--clamp 0.8=1", "no unit 8"),
        ("--clamp cell.0.1=1", "no state 'cell'; its state is hidden"),
        ("--clamp 0.1", "not of the form layer.unit=value"),
        ("--clamp 0.1=x", "not of the form layer.unit=value"),
        ("--clamp =1", "not of the form layer.unit=value"),
        ("--clamp 0.1=1 --clamp 0.1=2", "at two values"),
        ("--clamp 0.1=1 --precision int8 --count 2", "--clamp needs the units in float32"),
        ("--stop=", "--stop: the text is empty"),
        ("--prompts-file none.txt", "there is no prompts file none.txt"),
        ("--prompts-file empty.txt", "is empty"),
        ("--prompts-file binary.txt", "is not UTF-8"),
        ("--prompts-file unknown.txt", "unknown.txt, line 2: the vocabulary has no 'Q'"),
        ("--prompts-file empty.txt --prompt x", "exclude each other"),
        ("--web --json", "without --json"),
        ("--web --beam 2", "without --beam"),
        ("--port 80", "give --web too"),
    ],
)
def test_bad_input_gets_a_sentence(trained: str, project: Path, capfd, words: str, sentence: str) -> None:
    (project / "empty.txt").write_text("\n")
    (project / "binary.txt").write_bytes(b"a\xff\n")
    (project / "unknown.txt").write_text("The\nQ\n")
    assert main(["sample", trained, *words.split()]) == 2
    captured = capfd.readouterr()
    assert sentence in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.fixture
def serving(trained: str, project: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-P", "-m", "charpipe", "sample", trained, "--web"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_the_page_is_served_until_ctrl_c(serving) -> None:
    line = serving.stdout.readline()
    url = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]
    with urlopen(url, timeout=60) as answer:
        assert b"Ctrl" in answer.read()
    serving.send_signal(signal.SIGINT)
    until(lambda: serving.poll() is not None)
    assert serving.returncode == 130
    assert serving.stderr.read() == ""
