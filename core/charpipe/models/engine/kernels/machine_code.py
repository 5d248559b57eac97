"""Kernels as functions: compiled once for this processor, and kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Protocol

import llvmlite
from llvmlite import binding

from charpipe.models.compiling import cache_folder
from charpipe.models.engine.kernels.code import NAME, Code
from charpipe.models.processor import Processor

Machine = Callable[..., None]
"""A compiled kernel: whole numbers and addresses in, Python's lock set free meanwhile."""
DIGEST = 32
"""Bytes of a SHA-256, with which a kept object begins."""
_ONE_AT_A_TIME = threading.Lock()


class Kernel(Protocol):
    """What there is to compile: `ARGUMENTS` whole numbers and addresses in, and nothing out."""

    ARGUMENTS: ClassVar[int]
    code: Code

    def text(self) -> str:
        """All of it as LLVM reads it."""
        ...


@cache
def assembled(processor: Processor, kernel: type[Any], *made_for: Any) -> Machine:
    """The `Kernel` that `kernel(processor, *made_for)` is, compiled.

    The cache's folder is named after the source, so that what a kernel is made for says which one it is.
    """
    with _ONE_AT_A_TIME:
        key = repr((llvmlite.__version__, processor, kernel.__qualname__, made_for))
        kept = _kept(hashlib.sha256(key.encode()).hexdigest())
        found = _read(kept)
        if found is None:
            new: Kernel = kernel(processor, *made_for)
            found = _compile(processor, new.text())
            _keep(kept, found)
        address = _loaded(processor, found)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * kernel.ARGUMENTS)(address)


def _compile(processor: Processor, text: str) -> bytes:
    machine = _target(processor)
    emitted: bytes = machine.emit_object(_optimised(machine, text))
    return emitted


def _optimised(machine: Any, text: str) -> Any:
    module = binding.parse_assembly(text)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=2)
    builder = binding.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def _loaded(processor: Processor, emitted: bytes) -> int:
    """The address of the kernel in memory, which stays there."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target(processor))
    engine.add_object_file(binding.ObjectFileRef.from_data(emitted))
    engine.finalize_object()
    _engines().append(engine)
    address: int = engine.get_function_address(NAME)
    return address


def _target(processor: Processor) -> Any:
    _begin()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=processor.name, features=processor.features, opt=3, codemodel="jitdefault", jit=True
    )


@cache
def _begin() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


@cache
def _engines() -> list[Any]:
    return []


def _begin_anew() -> None:
    """In a forked process: who held the lock stayed behind in the parent."""
    global _ONE_AT_A_TIME
    _ONE_AT_A_TIME = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _kept(name: str) -> Path | None:
    folder = cache_folder()
    return folder / f"{name}.o" if folder is not None else None


def _read(path: Path | None) -> bytes | None:
    """What was kept, if it is whole: half an object would end the process."""
    with suppress(OSError):
        kept = path.read_bytes() if path else b""
        digest, emitted = kept[:DIGEST], kept[DIGEST:]
        return emitted if digest == hashlib.sha256(emitted).digest() else None
    return None


def _keep(path: Path | None, emitted: bytes) -> None:
    """Leave it for next time, where that is possible; never half of it."""
    if path is None:
        return
    half = path.with_name(f".{path.name}-{os.getpid()}")
    with suppress(OSError):
        half.write_bytes(hashlib.sha256(emitted).digest() + emitted)
        half.replace(path)
    with suppress(OSError):
        half.unlink()  # of a disk that is full
