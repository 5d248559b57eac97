"""Compressors as models: their sizes are those of the files they write, and reading the training text helps."""

import lzma

import pytest

from charpipe.evaluation import baselines as module
from charpipe.evaluation.baselines import baselines, is_baseline, named

TEXT = "the quick brown fox jumps over the lazy dog. " * 3 + "pack my box with five dozen liquor jugs; "


def test_bits_are_those_of_the_file() -> None:
    found = baselines(TEXT)
    assert set(found) == {"xz", "zstd"}
    assert found["xz"] == 8 * len(lzma.compress(TEXT.encode(), preset=9 | lzma.PRESET_EXTREME)) / len(TEXT)


def test_having_read_the_training_text_helps() -> None:
    found = baselines(TEXT, TEXT)
    assert set(found) == {"xz", "zstd", "xz_after_training", "zstd_after_training"}
    assert found["xz_after_training"] < found["xz"] / 2
    assert found["zstd_after_training"] < found["zstd"] / 2


@pytest.mark.parametrize("text", ["x", "\x00", "é", "\ud800", "🦊"])
def test_a_single_character(text: str) -> None:
    assert all(bits > 0 for bits in baselines(text).values())


def test_an_empty_text_has_none() -> None:
    assert baselines("", TEXT) == {}


def test_characters_count_and_not_bytes() -> None:
    text = "ж" * 10 + TEXT
    size = len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME))
    assert baselines(text)["xz"] == 8 * size / len(text)


def test_long_texts_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_TEXT", 50)
    monkeypatch.setattr(module, "LARGEST_TRAINING", 60)
    assert baselines(TEXT, TEXT) == baselines(TEXT[:50], TEXT[-60:])


def test_their_names() -> None:
    metrics = named("test", {"xz": 2.0, "zstd_after_training": 1.5})
    assert metrics == {"test/xz_bits_per_char": 2.0, "test/zstd_after_training_bits_per_char": 1.5}
    assert all(map(is_baseline, metrics))
    assert not any(map(is_baseline, ["test/bits_per_char", "val/loss", "xz_bits_per_char", "test/xz"]))
