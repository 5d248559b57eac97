"""The script that measures on a GPU, as far as it runs without one."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

CPU = torch.device("cpu")


def run(benchmarks, *arguments):
    command = [sys.executable, str(benchmarks / "on_cuda.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("arch", ["lstm", "gru", "rnn", "minimal-gated"])
@pytest.mark.parametrize("engine", ["plain", "cuda-graphs"])
def test_updates_equal_the_plain_loop(arch, engine):
    import on_cuda

    row = on_cuda.check(on_cuda.architecture_of(arch), engine, "float32", CPU)
    assert row["equal"], row
    assert row["losses"] < 1e-5
    assert row["gradients"] < 1e-4


def test_bfloat16_equals_a_plain_loop_in_bfloat16():
    import on_cuda

    row = on_cuda.check(on_cuda.PLUGIN, "plain", "bfloat16", CPU)
    assert row["equal"], row
    assert row["gradients"] > 1e-6  # it was not float32 that ran


@pytest.mark.parametrize("arch", ["gru", "minimal-gated"])
def test_other_weights_are_not_equal(arch, monkeypatch):
    import equality
    import on_cuda

    monkeypatch.setattr(equality, "copy_weights", lambda network, plain: None)
    row = equality.check(on_cuda.architecture_of(arch), "plain", "float32", CPU)
    assert not row["equal"]
    assert row["gradients"] > equality.TOLERANCE["bfloat16"][1]


def test_update_that_raises_is_a_failed_check(monkeypatch):
    import equality
    import on_cuda

    def broken(setup, state):
        raise RuntimeError("an illegal memory access | and more")

    monkeypatch.setattr(equality, "build_update", broken)
    row = equality.check(on_cuda.architecture_of("rnn"), "plain", "float32", CPU)
    assert (row["equal"], row["failed"]) == (False, "RuntimeError: an illegal memory access / and more")
    where = {"device": "a GPU", "date": "", "torch": "", "cuda": "", "cudnn": "", "python": ""}
    told = on_cuda.report(where, {"check": [row], "timing": [], "left out": ["timing of rnn 1x8: no time"]})
    assert "| rnn | plain | float32 | RuntimeError: an illegal memory access / and more |  | **no** |" in told
    assert "* timing of rnn 1x8: no time" in told


@pytest.mark.e2e
def test_checks_on_a_cpu_write_both_files(benchmarks, tmp_path):
    output = tmp_path / "found.md"
    given = ["--check-only", "--device", "cpu", "--arch", "minimal-gated", "--output", str(output)]
    done = run(benchmarks, *given)
    assert done.returncode == 0, done.stderr
    assert "4 checks made, 0 failed, 0 left out" in done.stdout
    found = json.loads(output.with_suffix(".json").read_text())
    assert [row["equal"] for row in found["check"]] == [True] * 4
    assert output.read_text().count("| yes |") == 4


@pytest.mark.e2e
def test_part_without_time_is_left_out_and_said(benchmarks):
    done = run(benchmarks, "--check-only", "--device", "cpu", "--arch", "rnn", "--seconds", "0.1")
    assert done.returncode == 1
    assert "left out: check of rnn, plain in float32: it took more than its 0 s" in done.stdout


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_cuda_one_sentence(benchmarks):
    done = run(benchmarks)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("There is no CUDA device here")


def test_timing_without_cuda_is_refused(benchmarks):
    done = run(benchmarks, "--device", "cpu")
    assert done.returncode == 1
    assert "add --check-only" in done.stderr


def test_rows_of_a_timing():
    import on_cuda

    row = on_cuda.timing("minimal-gated", "1x8x2x4", CPU)
    assert row["failed"].keys() == {"charpipe cuda-graphs"}  # it is for CUDA
    assert row["ratio"].keys() == {"charpipe plain"}
    assert "1x8, 2, 4" in "\n".join(on_cuda.speeds([row]))


@pytest.mark.e2e
def test_timing_in_a_process_of_its_own(tmp_path):
    import on_cuda

    given = SimpleNamespace(device="cpu", shapes=["1x8x2x4", "one-by-eight"], seconds=600.0)
    found = on_cuda.run_parts([on_cuda.Part("timing", "minimal-gated")], given, CPU)
    assert [row["shape"] for row in found["timing"]] == ["1x8x2x4"]
    assert [each.partition(":")[0] for each in found["left out"]] == ["timing of minimal-gated one-by-eight"]
    on_cuda.write(tmp_path / "found.md", on_cuda.machine(CPU) | {"cuda": None, "cudnn": None}, found)
    told = (tmp_path / "found.md").read_text()
    assert "| minimal-gated | 1x8, 2, 4 |" in told
    assert "* timing of minimal-gated one-by-eight: ValueError" in told
