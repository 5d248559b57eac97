"""The objects of every kind of corpus stay as they are: their digests are recorded in tests/fixtures/digests."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow
import pytest

import golden_corpora

RECORDED = json.loads((Path(__file__).parents[2] / "fixtures" / "digests" / "objects.json").read_text())


def check(found: Iterable[tuple[str, list[str]]]) -> None:
    """Compare digests with the recorded ones; those of exact bytes hold for one version of pyarrow."""
    wanted: dict[str, list[str]] = RECORDED["digests"]
    exact = pyarrow.__version__ == RECORDED["pyarrow"]
    compared = [(name, digests, wanted[name]) for name, digests in found]
    assert compared
    for name, digests, before in compared:
        assert digests[1] == before[1], name
        assert not exact or digests == before, name


@pytest.mark.parametrize("name", golden_corpora.CORPORA)
def test_digests_of_every_corpus_are_unchanged(name: str, tmp_path: Path) -> None:
    check(golden_corpora.digests(name, tmp_path / "golden"))


def test_digests_of_later_versions_are_unchanged(tmp_path: Path) -> None:
    check(golden_corpora.versions(tmp_path))
