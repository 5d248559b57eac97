"""Training on a CPU by compiled kernels: loss and gradients of a window, and scores without gradients.

`loss_and_grad` and `scoring` are what is called from outside. `codegen` has the kernels' code, the modules here their
memory, their order and their threads.
"""
