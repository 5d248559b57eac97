"""Prompts from a file, and the texts after them."""

from __future__ import annotations

import pytest

from charpipe.errors import UsageError
from charpipe.generation import SampleConfig, sample, sample_prompts
from charpipe.generation import batches as batches_module
from charpipe.generation.prompts import read_prompts
from charpipe.models import build_model
from charpipe_lstm import charpipe_architectures
from letters import Letters

(LSTM,) = charpipe_architectures()


@pytest.mark.parametrize(
    ("name", "data", "prompts"),
    [
        ("p.txt", b"one\ntwo\n", ["one", "two"]),
        ("p.txt", b"\xef\xbb\xbfone\r\n two \r\n\r\n\n", ["one", " two "]),
        ("p", "a\u2028b".encode(), ["a\u2028b"]),
        ("p.jsonl", b'"one\\ntwo"\n{"prompt": "three", "id": 7}\n', ["one\ntwo", "three"]),
    ],
    ids=["lines", "CRLF and mark", "no line end", "JSON lines"],
)
def test_reads_prompts(tmp_path, name, data, prompts):
    (tmp_path / name).write_bytes(data)
    assert read_prompts(str(tmp_path / name)) == prompts


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("p.txt", b"", "is empty"),
        ("p.txt", b"\n\r\n", "is empty"),
        ("p.txt", b"a\n\nb", "line 2: the prompt is empty"),
        ("p.txt", b"a\xff", r"is not UTF-8 \(byte 1\)"),
        ("p.jsonl", b'"a"\nb', "line 2: this is not JSON"),
        ("p.jsonl", b'{"text": "a"}', 'line 1: give a JSON string, or an object with a string "prompt"'),
        ("p.jsonl", b'""', "line 1: the prompt is empty"),
    ],
    ids=["empty", "blank", "empty line", "not UTF-8", "not JSON", "no prompt", "empty string"],
)
def test_bad_files_are_refused(tmp_path, name, data, words):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=words):
        read_prompts(str(tmp_path / name))


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(UsageError, match="there is no prompts file"):
        read_prompts(str(tmp_path / "none"))
    with pytest.raises(UsageError, match="cannot be read"):
        read_prompts(str(tmp_path))


@pytest.mark.parametrize("at_once", [1, 2, 256])
def test_texts_come_in_order_and_do_not_depend_on_the_batch(monkeypatch, at_once):
    predictor = build_model(LSTM, LSTM.config(hidden_size=9), {}, 7).predictor()
    monkeypatch.setattr(batches_module, "TEXTS", at_once)
    prompts, settings = ["a", "bcd", "a", "ef"], SampleConfig(length=20)
    texts = list(sample_prompts(predictor, Letters(), prompts, settings))
    assert [text.startswith(prompt) for text, prompt in zip(texts, prompts, strict=True)] == [True] * 4
    assert texts[0] == sample(predictor, Letters(), settings.model_copy(update={"prompt": "a"}))
    monkeypatch.setattr(batches_module, "TEXTS", 3)
    assert list(sample_prompts(predictor, Letters(), prompts, settings)) == texts
    assert texts[2] != texts[0]  # the same prompt, other random numbers
