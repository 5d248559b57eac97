"""MLflow finds the files of a folder whatever its name holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charpipe.tracking import Location
from charpipe.tracking.client import connect
from charpipe.tracking.file_uris import path_of

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)


@given(NAMES, NAMES)
def test_the_path_of_a_uri_is_the_path_it_was_made_of(one: bytes, other: bytes) -> None:
    path = Path("/") / os.fsdecode(one) / os.fsdecode(other)
    assert Path(path_of(path.as_uri())) == path
    assert path_of(str(path)) == str(path)


@pytest.mark.parametrize("raw", [b"50%25 %41", b"\xff", b"a?b#c;d", b"{0} 'x' \"", b"a\nb", b"\\x41"])
def test_artifacts_are_written_listed_and_read_in_such_a_folder(
    tmp_path: Path, make_location: Callable[[Path], Location], raw: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow.artifacts import download_artifacts

    monkeypatch.chdir(tmp_path)
    location = make_location(tmp_path / os.fsdecode(raw) / "mlflow")
    client = connect(location)
    run = client.create_run(client.create_experiment("x", f"{location.artifacts}/x"))
    client.log_text(run.info.run_id, "text", "a/b.txt")
    (made,) = location.folder.rglob("b.txt")
    assert [one.path for one in client.list_artifacts(run.info.run_id, "a")] == ["a/b.txt"]
    fetched = download_artifacts(
        artifact_uri=f"{run.info.artifact_uri}/a", dst_path=str(tmp_path), tracking_uri=location.uri
    )
    assert Path(fetched, "b.txt").read_text() == made.read_text() == "text"
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted({"a", os.fsdecode(raw)})
