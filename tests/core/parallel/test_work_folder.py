"""A work folder is removed at the end, and calls that still write to it do not replace an error."""

import threading
from pathlib import Path

import pytest

from charpipe.parallel.work_folder import work_folder


def test_it_is_removed(tmp_path: Path) -> None:
    with work_folder(tmp_path) as folder:
        (folder / "in it").mkdir()
    assert not list(tmp_path.iterdir())


def test_an_error_is_raised_whatever_is_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = threading.Event()

    def write(folder: Path) -> None:
        number = 0
        while not ended.is_set() and folder.is_dir():
            try:
                (folder / str(number := number + 1)).touch()
            except FileNotFoundError:
                return

    for _ in range(20):
        with pytest.raises(KeyError, match="the error"), work_folder(tmp_path) as folder:
            writing = threading.Thread(target=write, args=(folder,))
            writing.start()
            raise KeyError("the error")
        ended.set()
        writing.join()
        ended.clear()
