"""From documents to token files and back to the text, with every tokenizer and either way of dividing."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import charpipe_byte
import charpipe_char
from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.corpus.document_writer import DocumentWriter
from charpipe.corpus.documents import Part
from charpipe.errors import CorpusError, StoreError, UsageError
from charpipe.text.character_counts import count, count_bytes
from charpipe.text.encoding import encode
from charpipe.text.splits import SPLITS
from charpipe.text.tokens import open_tokens
from charpipe.text.vocabulary import learn_vocabulary, load_vocabulary

TOKENIZERS = {
    tokenizer.name: tokenizer
    for plugin in (charpipe_char, charpipe_byte)
    for tokenizer in plugin.charpipe_tokenizers()
}
NIBBLES = TokenizerConfig(min_count=10)


def documents(folder: Path, texts: dict[str, list[str]]) -> Path:
    folder.mkdir(parents=True)
    with DocumentWriter(folder) as writer:
        for path, parts in texts.items():
            sha256, size = json.dumps(parts), len("".join(parts).encode())
            for at, text in enumerate(parts):
                writer.add(Part(path, at, sha256, size, "utf-8", len(text), text.encode()))
    return folder


def tokens_of(
    folder: Path, source: Path, config: TokenizerConfig, split: SplitConfig
) -> tuple[dict[str, Any], Any]:
    (folder / "v").mkdir(parents=True)
    (folder / "t").mkdir()
    learn_vocabulary(source, TOKENIZERS[config.name], config, folder / "v")
    encoding = load_vocabulary(folder / "v" / "vocabulary.json", TOKENIZERS)
    return encode(source, encoding, split, folder / "t", salt="name", seed=3), encoding


CONFIGS = [TokenizerConfig(), TokenizerConfig(name="byte"), NIBBLES, TokenizerConfig(max_size=20)]


@pytest.mark.parametrize("config", CONFIGS, ids=["char", "byte", "min_count", "max_size"])
@pytest.mark.parametrize("by", ["documents", "contiguous"])
def test_text_comes_back(config: TokenizerConfig, by: str, tmp_path: Path) -> None:
    texts = {f"{at}.c": [f"text {at} é", "💡\r\n" * (at % 3), chr(0x4E00 + at)] for at in range(150)}
    source = documents(tmp_path / "d", texts)
    facts, encoding = tokens_of(tmp_path, source, config, SplitConfig(train=0.6, val=0.3, test=0.1, by=by))  # type: ignore[arg-type]
    splits = {name: open_tokens(tmp_path / "t", name) for name in SPLITS}
    decoded = {name: encoding.decoder().decode(split.tokens, final=True) for name, split in splits.items()}
    whole = ["".join(parts) for parts in texts.values()]
    if by == "contiguous":
        assert "".join(decoded[name] for name in SPLITS) == "".join(whole)
    places = pq.read_table(tmp_path / "t" / "splits.parquet").to_pylist()
    for place in places:
        tokens = splits[place["split"]].tokens[place["offset"] : place["offset"] + place["tokens"]]
        text = "".join(texts[place["path"]])[place["start"] : place["start"] + place["characters"]]
        assert encoding.decoder().decode(tokens, final=True) == text
    assert sum(place["characters"] for place in places) == sum(map(len, whole))
    for name, split in splits.items():
        assert facts["tokens"][name] == len(split.tokens)
        assert facts["characters"][name] == split.characters == len(decoded[name])
        assert facts["bytes"][name] == split.bytes == len(decoded[name].encode())
        assert split.tokens.dtype == facts["dtype"]
    assert not splits["train"].tokens.flags.writeable or not len(splits["train"].tokens)


def test_training_documents_are_shuffled_by_the_seed(tmp_path: Path) -> None:
    source = documents(tmp_path / "d", {f"{at:03}": [f"{at:03}"] for at in range(200)})
    _, encoding = tokens_of(tmp_path, source, TokenizerConfig(), SplitConfig())
    orders = []
    for seed in (3, 3, 4):
        folder = tmp_path / f"seed{len(orders)}"
        folder.mkdir()
        encode(source, encoding, SplitConfig(), folder, salt="name", seed=seed)
        orders.append(encoding.decoder().decode(open_tokens(folder, "train").tokens))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])
    paths = pq.read_table(tmp_path / "seed0" / "splits.parquet")["path"].to_pylist()
    assert paths != sorted(paths)


def test_small_and_empty_splits(tmp_path: Path) -> None:
    source = documents(tmp_path / "d", {"hello": ["hello"]})
    facts, encoding = tokens_of(tmp_path, source, TokenizerConfig(), SplitConfig(train=1, val=0, test=0))
    assert encoding.size == 4
    assert facts["tokens"] == {"train": 5, "val": 0, "test": 0}
    assert len(open_tokens(tmp_path / "t", "val").tokens) == 0
    assert np.load(tmp_path / "t" / "train.npy").tolist() == [1, 0, 2, 2, 3]


def test_token_files_that_are_not(tmp_path: Path) -> None:
    source = documents(tmp_path / "d", {"hello": ["hello"]})
    tokens_of(tmp_path, source, TokenizerConfig(), SplitConfig(train=1, val=0, test=0))
    path = tmp_path / "t" / "train.npy"
    np.save(path, np.array([object()]), allow_pickle=True)
    with pytest.raises(StoreError, match=r"train\.npy cannot be opened as tokens"):
        open_tokens(tmp_path / "t", "train")
    path.unlink()
    with pytest.raises(StoreError, match="--force encode"):
        open_tokens(tmp_path / "t", "train")


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_counts(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    source = documents(
        tmp_path_factory.mktemp("count") / "d", {f"{at}": [text] for at, text in enumerate(texts)}
    )
    assert count(source) == Counter("".join(texts))


@pytest.mark.parametrize("size", [0, 1, 1000, (1 << 15) + 1, 100_001])
def test_count_bytes(size: int) -> None:
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    assert (count_bytes(data) == np.bincount(data, minlength=256)).all()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "[" * 100_000,
        '{"schema": "charpipe.vocabulary/2"}',
        '{"schema": "charpipe.vocabulary/1", "tokenizer": "char"}',
    ],
)
def test_vocabularies_that_are_not(content: str, tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(CorpusError, match=r"vocabulary\.json"):
        load_vocabulary(path, TOKENIZERS)


def test_unknown_tokenizer_and_option(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text('{"schema": "charpipe.vocabulary/1", "tokenizer": "chart"}')
    with pytest.raises(UsageError, match="did you mean 'char'"):
        load_vocabulary(path, TOKENIZERS)
    source = documents(tmp_path / "d", {"a": ["a"]})
    with pytest.raises(UsageError, match="does not take min_count"):
        learn_vocabulary(source, TOKENIZERS["byte"], TokenizerConfig(name="byte", min_count=2), tmp_path)


def test_a_text_with_a_character_the_vocabulary_lacks(tmp_path: Path) -> None:
    encoding = TOKENIZERS["char"]
    from charpipe.plugin import resolve

    abc = resolve(encoding.load)({"characters": "abc", "nibbles": False})
    source = documents(tmp_path / "d", {"a": ["abcé"]})
    (tmp_path / "t").mkdir()
    with pytest.raises(UsageError, match=r"no 'é' \(U\+00E9\)"):
        encode(source, abc, SplitConfig(), tmp_path / "t", salt="x")
