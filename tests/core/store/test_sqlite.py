"""The URL of a SQLite file opens that file, whatever its path holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from charpipe.store.sqlite import database_url


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
