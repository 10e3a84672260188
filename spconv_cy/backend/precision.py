"""Rounding to float16 and TF32."""

import numpy as np

from spconv_cy.types import Array


def rounded(a: Array, precision: str) -> Array:
    """Return numpy floats rounded to the inputs of a convolution in a precision; "float32": `a` unchanged.

    TF32 has float32's exponents and 10 bits of fraction; ties round away from zero, like the PTX instruction
    cvt.rna.tf32. float16 rounds ties to even, and numbers beyond 65504 to infinity.
    """
    if precision == "float32":
        return a
    if precision == "float16":
        with np.errstate(over="ignore"):
            return a.astype(np.float16).astype(a.dtype)
    single = a.astype(np.float32)
    bits = (single.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(single), bits.view(np.float32), single).astype(a.dtype)
