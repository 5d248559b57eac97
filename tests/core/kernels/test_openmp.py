"""How PyTorch's OpenMP threads wait."""

import os
import subprocess
import sys

import pytest

from charpipe.kernels.openmp import OWN, spins_briefly

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


@pytest.mark.parametrize(
    ("given", "briefly"),
    [
        ({}, False),
        ({"GOMP_SPINCOUNT": "1000"}, True),
        ({"GOMP_SPINCOUNT": "30000000000"}, False),
        ({"GOMP_SPINCOUNT": "INFINITE"}, False),
        ({"OMP_WAIT_POLICY": "passive"}, True),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, False),
    ],
)
def test_spinning_is_brief_where_the_variables_say_so(given, briefly):
    assert spins_briefly(given) is briefly
