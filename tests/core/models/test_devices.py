"""Whether a model runs on the CPU is said without torch where that is certain."""

from __future__ import annotations

from pathlib import Path

import pytest

from charpipe.models.devices import is_certainly_cpu


@pytest.mark.parametrize("file", ["nvidia0", "nvidiactl", "nvhost-gpu", "kfd", "dxg"])
def test_a_device_file_of_an_accelerator_leaves_auto_to_torch(file: str, tmp_path: Path) -> None:
    assert is_certainly_cpu("auto", tmp_path, "linux")
    (tmp_path / file).touch()
    assert not is_certainly_cpu("auto", tmp_path, "linux")
    assert is_certainly_cpu("cpu", tmp_path, "linux")


def test_auto_is_left_to_torch_elsewhere(tmp_path: Path) -> None:
    assert not is_certainly_cpu("auto", tmp_path, "darwin")
    assert is_certainly_cpu("cpu", tmp_path, "darwin")


@pytest.mark.parametrize("asked", ["cuda", "mps", "cpu:0", "none"])
def test_other_devices_are_left_to_torch(asked: str, tmp_path: Path) -> None:
    assert not is_certainly_cpu(asked, tmp_path, "linux")
