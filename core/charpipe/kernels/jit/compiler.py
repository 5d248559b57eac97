"""Kernels as functions: LLVM IR compiled once for this processor, and kept in the user's cache."""

from __future__ import annotations

import ctypes
import hashlib
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, ClassVar, Protocol

import llvmlite
from llvmlite import binding

from charpipe.kernels.jit.builder import NAME
from charpipe.kernels.jit.cache import read_object, write_object
from charpipe.kernels.jit.processor import Processor

CompiledKernel = Callable[..., None]
"""Takes the kernel's integers and addresses, and releases the GIL while it runs."""
_compile_lock = threading.Lock()


class Kernel(Protocol):
    """A kernel to compile, a function of `ARGUMENTS` 64-bit integers (counts and addresses) that returns nothing."""

    ARGUMENTS: ClassVar[int]

    def llvm_ir(self) -> str:
        """Its LLVM IR."""
        ...


@cache
def compile_kernel(processor: Processor, kernel: type[Any], *spec: Any) -> CompiledKernel:
    """The `Kernel` that `kernel(processor, *spec)` returns, compiled.

    The cache's folder is named after the sources, so that within it class and spec identify a kernel.
    """
    with _compile_lock:
        key = repr((llvmlite.__version__, processor, kernel.__module__, kernel.__qualname__, spec))
        name = hashlib.sha256(key.encode()).hexdigest()
        found = read_object(name)
        if found is None:
            new: Kernel = kernel(processor, *spec)
            found = _compile(processor, new.llvm_ir())
            write_object(name, found)
        address = _load(processor, found)
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * kernel.ARGUMENTS)(address)


def _compile(processor: Processor, llvm_ir: str) -> bytes:
    target = target_machine(processor)
    is_emulated = processor.amx == "emulated"  # a test's, whose many loops need not be fast
    compiled: bytes = target.emit_object(optimized(target, llvm_ir, 0 if is_emulated else 2))
    return compiled


def optimized(target: Any, llvm_ir: str, level: int = 2) -> Any:
    """LLVM's module after its passes of a level, from 0 to 3."""
    module = binding.parse_assembly(llvm_ir)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=level)
    builder = binding.create_pass_builder(target, options)
    builder.getModulePassManager().run(module, builder)
    return module


def _load(processor: Processor, compiled: bytes) -> int:
    """The address of an object file's kernel, which stays in memory as long as the process."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target_machine(processor))
    engine.add_object_file(binding.ObjectFileRef.from_data(compiled))
    engine.finalize_object()
    _engines().append(engine)
    address: int = engine.get_function_address(NAME)
    return address


def target_machine(processor: Processor) -> Any:
    """LLVM's target machine for a processor."""
    _initialize()
    return binding.Target.from_default_triple().create_target_machine(
        cpu=processor.name, features=processor.features, opt=3, codemodel="jitdefault", jit=True
    )


@cache
def _initialize() -> None:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()


@cache
def _engines() -> list[Any]:
    """Keeps the engines, and with them the code, alive."""
    return []


def _reset_lock() -> None:
    """In a forked process: the thread that held the lock exists only in the parent."""
    global _compile_lock
    _compile_lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_lock)
