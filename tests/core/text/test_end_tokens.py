"""The end token of a vocabulary: there where it is asked for, one token, and no character of the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charpipe.config.settings.corpus import CorpusConfig
from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.corpus.ends import END
from charpipe.corpus.ingestion import ingest
from charpipe.errors import CorpusError, RunError, UsageError
from charpipe.plugin import Fetched, Options, Tokenizer, end_token
from charpipe.plugins.registry import Registry
from charpipe.text import encode, learn_vocabulary, load_vocabulary, open_tokens
from charpipe.text.ends import as_documents
from charpipe.training.warm_start import check_extends

TOKENIZERS = Registry().all("tokenizer")
NAMES = [f"näme {n}" for n in range(150)]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path, folder = tmp_path / "names.txt", tmp_path / "documents"
    path.write_text("\n".join(NAMES), encoding="utf-8")
    folder.mkdir()
    ingest(Fetched("names", path=path), CorpusConfig(sources=["names"], documents="line", ends=True), folder)
    return folder


def learnt(documents: Path, folder: Path, **settings: Any) -> Any:
    folder.mkdir(exist_ok=True)
    config = TokenizerConfig(**settings)
    learn_vocabulary(documents, TOKENIZERS[config.name], config, folder, ends=True)
    return load_vocabulary(folder, TOKENIZERS)


@pytest.mark.parametrize(
    "settings", [{}, {"min_count": 200}, {"max_size": 17}, {"name": "byte"}], ids=lambda one: str(one)
)
def test_every_text_keeps_one_token_for_its_ends(
    documents: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    encoding = learnt(documents, tmp_path / "vocabulary", **settings)
    token = end_token(encoding)
    assert encoding.encode(END).tolist() == [token]
    assert encoding.labels[token] == "<end>"
    assert token not in encoding.encode(NAMES[7])


def test_tokens_end_each_document_and_count_its_characters(documents: Path, tmp_path: Path) -> None:
    encoding = learnt(documents, tmp_path / "vocabulary")
    (tmp_path / "tokens").mkdir()
    facts = encode(documents, encoding, SplitConfig(), tmp_path / "tokens", salt="names")
    assert facts["split_by"] == "documents"
    found = []
    for split in ("train", "val", "test"):
        held = open_tokens(tmp_path / "tokens", split)
        text = encoding.decoder().decode(held.tokens.tolist(), final=True)
        written = text.split(END)
        assert written.pop() == ""
        assert held.characters == len("".join(written)) == len(held.tokens) - len(written)
        assert held.bytes == len("".join(written).encode())
        found += written
    assert sorted(found) == sorted(NAMES)


def test_bytes_of_documents_with_ends_are_predicted_exactly(documents: Path, tmp_path: Path) -> None:
    encoding = learnt(documents, tmp_path / "vocabulary", name="byte")
    (tmp_path / "tokens").mkdir()
    facts = encode(documents, encoding, SplitConfig(by="contiguous"), tmp_path / "tokens", salt="names")
    assert sum(facts["tokens"].values()) == sum(len(name.encode()) + 1 for name in NAMES)
    assert sum(facts["bytes"].values()) == sum(len(name.encode()) for name in NAMES)


def test_a_vocabulary_without_ends_has_no_end_token(documents: Path, tmp_path: Path) -> None:
    learn_vocabulary(documents, TOKENIZERS["char"], TokenizerConfig(), tmp_path)
    assert "end_token" not in json.loads((tmp_path / "vocabulary.json").read_text())
    encoding = load_vocabulary(tmp_path, TOKENIZERS)
    assert end_token(encoding) is None
    assert as_documents("anna", encoding) == "anna"


def test_a_vocabulary_that_grows_gets_an_end_token(documents: Path, tmp_path: Path) -> None:
    parent = {"tokenizer": "char", "characters": "abc", "nibbles": False}
    learn_vocabulary(documents, TOKENIZERS["char"], TokenizerConfig(), tmp_path, parent=parent, ends=True)
    encoding = load_vocabulary(tmp_path, TOKENIZERS)
    assert encoding.encode("abc").tolist() == [0, 1, 2]
    assert end_token(encoding) == encoding.encode(END)[0] > 2
    assert as_documents("ab", encoding) == END + "ab" + END
    assert as_documents(f"ab{END}", encoding) == END + "ab" + END


@pytest.mark.parametrize("token", [-1, 10_000, True, "0"])
def test_a_damaged_end_token_is_refused(documents: Path, tmp_path: Path, token: object) -> None:
    learnt(documents, tmp_path)
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"end_token": token}))
    with pytest.raises(CorpusError, match="end token"):
        load_vocabulary(tmp_path, TOKENIZERS)


class Pairs:
    """Two tokens a character."""

    size, labels = 4, "abcd"

    def encode(self, text: str) -> np.ndarray[Any, Any]:
        return np.zeros(2 * len(text), np.uint8)


def learn_pairs(counts: Any, config: Options) -> dict[str, Any]:
    return {}


def load_pairs(vocabulary: Any) -> Pairs:
    return Pairs()


def test_a_tokenizer_with_several_tokens_for_an_end_is_refused(documents: Path, tmp_path: Path) -> None:
    pairs = Tokenizer("pairs", "two", f"{__name__}:learn_pairs", f"{__name__}:load_pairs")
    with pytest.raises(UsageError, match="has 2 tokens for the end of a document"):
        learn_vocabulary(documents, pairs, TokenizerConfig(name="pairs"), tmp_path, ends=True)


def test_a_model_may_start_from_one_with_or_without_ends() -> None:
    without, with_ends = {"characters": "ab"}, {"characters": "ab" + END, "end_token": 2}
    check_extends(without, with_ends, 2, 3)
    check_extends(with_ends, {"characters": "ab" + END + "c"}, 3, 4)
    check_extends({"tokenizer": "byte"}, {"tokenizer": "byte", "end_token": 3}, 256, 256)
    with pytest.raises(RunError, match="another vocabulary"):
        check_extends(with_ends, {"characters": "ab" + END, "end_token": 1}, 3, 3)
    with pytest.raises(RunError, match="another vocabulary"):
        check_extends(without, {"characters": "ac", "end_token": 0}, 2, 2)
