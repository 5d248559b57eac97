"""Memory stays flat: over a corpus larger than memory may be, and over many steps."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("growing.py")
MB = 1 << 20

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's"),
]


def token_file(path, count):
    """A file of so many tokens that takes hardly any room on disk: zeros that nobody wrote."""
    tokens = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count,))
    tokens[:: count // 1000] = 7
    return path


def trained(path, *, spare, engine, steps):
    words = [sys.executable, str(SCRIPT), str(path), str(spare), engine, str(steps)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_corpus_larger_than_memory_may_be(tmp_path):
    """Eight thousand million characters, with 128 MB to spare."""
    found = trained(token_file(tmp_path / "train.npy", 8_000 * MB), spare=128 * MB, engine="fast", steps=100)
    assert found["tokens"] == 8_000 * MB
    assert found["most"] - found["warm"] < 16 * MB


def test_many_steps_take_no_more_than_few(tmp_path):
    found = trained(token_file(tmp_path / "train.npy", 4 * MB), spare=128 * MB, engine="plain", steps=1200)
    assert found["end"] - found["warm"] < 4 * MB
