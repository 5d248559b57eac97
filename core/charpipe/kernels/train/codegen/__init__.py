"""Code generation: each class is a kernel whose `llvm_ir` is compiled by `charpipe.kernels.jit.compiler`.

`tiles` is the product that all of them are made around, `forward_sweep` and `backward_sweep` are a layer through time,
`cross_entropy` is the softmax head, `packing` and `weight_gradients` the weights' side. ../../README.md has diagrams.

Shapes: T steps, B batch size, H hidden units, I inputs, G gates (sums a unit), V vocabulary. Sizes of units, inputs and
tokens are padded with zeros to multiples of 16, with AMX of 32. A row is one stream at one step, number t * B + b of
T * B.
"""
