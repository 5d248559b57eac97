"""AMX is used where the user and Linux allow it, and its refusal is survived."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from charpipe.kernels.jit import amx_switch
from charpipe.kernels.jit import processor as detection
from charpipe.kernels.jit.amx_switch import asked_for, obstacle_to_amx, permitted, switched_off

binding = pytest.importorskip("llvmlite.binding")
AVX512 = dict.fromkeys(("avx2", "fma", "avx512f", "avx512bw", "avx512vl", "avx512bf16"), True)
AMX = {**AVX512, "amx-tile": True, "amx-bf16": True, "amx-int8": True}


class Features(dict):
    """A processor's features as llvmlite gives them."""

    def flatten(self):
        return ",".join(f"+{name}" for name in self)


@pytest.fixture
def processor_with(monkeypatch):
    """What is detected on a processor with such features, where Linux answers a request with `answer`."""

    def detect(features, answer=0):
        monkeypatch.setattr(binding, "get_host_cpu_features", lambda: Features(features))
        monkeypatch.setattr(amx_switch, "_request_permission", lambda: answer)
        monkeypatch.setattr(amx_switch.sys, "platform", "linux")
        monkeypatch.setattr(amx_switch.platform, "machine", lambda: "x86_64")
        for cached in (permitted, detection.this_processor):
            cached.cache_clear()
        return detection.this_processor()

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("CHARPIPE_AMX", raising=False)
    yield detect
    for cached in (permitted, detection.this_processor):
        cached.cache_clear()


@pytest.mark.parametrize(
    ("value", "off", "asked"),
    [("0", True, False), (" 0 ", True, False), ("", False, False), ("1", False, True)],
)
def test_zero_switches_off_and_one_asks(value, off, asked):
    given = {"CHARPIPE_AMX": value}
    assert (switched_off(given), asked_for(given)) == (off, asked)
    assert not switched_off({}) and not asked_for({})


def test_amx_is_used_where_it_is_permitted(processor_with):
    found = processor_with(AMX)
    assert (found.amx, found.matrices) == ("on", True)
    assert detection.amx_refusal() is None


def test_amx_can_be_switched_off(processor_with, monkeypatch):
    monkeypatch.setenv("CHARPIPE_AMX", "0")
    monkeypatch.setattr(amx_switch, "permitted", lambda: pytest.fail("asked without need"))
    found = processor_with(AMX)
    assert (found.amx, found.matrices) == ("off", True)
    assert detection.amx_refusal() is None


def test_refusal_leaves_avx512(processor_with):
    found = processor_with(AMX, answer=-1)
    assert (found.amx, found.width, found.bfloat16) == ("off", 16, True)
    assert "refused" in detection.amx_refusal()


def test_processor_without_amx_leaves_avx512(processor_with):
    found = processor_with({**AMX, "amx-bf16": False})
    assert found.amx == "off"
    assert detection.amx_refusal() == "this processor has no amx-bf16"


def test_limit_to_avx2_holds_for_amx(processor_with, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    found = processor_with(AMX)
    assert (found.amx, found.width) == ("off", 8)
    assert "amx" not in [name for name in found.features.split(",") if name.startswith("+")]
    assert "ONEDNN_MAX_CPU_ISA" in detection.amx_refusal()


def test_permission_is_asked_for_once(processor_with, monkeypatch):
    processor_with(AMX)
    monkeypatch.setattr(amx_switch, "_request_permission", lambda: pytest.fail("asked twice"))
    assert obstacle_to_amx(AMX) is None


@pytest.mark.parametrize(
    ("system", "machine"), [("darwin", "x86_64"), ("win32", "AMD64"), ("linux", "aarch64")]
)
def test_other_systems_are_not_asked(monkeypatch, system, machine):
    monkeypatch.setattr(amx_switch, "_request_permission", lambda: pytest.fail("asked"))
    monkeypatch.setattr(amx_switch.sys, "platform", system)
    monkeypatch.setattr(amx_switch.platform, "machine", lambda: machine)
    permitted.cache_clear()
    assert not permitted()
    permitted.cache_clear()


def test_system_without_such_a_call_is_survived(monkeypatch):
    def missing(*_):
        raise OSError("no C library")

    monkeypatch.setattr(amx_switch.ctypes, "CDLL", missing)
    permitted.cache_clear()
    assert not permitted()
    permitted.cache_clear()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a system call of Linux")
def test_real_request_does_not_harm_the_process():
    """Whatever this machine answers."""
    words = "from charpipe.kernels.jit.amx_switch import permitted; print(permitted())"
    done = subprocess.run(
        [sys.executable, "-c", words], env={**os.environ}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("True", "False")


def test_processors_with_and_without_amx_differ_in_cache_keys(processor_with, monkeypatch):
    """Compiled kernels and the choice of an engine are kept by the processor's repr."""
    on = repr(processor_with(AMX))
    monkeypatch.setenv("CHARPIPE_AMX", "0")
    assert repr(processor_with(AMX)) != on
