"""The URL of a SQLite file opens that file, whatever its path holds."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from charpipe.store.paths import printable
from charpipe.store.sqlite import database_url, plain_url


@pytest.mark.parametrize(
    "raw", [b"plain", b"a?b=c", b"a#b", b"50%20 %", b"{0}", b"it's", b"\xff", b"a?\xfe&uri=false"]
)
def test_the_database_is_made_where_the_path_says(tmp_path: Path, raw: bytes) -> None:
    folder = tmp_path / os.fsdecode(raw)
    folder.mkdir()

    engine = create_engine(database_url(folder / "x.db"))
    with engine.begin() as connection:
        connection.execute(text("create table t (a)"))
    engine.dispose()

    assert [file.name for file in folder.iterdir()] == ["x.db"]
    assert [one.name for one in tmp_path.iterdir()] == [folder.name]


PARTS = st.binary(min_size=1, max_size=80).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)


@settings(max_examples=25, deadline=None)
@given(PARTS)
def test_any_path_survives_sqlalchemy_and_is_shown_plain(raw: bytes) -> None:
    with tempfile.TemporaryDirectory() as base:
        folder = Path(base) / os.fsdecode(raw)
        folder.mkdir()
        url = database_url(folder / "x.db")
        engine = create_engine(url)
        engine.connect().close()
        engine.dispose()
        assert [one.name for one in folder.iterdir()] == ["x.db"]
        assert plain_url(url) == f"sqlite:///{printable(str(folder))}/x.db"


def test_mlflow_makes_no_folder_of_an_escaped_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.db.utils import _make_parent_dirs_if_sqlite
    from mlflow.utils.uri import extract_db_type_from_uri

    monkeypatch.chdir(tmp_path)
    url = database_url(tmp_path / "a?b" / "x.db")
    _make_parent_dirs_if_sqlite(url)
    assert extract_db_type_from_uri(url) == "sqlite"
    assert list(tmp_path.iterdir()) == []


def test_urls_of_other_databases_are_shown_as_they_are() -> None:
    for url in ("sqlite:////a/b.db", "postgresql://host/a", "http://host/file:a?uri=true"):
        assert plain_url(url) == url
