"""The settings of one corpus, `[corpora.NAME]` in pipelines.toml."""

from __future__ import annotations

import codecs
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from charpipe.config.settings.text import SplitConfig, TokenizerConfig
from charpipe.plugin import Options
from charpipe.store.secrets import refuse_secret


class CorpusConfig(Options):
    """Where a corpus comes from, which of its files are read, and how its text becomes tokens."""

    summary: str = Field("", description="one-line description")
    sources: list[str] = Field(
        min_length=1,
        description="paths, globs, URLs or `scheme:...` of a source plugin; the first that exists is used",
    )
    include: list[str] = Field(
        default_factory=list,
        description="files to read: patterns of names, or of paths where they hold a slash; none: all",
    )
    exclude: list[str] = Field(default_factory=list, description="patterns of files and folders to leave out")
    encoding: str | None = Field(
        None, description="encoding of every file; unset: UTF-8, UTF-16, UTF-32, else the detected one"
    )
    errors: Literal["strict", "replace"] = Field(
        "strict", description="replace: bytes that the encoding cannot read become U+FFFD"
    )
    newline: Literal["keep", "lf"] = Field("keep", description="lf: CR LF and lone CR become LF")
    documents: Literal["file", "line", "blank-line"] = Field(
        "file", description="a document is a file, a line, or a block of lines between blank ones"
    )
    ends: bool = Field(
        False,
        description="the model learns where documents end, and starts each from the zero state; the character U+0003 "
        "marks the ends",
    )
    drop: str = Field(
        "",
        max_length=64,
        description="characters to leave out of the text, such as ' ' where a space stands between any two characters",
    )
    changed: Literal["stop", "skip"] = Field(
        "stop", description="skip: a file of a folder that changes while it is read is left out"
    )
    processes: int | None = Field(
        None,
        ge=1,
        le=64,
        description="processes that read and encode it; unset: one for each core, at most 8, and one below 256 MB",
    )
    license: str = Field("", description="the licence of the text")
    sha256: str | None = Field(
        None, pattern="^[0-9a-f]{64}$", description="SHA-256 of the single file that is fetched"
    )
    split: SplitConfig = Field(default_factory=SplitConfig)
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)

    @property
    def form(self) -> str:
        """What becomes of the text: `keep` if it stays as received, `drop` if characters are left out, else `lf`."""
        return "drop" if self.drop else self.newline

    @field_validator("sources")
    @classmethod
    def _hold_no_secret(cls, sources: list[str]) -> list[str]:
        return [source if source.startswith("text:") else refuse_secret(source) for source in sources]

    @model_validator(mode="after")
    def _splits_fit_documents(self) -> Self:
        if self.split.sizes is not None and self.ends:
            raise ValueError(
                "splits of given sizes cut documents, and ends = true keeps them whole; leave one out"
            )
        if self.split.patterns and self.documents != "file":
            raise ValueError(
                'splits by files keep files whole; set documents = "file", or leave split.by out'
            )
        return self

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        if encoding is None:
            return None
        try:
            info = codecs.lookup(encoding)
            b"".decode(info.name)  # refuses codecs that are not text encodings, such as rot13
        except LookupError as error:
            raise ValueError(f"{encoding!r} is not a text encoding that Python knows") from error
        return info.name
