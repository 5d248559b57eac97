"""What may be written as the splits of a corpus, and what is said of the rest."""

from typing import Any

import pytest

from charpipe.config.settings.split_values import Size, parse_size
from charpipe.config.settings.text import SplitConfig
from charpipe.config.validation import validate
from charpipe.errors import UsageError

DEFAULTS = {"train": 0.9, "val": 0.05, "test": 0.05, "by": "auto", "salt": None}


def split_of(values: dict[str, Any]) -> SplitConfig:
    return validate(SplitConfig, values, prefix="corpora.x.split")


def test_fractions_are_stored_as_before() -> None:
    assert split_of({}).model_dump() == DEFAULTS
    assert split_of({"train": "0.8", "val": 0.1, "test": "1e-1"}).fractions == (0.8, 0.1, 0.1)
    assert split_of({"train": 1, "val": 0, "test": 0}).fractions == (1.0, 0.0, 0.0)


def test_splits_by_files_leave_the_rest_empty_and_come_back_from_json() -> None:
    split = split_of({"by": "files", "train": " *.train.txt ", "test": "test/*"})
    assert split.patterns == {"train": "*.train.txt", "test": "test/*"}
    assert split.is_given and split.sizes is None
    assert split_of(split.model_dump()) == split


def test_sizes_have_one_spelling() -> None:
    split = split_of({"train": "90_000,000 Bytes", "val": "1 byte", "test": "0 bytes"})
    assert split.sizes == (Size(90_000_000, "bytes"), Size(1, "bytes"), Size(0, "bytes"))
    assert split == split_of({"train": "90000000 bytes", "val": "1 bytes"})
    assert split_of(split.model_dump()) == split
    assert not split.patterns


@pytest.mark.parametrize(
    "text", ["90 MB", "bytes", "-5 bytes", "5.5 bytes", "5 bytes x", "٥ bytes", "9" * 30 + " bytes"]
)
def test_other_texts_are_no_sizes(text: str) -> None:
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"train": "*.x"}, "'*.x' is no size such as '90000000 bytes'"),
        ({"by": "files"}, "needs a pattern of the files to train on"),
        ({"by": "files", "val": "*.v"}, "needs a pattern of the files to train on"),
        (
            {"by": "files", "train": "a", "val": "a"},
            "train and val have the same pattern 'a', so they overlap",
        ),
        ({"by": "files", "train": "a", "val": 0.1}, "needs a pattern of files as val"),
        ({"by": "files", "train": " "}, "split.train: it is empty"),
        ({"train": 2}, "a size has a unit: '90000000 bytes' (it is 2)"),
        ({"train": float("nan")}, "greater than or equal to 0"),
        ({"train": "5 bytes", "val": 0.1}, "0.1 is no size"),
        ({"train": "5 bytes", "val": "5 characters"}, "give train, val and test in one of them"),
        ({"by": "documents", "train": "5 bytes"}, "sizes cut the joined text"),
        ({"train": "0 bytes", "val": "3 bytes"}, "train has no size"),
        ({"train": [1]}, "should be a fraction, a size"),
        ({"train": None}, "should be a fraction, a size"),
        ({"by": "file", "train": "a"}, "split.by"),
        ({"train": 0.5, "val": 0.1, "test": 0.1}, "must sum to 1, not 0.7"),
    ],
)
def test_splits_that_say_nothing_clear_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        split_of(values)
    assert said in str(caught.value)
    assert str(caught.value).startswith("corpora.x.split")
