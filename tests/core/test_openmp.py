"""How PyTorch's OpenMP threads wait."""

import os
import subprocess
import sys

import pytest

from charpipe.openmp import OWN

SAY = "import os, charpipe; print(os.environ.get('GOMP_SPINCOUNT'), os.environ.get('OMP_WAIT_POLICY'))"


def said(code=SAY, **given):
    environment = {name: value for name, value in os.environ.items() if name not in OWN} | given
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_threads_sleep_soon_by_default():
    assert said() == ["1000", "None"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"OMP_WAIT_POLICY": "ACTIVE"}, ["None", "ACTIVE"]), ({"GOMP_SPINCOUNT": "7"}, ["7", "None"])],
)
def test_what_the_user_set_is_kept(given, expected):
    assert said(**given) == expected


def test_nothing_is_set_once_torch_is_imported():
    assert said("import torch\n" + SAY) == ["None", "None"]
