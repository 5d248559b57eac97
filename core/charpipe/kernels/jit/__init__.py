"""Just-in-time compilation: LLVM IR through llvmlite, numba's functions, and the cache of compiled code."""
