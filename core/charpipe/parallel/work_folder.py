"""A temporary folder for the files of calls."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def work_folder(folder: Path) -> Iterator[Path]:
    """A new folder in `folder`, removed at the end.

    After an error, calls that nobody waits for may still write to it. What they leave must not replace the error: it is
    removed with `folder`, by whoever made that.
    """
    path = Path(tempfile.mkdtemp(dir=folder, prefix=".work-"))
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
    shutil.rmtree(path)
