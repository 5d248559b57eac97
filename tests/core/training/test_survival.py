"""A full disk, too little memory, numbers that run away: training stops, keeps what it has and says what to try."""

import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from charpipe.errors import RunError, TrainingError
from charpipe.events import Checkpointed, Finished, Step
from charpipe.training import last_checkpoint, train
from charpipe.training.checkpoints import damage

pytestmark = pytest.mark.e2e

SPARE = {"plain": 150 << 20, "fast": 60 << 20}
"""Bytes left, too few for the windows in starving.py."""


@contextmanager
def files_up_to(size):
    """No file can grow beyond so many bytes, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def until_checkpoint(events, step):
    for event in events:
        if isinstance(event, Checkpointed) and event.step == step:
            return


@pytest.mark.parametrize(
    "size", [0, 2_000, 12_000], ids=["at once", "in the weights", "in the optimiser's memory"]
)
def test_a_full_disk_harms_no_earlier_checkpoint(tmp_path, new_model, tokens, settings, size):
    chosen = settings(checkpoint_every=5, evaluate_every=30, engine="plain")
    whole = list(train(new_model(), tokens, chosen, checkpoints=tmp_path / "whole"))
    events = train(new_model(), tokens, chosen, checkpoints=tmp_path / "run")
    until_checkpoint(events, 5)
    with files_up_to(size), pytest.raises(RunError, match=f"(?s){tmp_path / 'run'}.*make room there"):
        list(events)
    last = last_checkpoint(tmp_path / "run")
    assert last.name == "step-00000005"
    assert [path.name for path in (tmp_path / "run").iterdir()] == [last.name]
    resumed = list(train(new_model(seed=9), tokens, chosen, checkpoints=tmp_path / "run", resume=last))
    assert [float(event.loss) for event in resumed if isinstance(event, Step)] == [
        float(event.loss) for event in whole if isinstance(event, Step)
    ][5:]


def test_a_folder_that_vanishes_is_made_again(tmp_path, new_model, tokens, settings):
    events = train(
        new_model(), tokens, settings(checkpoint_every=5, engine="plain"), checkpoints=tmp_path / "run"
    )
    until_checkpoint(events, 5)
    shutil.rmtree(tmp_path / "run")
    assert isinstance(list(events)[-1], Finished)
    assert last_checkpoint(tmp_path / "run").name == "step-00000030"


def test_a_checkpoint_whose_removal_is_cut_short_is_none_any_more(
    tmp_path, new_model, tokens, settings, monkeypatch
):
    chosen = settings(checkpoint_every=5, keep_checkpoints=2, engine="plain")
    remove = shutil.rmtree

    def cut_short(path, **more):
        state = Path(path) / "state.json"
        state.unlink() if state.is_file() else remove(path, **more)

    monkeypatch.setattr(shutil, "rmtree", cut_short)
    list(train(new_model(), tokens, chosen, checkpoints=tmp_path))
    assert [damage(path) for path in tmp_path.glob("step-*")] == [None, None]
    assert list(tmp_path.glob(".saving-*"))
    monkeypatch.setattr(shutil, "rmtree", remove)
    last = last_checkpoint(tmp_path)
    list(train(new_model(), tokens, chosen, checkpoints=tmp_path, resume=last))
    assert not list(tmp_path.glob(".saving-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="/sys is Linux's")
def test_a_folder_that_refuses_is_named(tmp_path, new_model, tokens, settings):
    refusing = tmp_path
    if os.geteuid() == 0:  # may write anywhere but there
        refusing = Path("/sys/fs")
    else:
        tmp_path.chmod(0o500)
    with pytest.raises(RunError, match=f"cannot be written to {refusing / 'run'}"):
        list(train(new_model(), tokens, settings(engine="plain"), checkpoints=refusing / "run"))


def test_a_gradient_that_explodes_leaves_the_last_good_checkpoint(tmp_path, new_model, tokens, settings):
    chosen = settings(checkpoint_every=5, clip=0, optimizer="sgd", learning_rate=0.1, engine="plain")
    model, said = new_model(), []
    with pytest.raises(
        TrainingError, match=r"not finite at step 13; earlier checkpoints are intact"
    ) as caught:
        for event in train(model, tokens, chosen, checkpoints=tmp_path):
            said.append(event)
            if isinstance(event, Step) and event.step == 11:
                model.network.head.weight.register_hook(lambda gradient: gradient * 1e30 * 1e30)
    assert "--set train.learning_rate=0.05" in str(caught.value)
    last = last_checkpoint(tmp_path)
    assert [event.step for event in said if isinstance(event, Checkpointed)][-1] == 10
    assert (last.name, damage(last)) == ("step-00000010", None)


def test_a_weight_that_is_no_number_is_found_before_it_is_saved(tmp_path, new_model, tokens, settings):
    model = new_model()
    with pytest.raises(TrainingError, match="learning_rate="):
        for event in train(model, tokens, settings(checkpoint_every=5, engine="plain"), checkpoints=tmp_path):
            if isinstance(event, Step) and event.step == 15:
                with torch.no_grad():
                    model.network.head.weight[0, 0] = torch.inf
    assert last_checkpoint(tmp_path).name in ("step-00000010", "step-00000014")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
@pytest.mark.parametrize("engine", ["plain", "fast"])
def test_too_little_memory_is_said_and_what_was_saved_stays(tmp_path, engine):
    script = Path(__file__).with_name("starving.py")
    words = [sys.executable, str(script), str(tmp_path), str(SPARE[engine]), engine]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("[2, 4] step-00000004 there is not enough memory to train this")
    assert "--set train.batch_size=512" in done.stdout
