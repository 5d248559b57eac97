"""Select the files of a corpus by `include` and `exclude` patterns on relative paths."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Self

from charpipe.config.settings.corpus import CorpusConfig


class Selection:
    """A file is selected if it matches `include` (or `include` is empty) and neither it nor a parent matches `exclude`.

    A pattern without a slash matches names: that of the file for `include`, that of the file or any parent folder for
    `exclude`. A pattern with a slash matches the whole relative path, and `*` also matches slashes.
    `only` restricts the selection to these files and the content of these folders, by exact relative path. `among`:
    patterns like `include`, of which a file must match one as well.
    """

    def __init__(
        self,
        include: Iterable[str] = (),
        exclude: Iterable[str] = (),
        only: Collection[str] = frozenset(),
        among: Iterable[str] = (),
    ) -> None:
        self._only = frozenset(only)
        self._above = {above for path in self._only for above in _folders_above(path)}
        self._include_name, self._include_path = _compile(include)
        self._exclude_name, self._exclude_path = _compile(exclude)
        patterns = list(among)
        self._among = Selection(patterns) if patterns else None
        self._everything = self._include_name is None and self._include_path is None
        self._excludes = self._exclude_name is not None or self._exclude_path is not None
        self._folder_excluded = lru_cache(4096)(self._is_excluded)

    @classmethod
    def of(cls, config: CorpusConfig, only: Collection[str] = frozenset()) -> Self:
        """The files of a corpus: with splits given by files, those of its splits."""
        return cls(config.include, config.exclude, only, config.split.patterns.values())

    def selects(self, path: str) -> bool:
        """Whether the file at this relative path is selected."""
        folder, _, name = path.rpartition("/")
        if self._only and not self._is_below_only(path):
            return False
        if self._among is not None and not self._among.selects(path):
            return False
        return self._includes(path, name) and not self._leaves_out(path, name, folder)

    def prunes(self, folder: str) -> bool:
        """Whether no file below this folder can be selected."""
        if self._only and folder not in self._above and not self._is_below_only(folder):
            return True
        return self._excludes and self._folder_excluded(folder)

    def _is_below_only(self, path: str) -> bool:
        return path in self._only or any(above in self._only for above in _folders_above(path))

    def _includes(self, path: str, name: str) -> bool:
        return self._everything or _matches(self._include_name, name) or _matches(self._include_path, path)

    def _leaves_out(self, path: str, name: str, folder: str) -> bool:
        if not self._excludes:
            return False
        here = _matches(self._exclude_name, name) or _matches(self._exclude_path, path)
        return here or (bool(folder) and self._folder_excluded(folder))

    def _is_excluded(self, folder: str) -> bool:
        parent, _, name = folder.rpartition("/")
        if _matches(self._exclude_name, name) or _matches(self._exclude_path, folder):
            return True
        return bool(parent) and self._folder_excluded(parent)


def _folders_above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _compile(patterns: Iterable[str]) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
    cleaned = [pattern.removesuffix("/").removeprefix("./") for pattern in patterns]
    names = [fnmatch.translate(pattern) for pattern in cleaned if pattern and "/" not in pattern]
    paths = [fnmatch.translate(pattern.lstrip("/")) for pattern in cleaned if "/" in pattern]
    return _union(names), _union(paths)


def _union(expressions: list[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(expressions)) if expressions else None


def _matches(pattern: re.Pattern[str] | None, text: str) -> bool:
    return pattern is not None and pattern.match(text) is not None
