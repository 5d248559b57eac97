"""Checkpoints that wait to be pushed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from charpipe.events import Checkpointed
from charpipe.runs.mirror import uploader as module
from run_machines import Machine, train


def test_copy_of_a_checkpoint_stays_while_another_one_is_done(
    machine: Callable[[str], Machine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that pushes removes what is done with, at the moment when training has made the next copy."""
    context = machine("a").context(store__url=None)
    run = machine("a").run(train(context).run)
    uploader = module.Uploader(
        run,
        "file:///store",
        None,
        open_attempt=lambda: pytest.fail("nothing is pushed here"),
        missing=list,
        notify=lambda event: None,
        is_known_lost=False,
        check_every=1.0,
    )
    pushing: list[threading.Thread] = []
    copy = module.snapshot

    def slow(checkpoint: Path, folder: Path) -> Path:
        found = copy(checkpoint, folder)
        pushing.append(threading.Thread(target=uploader._done, args=(folder / "step-00000001",)))
        pushing[0].start()
        pushing[0].join(0.5)
        return found

    monkeypatch.setattr(module, "snapshot", slow)
    uploader(Checkpointed(24, str(run.checkpoint("last")), best=False))
    pushing[0].join()
    [waiting] = (run.folder / module.FOLDER).iterdir()
    assert {path.name for path in waiting.iterdir()} == {
        path.name for path in run.checkpoint("last").iterdir()
    }
