"""Kernels are compiled once, kept, and made anew where what was kept is not whole."""

import numpy as np
import pytest

from charpipe.models.compiling import cache_folder
from charpipe.models.processor import this_processor

if this_processor() is None:
    pytest.skip("kernels need AVX2 or AVX-512", allow_module_level=True)

from charpipe.models.engine.kernels.code import FLOAT32
from charpipe.models.engine.kernels.machine_code import DIGEST, assembled
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


def test_where_nothing_can_be_kept_it_works_all_the_same(kept, monkeypatch):
    monkeypatch.setattr("charpipe.models.engine.kernels.machine_code.cache_folder", lambda: None)
    assert packed()
    assert not list(kept.glob("*/*.o"))
