"""The compiled sampling step: `stream` reads and writes one text, `int8` steps many texts in eight bits.

All but `weights` and `gate_order` need numba. The loops are compiled when they are first called, and kept in the user's
cache.
"""
