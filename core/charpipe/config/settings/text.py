"""How a corpus is divided into splits and cut into tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainValidator, model_validator

from charpipe.config.settings.split_values import Size, parse_share, parse_size
from charpipe.plugin import Options

Share = Annotated[float | str, PlainValidator(parse_share)]
NAMES = ("train", "val", "test")


class SplitConfig(Options):
    """The shares of a corpus that train, validate and test, and how documents are told apart.

    The splits of a corpus are *given* if they are patterns of files (`by` is `files`) or sizes; the shares that are
    not set are then empty. Otherwise they are fractions, and charpipe divides the corpus.
    """

    train: Share = Field(
        0.9,
        description="fraction of the text to train on; a size: `90000000 bytes`, `5000 characters`; with by = files, "
        "a pattern of files: `*.train.txt`",
    )
    val: Share = Field(0.05, description="what is scored during training: fraction, size or pattern")
    test: Share = Field(0.05, description="what is scored once, at the end: fraction, size or pattern")
    by: Literal["auto", "documents", "contiguous", "files"] = Field(
        "auto",
        description="whole documents by a keyed hash of their path, or one cut through the joined text; "
        "auto: documents from 100 documents on; files: train, val and test are patterns of files",
    )
    salt: str | None = Field(
        None, description="key of the hash that assigns documents to splits; unset: the name of the corpus"
    )

    @model_validator(mode="before")
    @classmethod
    def _leave_the_rest_empty(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and (
            values.get("by") == "files" or any(_is_text(values.get(name)) for name in NAMES)
        ):
            return dict.fromkeys(NAMES, 0.0) | dict(values)
        return values

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        given = {name: share for name, share in self._shares().items() if share}
        if self.by == "files":
            _check_patterns(given)
        elif any(isinstance(share, str) for share in given.values()):
            _check_sizes(given, self.by)
        else:
            total = sum(self.fractions)
            if abs(total - 1) > 1e-6:
                raise ValueError(f"the fractions of train, val and test must sum to 1, not {total:g}")
        return self

    @property
    def patterns(self) -> dict[str, str]:
        """The pattern of files of each split that has one; empty if the splits are not given by files."""
        return {name: str(share) for name, share in self._shares().items() if share and self.by == "files"}

    @property
    def sizes(self) -> tuple[Size, Size, Size] | None:
        """The sizes of train, val and test, all in one unit; None if the splits are not given by sizes."""
        if self.by == "files" or not isinstance(self.train, str):
            return None
        train = _size(self.train)
        val, test = (_size(share) if share else Size(0, train.unit) for share in (self.val, self.test))
        return train, val, test

    @property
    def fractions(self) -> tuple[float, float, float]:
        """The fractions of train, val and test. Raises ValueError if the splits are given."""
        return float(self.train), float(self.val), float(self.test)

    @property
    def is_given(self) -> bool:
        """Whether the splits are those of the source: by files or by sizes."""
        return self.by == "files" or isinstance(self.train, str)

    def _shares(self) -> dict[str, float | str]:
        return {"train": self.train, "val": self.val, "test": self.test}


def _is_text(share: Any) -> bool:
    """Whether a share, as it is written, is neither a number nor missing."""
    try:
        return share is not None and isinstance(parse_share(share), str)
    except ValueError:
        return False


def _size(share: float | str) -> Size:
    size = parse_size(str(share))
    if size is None:
        raise ValueError(
            f"{share!r} is no size such as '90000000 bytes'; give all splits as sizes, or for patterns of files set "
            'by = "files"'
        )
    return size


def _check_patterns(given: Mapping[str, float | str]) -> None:
    known: dict[float | str, str] = {}
    for name, pattern in given.items():
        if not isinstance(pattern, str):
            raise ValueError(f"by = \"files\" needs a pattern of files as {name}, such as '*.{name}.txt'")
        if pattern in known:
            raise ValueError(
                f"{known[pattern]} and {name} have the same pattern {pattern!r}, so they overlap"
            )
        known[pattern] = name
    if "train" not in given:
        raise ValueError("by = \"files\" needs a pattern of the files to train on: train = '*.train.txt'")


def _check_sizes(given: Mapping[str, float | str], by: str) -> None:
    sizes = {name: _size(share) for name, share in given.items()}
    if "train" not in sizes or not sizes["train"].count:
        raise ValueError("train has no size; give one such as '90000000 bytes'")
    if len({size.unit for size in sizes.values()}) > 1:
        raise ValueError("sizes are in bytes or in characters; give train, val and test in one of them")
    if by == "documents":
        raise ValueError("sizes cut the joined text, not documents; leave by out")


class TokenizerConfig(Options):
    """Which tokenizer a corpus uses, and what it leaves out of its vocabulary."""

    name: str = Field("char", min_length=1, description="a tokenizer by name: char, byte, or a plugin's")
    min_count: int = Field(1, ge=1, description="characters rarer than this are spelled with nibbles")
    max_size: int | None = Field(
        None,
        ge=17,
        description="maximum number of tokens, nibbles included; the rarest characters are left out",
    )
