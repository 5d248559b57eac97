"""Kernels are compiled once, cached, and compiled again where the cached object is damaged."""

import os
import re
import time

import numpy as np
import pytest

from charpipe.kernels.jit.cache import DIGEST, UNUSED, cache_folder
from charpipe.kernels.jit.processor import Processor, this_processor, without_avx512

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from llvmlite import binding

from charpipe.kernels.jit.compiler import compile_kernel, optimized, target_machine
from charpipe.kernels.jit.values import FLOAT32
from charpipe.kernels.train.codegen.packing import PackColumns
from charpipe.kernels.train.codegen.weight_gradients import WeightGradient


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of the test's own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    cache_folder.cache_clear()
    compile_kernel.cache_clear()
    yield tmp_path
    cache_folder.cache_clear()
    compile_kernel.cache_clear()


def packed():
    """Whether a packed matrix of one tile has the numbers of the matrix."""
    values, found = np.arange(64, dtype=np.float32), np.zeros(64, np.float32)
    kernel = compile_kernel(this_processor(), PackColumns, FLOAT32, 4, 16)
    kernel(values.ctypes.data, found.ctypes.data)
    return np.sort(found).tolist() == values.tolist()


def test_unused_folders_of_other_versions_are_removed(cache):
    old, new, foreign = (cache / name for name in ("0" * 16, "1" * 16, "numba"))
    for folder in (old, new, foreign):
        folder.mkdir()
    long_ago = time.time() - UNUSED - 60
    for folder in (old, foreign):
        os.utime(folder, (long_ago, long_ago))
    own = cache_folder()
    assert set(cache.iterdir()) == {own, new, foreign}


def test_cached_kernel_is_not_compiled_again(cache):
    assert packed()
    (file,) = cache.glob("*/*.o")
    before = file.stat().st_mtime_ns
    compile_kernel.cache_clear()
    assert packed()
    assert file.stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["empty", "half", "one bit"])
def test_damaged_object_is_compiled_again(cache, damage):
    assert packed()
    (file,) = cache.glob("*/*.o")
    whole = file.read_bytes()
    other = bytearray(whole)
    other[DIGEST + 100] ^= 1
    file.write_bytes({"empty": b"", "half": whole[: len(whole) // 2], "one bit": bytes(other)}[damage])
    compile_kernel.cache_clear()
    assert packed()
    assert file.read_bytes() == whole


def test_limit_to_avx2_leaves_no_wider_instruction():
    """The processor's name alone would let LLVM use all that it has."""
    has = dict(binding.get_host_cpu_features())
    features = without_avx512(has | {"avx2": True, "avx512f": True, "avx512vl": True})
    assert "+avx2" in features and "-avx512f" in features and "+avx512" not in features
    held = Processor("znver4", features, 8, 16, bfloat16=False)
    machine = target_machine(held)
    text = machine.emit_assembly(optimized(machine, WeightGradient(held, FLOAT32, 64, 64, 128).llvm_ir()))
    assert "vfmadd" in text
    assert not re.findall(r"zmm\d|[xy]mm(?:1[6-9]|2\d|3\d)|%k\d|\{1to\d", text)


def test_kernel_works_without_a_cache_folder(cache, monkeypatch):
    monkeypatch.setattr("charpipe.kernels.jit.cache.cache_folder", lambda: None)
    assert packed()
    assert not list(cache.glob("*/*.o"))
