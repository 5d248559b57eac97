"""The loops of a training as machine code: written with `code`, for registers as `processor` describes them.

`tiles` is the product that all of them are made around, `sweeps` a layer through time, `head` the softmax, `packing`
and `gradients` the weights' side, `dropping` dropout, and `machine_code` makes functions of them.
"""
