"""What rounding to float16 and TF32 does to numbers, and where sums leave float16."""

import numpy as np


def rounded(a, precision):
    """Return numpy floats with the values that a convolution of that precision reads; "float32": `a` itself.

    TF32 has float32's exponents and 10 bits of fraction; a half goes away from zero, as the PTX instruction
    cvt.rna.tf32 rounds. float16 rounds to even; beyond 65504 it is infinite.
    """
    if precision == "float32":
        return a
    if precision == "float16":
        with np.errstate(over="ignore"):
            return a.astype(np.float16).astype(a.dtype)
    single = a.astype(np.float32)
    bits = (single.view(np.uint32) + np.uint32(0x1000)) & np.uint32(0xFFFFE000)
    return np.where(np.isfinite(single), bits.view(np.float32), single).astype(a.dtype)


def summable(a):
    """Return an array of any backend in which sums may be taken: float16 becomes float32."""
    return a.astype(np.float32) if a.dtype == np.float16 else a
