"""Kernels are compiled once, kept, and made anew where what was kept is not whole."""

import os
import re
import time

import numpy as np
import pytest

from charpipe.models.compiling import UNUSED, cache_folder
from charpipe.models.processor import Processor, this_processor, without_avx512

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from llvmlite import binding

from charpipe.models.engine.kernels.code import FLOAT32
from charpipe.models.engine.kernels.gradients import WeightGradient
from charpipe.models.engine.kernels.machine_code import DIGEST, _optimised, _target, assembled
from charpipe.models.engine.kernels.packing import PackColumns


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A cache of the test's own, empty."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache_folder.cache_clear()
    assembled.cache_clear()
    yield tmp_path
    cache_folder.cache_clear()
    assembled.cache_clear()


def packed():
    """Of a matrix of one tile, which stays as it is."""
    values, found = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    kernel = assembled(this_processor(), PackColumns, FLOAT32, 4, 16)
    kernel(values.ctypes.data, found.ctypes.data)
    return np.sort(found).tolist() == values.tolist()


def test_what_other_versions_left_long_ago_is_removed(kept):
    old, new, foreign = (kept / name for name in ("0" * 16, "1" * 16, "numba"))
    for folder in (old, new, foreign):
        folder.mkdir()
    long_ago = time.time() - UNUSED - 60
    for folder in (old, foreign):
        os.utime(folder, (long_ago, long_ago))
    own = cache_folder()
    assert set(kept.iterdir()) == {own, new, foreign}


def test_a_kernel_is_kept_and_read_again(kept):
    assert packed()
    (file,) = kept.glob("*/*.o")
    before = file.stat().st_mtime_ns
    assembled.cache_clear()
    assert packed()
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["empty", "half", "one bit"])
def test_what_is_not_whole_is_compiled_again(kept, damage):
    assert packed()
    (file,) = kept.glob("*/*.o")
    whole = file.read_bytes()
    other = bytearray(whole)
    other[DIGEST + 100] ^= 1
    file.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "one bit": bytes(other)}[damage])
    assembled.cache_clear()
    assert packed()
    assert file.read_bytes() == whole


def test_held_to_avx2_there_is_no_instruction_beyond_it():
    """Whatever the processor is called: its name alone would let LLVM use all that it has."""
    has = dict(binding.get_host_cpu_features())
    features = without_avx512(has | {"avx2": True, "avx512f": True, "avx512vl": True})
    assert "+avx2" in features and "-avx512f" in features and "+avx512" not in features
    held = Processor("znver4", features, 8, 16, bfloat16=False)
    machine = _target(held)
    text = machine.emit_assembly(_optimised(machine, WeightGradient(held, FLOAT32, 64, 64, 128).text()))
    assert "vfmadd" in text
    assert not re.findall(r"zmm\d|[xy]mm(?:1[6-9]|2\d|3\d)|%k\d|\{1to\d", text)


def test_where_nothing_can_be_kept_it_works_all_the_same(kept, monkeypatch):
    monkeypatch.setattr("charpipe.models.engine.kernels.machine_code.cache_folder", lambda: None)
    assert packed()
    assert not list(kept.glob("*/*.o"))
