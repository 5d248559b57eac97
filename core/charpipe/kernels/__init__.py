"""Compiled CPU code: `jit` compiles, `train` has the training kernels, `step` the sampling loop.

README.md beside this file explains them with diagrams.
Importing this package compiles nothing, and imports neither llvmlite nor numba.
"""
